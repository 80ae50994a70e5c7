"""Step 6, model: presets, cards of algorithms with their parameters, a network of one's own, and the search."""

from typing import Any, ClassVar

from vur.dashboards.wizard.step import OWN, Step

FAMILIES = ("classical", "machine_learning", "deep_learning")
NAIVE = ("naive", "seasonal_naive", "drift", "mean")


class Models(Step):
    """Who competes."""

    name: ClassVar[str] = "model"
    panels: ClassVar[tuple[str, ...]] = ("models", "parameters", "network", "options", "table")
    width: ClassVar[str | None] = "half"
    hidden_fields: ClassVar[tuple[str, ...]] = ("preset",)

    def show(self) -> None:
        """Show the cards, the form of the search and who competes."""
        self.opened: str | None = None
        self.algorithms = self.page.api.get("/models/algorithms")
        self.known = {one["id"]: one for family in FAMILIES for one in self.algorithms[family]}
        super().show()

    def draw(self) -> None:
        """Show what is chosen, and who competes."""
        seen, chosen = self.page.look(), self.page.chosen()
        self._show_cards(seen, chosen)
        self._show_parameters(chosen)
        self._show_network(chosen)
        say = self.page.say
        said = {"count": len(seen["candidates"]), "folds": seen["folds"], "horizon": seen["horizon"]}
        self.page.table.show(
            title=say("pages.pipeline.model.contest", **said),
            note=" ".join([say("pages.pipeline.model.seconds_note"), *seen["warnings"]]),
            width="half",
            columns=[
                {"key": "name", "label": say("pages.pipeline.model.model")},
                {"key": "family", "label": say("pages.pipeline.model.family")},
                {"key": "seconds", "label": say("pages.pipeline.model.time"), "type": "duration"},
            ],
            rows=[
                {"id": one["id"], "name": one["name"], "family": self._family(one["family"]), "seconds": one["seconds"]}
                for one in seen["candidates"]
            ],
        )

    def _family(self, family: str) -> str:
        return self.page.say(f"pages.pipeline.family.{family}")

    def _show_cards(self, seen: dict[str, Any], chosen: dict[str, Any]) -> None:
        say = self.page.say
        named = [name for name in _named(chosen) if name != "auto"]
        networks = chosen.get("networks") or {}
        field = next(one for one in self.page.forms["steps"]["model"] if one["name"] == "preset")
        labels = {one["value"]: one["label"] for one in field["choices"]}
        auto = "auto" in _named(chosen)
        self.page.models.show(
            title=say("pages.pipeline.model.presets"),
            note=say("pages.pipeline.model.presets_note"),
            presets=[
                {
                    "id": one["id"],
                    "label": labels[one["id"]],
                    "detail": say("pages.pipeline.model.preset", count=len(one["candidates"])),
                    "seconds": one["seconds"],
                    "chosen": auto and chosen.get("preset", field["default"]) == one["id"],
                    "text": say(f"pages.pipeline.model.preset.{one['id']}"),
                }
                for one in seen["presets"]
            ],
            families=[
                {
                    "label": self._family(family),
                    "cards": [
                        {
                            "id": one["id"],
                            "label": self.named(one["id"]),
                            "text": one["description"],
                            "tags": self._tags(one),
                            "chosen": one["id"] in named,
                            "quiet": one["id"] in seen["unsuited"],
                            "parameters": len(one["parameters"]),
                            "set": len((chosen.get("parameters") or {}).get(one["id"], {})),
                            "opened": one["id"] == self.opened,
                        }
                        for one in self.algorithms[family]
                        if one["id"] not in (*NAIVE, "network")
                    ],
                }
                for family in FAMILIES
            ],
            network={
                "label": say("pages.pipeline.model.own"),
                "text": say("pages.pipeline.model.own_text"),
                "chosen": bool(networks),
            },
            texts={
                key: say(f"pages.pipeline.model.{key}")
                for key in ("by_hand", "by_hand_note", "parameters", "quiet", "chosen")
            },
        )

    def _tags(self, one: dict[str, Any]) -> list[str]:
        say = self.page.say
        tags = [say(f"pages.pipeline.model.scope.{one['scope']}")]
        if "known_future" in one["covariates"]:
            tags.append(say("pages.pipeline.model.covariates"))
        if one["tunable"]:
            tags.append(say("pages.pipeline.model.tunable"))
        return tags

    # --- choices ---

    def _keep(self, section: dict[str, Any]) -> None:
        self.errors, self.refusal = {}, None
        if self.tried(section) and self.page.keep(section):
            self.page.show_code()

    def _rest(self, *without: str) -> dict[str, Any]:
        return {key: value for key, value in self.page.chosen().items() if key not in without}

    def on_models_preset(self, values: dict[str, Any]) -> None:
        """Let a preset choose."""
        preset = str(values.get("id"))
        self.opened = None
        self._keep(self._rest("algorithms", "networks", "parameters") | {"algorithms": "auto", "preset": preset})

    def on_models_toggle(self, values: dict[str, Any]) -> None:
        """Take an algorithm in by name, or out; without any the preset chooses again."""
        id = str(values.get("id"))
        if id not in self.known:
            return
        chosen = self.page.chosen()
        named = [name for name in _named(chosen) if name != "auto"]
        named = [name for name in named if name != id] if id in named else [*named, id]
        parameters = {name: own for name, own in (chosen.get("parameters") or {}).items() if name in named}
        section = self._rest("algorithms", "parameters")
        self.opened = self.opened if self.opened in named else None
        if not named and not chosen.get("networks"):
            self._keep(section | {"algorithms": "auto"})
            return
        self._keep(
            section | {"algorithms": named or ["seasonal_naive"]} | ({"parameters": parameters} if parameters else {})
        )

    def on_models_parameters(self, values: dict[str, Any]) -> None:
        """Open the form of an algorithm's parameters, or close it."""
        id = str(values.get("id"))
        if id not in self.known:
            return
        self.opened = None if id == self.opened else id
        if self.opened and self.opened not in _named(self.page.chosen()):
            self.on_models_toggle({"id": id})
            self.opened = id
        self.draw()

    def on_models_network(self, values: dict[str, Any]) -> None:
        """Take the own network in, or out."""
        chosen = self.page.chosen()
        if chosen.get("networks"):
            named = [name for name in _named(chosen) if name not in ("auto", "seasonal_naive")]
            self._keep(self._rest("networks", "algorithms") | {"algorithms": named or "auto"})
            return
        named = [name for name in _named(chosen) if name != "auto"] or ["seasonal_naive"]
        document = self.page.forms["network"]["document"]
        self._keep(self._rest("networks", "algorithms") | {"algorithms": named, "networks": {OWN: document}})

    # --- parameters ---

    def _show_parameters(self, chosen: dict[str, Any], errors: dict[str, str] | None = None) -> None:
        if self.opened is None:
            self.page.parameters.show(hidden=True)
            return
        one = self.known[self.opened]
        given = _split((chosen.get("parameters") or {}).get(self.opened, {}))
        self.page.parameters.show(
            title=self.page.say("pages.pipeline.model.parameters_of", name=self.named(one["id"])),
            note=one["description"],
            fields=[
                self._parameter(name, rule, given.get(name, rule.get("default")), (errors or {}).get(name))
                for name, rule in one["parameters"].items()
                if rule["type"] != "json"
            ],
            live="change",
            actions=[{"event": "reset", "label": self.page.say("pages.pipeline.model.reset"), "kind": "small"}],
        )

    def _parameter(self, name: str, rule: dict[str, Any], value: Any, error: str | None) -> dict[str, Any]:
        say = self.page.say
        shown: dict[str, Any] = {
            "name": name,
            "label": rule.get("label") or name,
            "help": rule["description"],
            "error": error,
        }
        automatic = [["", say("pages.pipeline.model.automatic")]] if rule.get("default") is None else []
        if rule["type"] == "bool":
            words = [["true", say("pages.pipeline.yes")], ["false", say("pages.pipeline.no")]]
            return shown | {"type": "choice", "options": automatic + words, "value": _text(value)}
        if rule.get("choices"):
            return shown | {
                "type": "choice",
                "options": automatic + [[str(one), str(one)] for one in rule["choices"]],
                "value": _text(value),
            }
        if rule["type"] in ("int", "float"):
            bounds = {key: rule[key] for key in ("min", "max") if rule.get(key) is not None}
            return shown | {
                "type": "integer" if rule["type"] == "int" else "number",
                "value": "" if value is None else value,
                **bounds,
            }
        return shown | {
            "type": "text",
            "value": ", ".join(map(str, value)) if isinstance(value, list) else _text(value),
        }

    def on_parameters_change(self, values: dict[str, Any]) -> None:
        """Keep the parameters of the opened algorithm."""
        if self.opened is None:
            return
        rules = self.known[self.opened]["parameters"]
        given = {name: _read(values[name], rule) for name, rule in rules.items() if name in values}
        given = {
            name: value for name, value in given.items() if value is not None and value != rules[name].get("default")
        }
        self._keep_parameters(_joined(given, rules))

    def on_parameters_reset(self, values: dict[str, Any]) -> None:
        """Return to the defaults of the opened algorithm."""
        self._keep_parameters({})

    def _keep_parameters(self, given: dict[str, Any]) -> None:
        others = {
            name: own for name, own in (self.page.chosen().get("parameters") or {}).items() if name != self.opened
        }
        parameters = others | ({str(self.opened): given} if given else {})
        self._keep(self._rest("parameters") | ({"parameters": parameters} if parameters else {}))

    # --- the network ---

    def _show_network(self, chosen: dict[str, Any], error: str | None = None) -> None:
        documents = chosen.get("networks") or {}
        if not documents:
            self.page.network.show(hidden=True)
            return
        say, form = self.page.say, self.page.forms["network"]
        self.page.network.show(
            title=say("pages.pipeline.network.title"),
            note=say("pages.pipeline.network.note"),
            document=next(iter(documents.values())),
            layers=form["layers"],
            sections=form["sections"],
            error=error,
            texts={
                key: say(f"pages.pipeline.network.{key}")
                for key in (
                    "layer",
                    "add",
                    "remove",
                    "up",
                    "down",
                    "compilation",
                    "training",
                    "early_stopping",
                    "yes",
                    "no",
                )
            },
        )

    def on_network_change(self, values: dict[str, Any]) -> None:
        """Keep the network as it was built."""
        document = values.get("document")
        if not isinstance(document, dict):
            return
        chosen = self.page.chosen()
        name = next(iter(chosen.get("networks") or {}), OWN)
        self._keep(self._rest("networks") | {"networks": {name: document}})

    def refused(self, error: Any) -> None:
        """Show a refusal beside the form that caused it, which keeps what was typed."""
        chosen, self.refusal = self.page.chosen(), error.detail
        if error.code.startswith("networks."):
            self._show_network(chosen, error.detail)
        elif error.code.startswith("forecasters.parameter") and self.opened:
            name = _part_of(str((error.values or {}).get("parameter", "")))
            self._show_parameters(chosen, {name: error.detail})
            self.page.notice(error.detail, "error")
        else:
            super().refused(error)


def _named(section: dict[str, Any]) -> list[str]:
    """The algorithms of a section, `auto` among them."""
    names = section.get("algorithms", "auto")
    return [names] if isinstance(names, str) else list(names)


def _split(given: dict[str, Any]) -> dict[str, Any]:
    """Parameters with orders in parts: `order` as `p, d, q`."""
    if not given:
        return {}
    from vur.stages.model.search_space import ORDERS  # it imports much that is only needed here

    found = dict(given)
    for whole, parts in ORDERS.items():
        if whole in found:
            found |= dict(zip(parts, found.pop(whole), strict=True))
    return found


def _joined(given: dict[str, Any], rules: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `_split`; what of an order is not given has its default."""
    if not given.keys() & set("pdqPDQ"):
        return given
    from vur.stages.model.search_space import ORDERS

    found = dict(given)
    for whole, parts in ORDERS.items():
        if any(part in found for part in parts):
            found[whole] = [found.pop(part, rules[part].get("default") or 0) for part in parts]
    return found


def _part_of(name: str) -> str:
    """The field of a parameter: of an order its first part."""
    from vur.stages.model.search_space import ORDERS

    return ORDERS[name][0] if name in ORDERS else name


def _text(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _read(value: Any, rule: dict[str, Any]) -> Any:
    """What a form sends as a parameter; what is none stays text, so that the service says what is expected."""
    if value in ("", None, []):
        return None
    if rule["type"] == "bool":
        return {"true": True, "false": False}.get(str(value), value)
    if rule.get("choices"):
        return next((one for one in rule["choices"] if str(one) == str(value)), value)
    if rule["type"] == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if rule["type"].startswith("list"):
        parts = [part.strip() for part in str(value).replace(";", ",").split(",") if part.strip()]
        return [int(part) if part.lstrip("-").isdigit() else part for part in parts]
    return value
