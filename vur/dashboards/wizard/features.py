"""Step 5, features: what is known when, and the first rows of the matrix."""

from typing import Any, ClassVar

from vur.dashboards.wizard.step import Step

KINDS = {"past": "info", "calendar": "good", "known_future": "good", "static": "good", "past_only": "warn"}


class Features(Step):
    """What models learn from."""

    name: ClassVar[str] = "features"
    panels: ClassVar[tuple[str, ...]] = ("options", "details", "table")

    def field(self, field: dict[str, Any]) -> dict[str, Any]:
        """A field; countries are chosen from a list, and states from those of the country."""
        shown = super().field(field)
        countries = self.page.forms["countries"]
        nothing = [["", self.page.say("pages.pipeline.features.none")]]
        if field["type"] == "country":
            first = [code for code in ("BR", "PT", "US") if code in countries]
            shown |= {
                "type": "choice",
                "names": "region",
                "value": self.values.get("country") or "",
                "options": nothing + [[code, code] for code in (*first, *(c for c in countries if c not in first))],
            }
        if field["type"] == "state":
            country = self.values.get("country") or ""
            states, names = countries.get(country, []), self.page.forms["states"].get(country, {})
            named = [[code, names.get(code, code)] for code in states]
            shown |= {
                "type": "choice",
                "value": self.values.get("state") or "",
                "options": nothing + sorted(named, key=lambda one: one[1]),
                "disabled": not states,
            }
        return shown

    def on_options_change(self, values: dict[str, Any]) -> None:
        """Keep the choice; another country has other states."""
        before = self.values.get("country")
        country = str(values.get("country") or "") or None
        if country != before:
            values = values | {"state": ""}
        super().on_options_change(values)
        if country != before:
            self.show_form()

    def draw(self) -> None:
        """Show each feature and when it is known, and the matrix."""
        seen, say = self.page.look(), self.page.say
        horizon = seen["horizon"]
        self.page.details.show(
            title=say("pages.pipeline.features.known", horizon=horizon),
            columns=[
                {"key": "name", "label": say("pages.pipeline.features.feature")},
                {"key": "kind", "label": say("pages.pipeline.features.source")},
                {"key": "steps", "label": say("pages.pipeline.features.steps")},
                {"key": "text", "label": say("pages.pipeline.features.meaning"), "wide": True},
            ],
            rows=[
                {
                    "id": one["name"],
                    "name": one["name"].replace("_", "_\u200b"),
                    "kind": {"text": say(f"pages.pipeline.features.kind.{one['kind']}"), "tone": KINDS[one["kind"]]},
                    "steps": say("pages.pipeline.features.all")
                    if one["steps"] is None
                    else f"{one['steps']} / {horizon}",
                    "text": one["text"],
                }
                for one in seen["features"]
            ],
            empty=say("pages.pipeline.features.empty"),
        )
        said = {"count": seen["count"], "complete": seen["complete"], "incomplete": seen["incomplete"]}
        self.page.table.show(
            title=say("pages.pipeline.features.matrix", series=seen["shown"]),
            note=say("pages.pipeline.features.matrix_note", **said),
            columns=[
                {
                    "key": f"c{at}",
                    "label": say("pages.pipeline.date") if name == "ds" else name,
                    "type": "date" if name == "ds" else "number",
                }
                for at, name in enumerate(seen["columns"])
            ],
            rows=[
                {"id": str(number), **{f"c{at}": _cell(value) for at, value in enumerate(row)}}
                for number, row in enumerate(seen["rows"])
            ],
            empty=say("pages.pipeline.features.short"),
            **self.series_choice(seen),
        )

    def on_table_filter(self, values: dict[str, Any]) -> None:
        """Show the matrix of the series that was chosen in the list."""
        self.choose_series({"series": values.get("value")})

    def on_table_series(self, values: dict[str, Any]) -> None:
        """Show the matrix of another series."""
        self.choose_series(values)


def _cell(value: Any) -> Any:
    return {"text": value, "type": "text"} if isinstance(value, str) and not value[:4].isdigit() else value
