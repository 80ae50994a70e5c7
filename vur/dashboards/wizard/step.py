"""What the steps of the wizard have in common: a form over the fields of `/pipelines/options`, and words of refusal."""

from typing import Any, ClassVar

from vur.dashboards.client import ServiceError
from vur.dashboards.wizard.board import Board
from vur.text import table

TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "switch",
    "choices": "choices",
    "choice": "choice",
    "date": "date",
}

OWN = "own_network"  # the name of the network that the page builds
UNFIT = ("config.value", "split.size")  # refusals of a value that is not of its field's kind
MOST_BUTTONS, LONGEST_BUTTON = 6, 30  # series to choose by buttons, and letters of their names


class Step:
    """One step. `panels` are those that it shows; `hidden_fields` are fields of its form that another panel sets."""

    name: ClassVar[str]
    panels: ClassVar[tuple[str, ...]] = ("options",)
    hidden_fields: ClassVar[tuple[str, ...]] = ()
    width: ClassVar[str | None] = None  # of the form

    def __init__(self, page: Board):
        self.page = page
        self.values: dict[str, Any] = {}
        self.errors: dict[str, str] = {}
        self.refusal: str | None = None  # why what was chosen last is not kept

    # What a step defines

    def show(self) -> None:
        """Show the step from the start."""
        self.errors, self.refusal = {}, None
        self.values = flat(self.page.chosen())
        self.show_form()
        self.draw()

    def draw(self) -> None:
        """Show the effect of the stored settings."""

    def tick(self) -> None:
        """Refresh what changes by itself."""

    def section(self) -> dict[str, Any]:
        """The settings to store when the step is confirmed."""
        return self.page.chosen()

    # The form

    @property
    def fields(self) -> list[dict[str, Any]]:
        """The fields of the step's form."""
        found: list[dict[str, Any]] = self.page.forms["steps"][self.name]
        return [field for field in found if field["name"] not in self.hidden_fields]

    def show_form(self) -> None:
        """Show the form with the stored values, and the words of a refusal beside their field."""
        at = f"pages.pipeline.{self.name}"
        self.page.options.show(
            title=self.page.say(f"{at}.title"),
            text=self.page.say(f"{at}.text"),
            width=self.width,
            fields=[self.field(field) for field in self.fields],
            live="change",
            actions=[],
        )

    def field(self, field: dict[str, Any]) -> dict[str, Any]:
        """A field of the options as the form shows it."""
        name, kind = field["name"], field["type"]
        value = self.values.get(name, field["default"])
        shown: dict[str, Any] = {
            "name": name,
            "label": field["label"],
            "help": field["help"],
            "type": TYPES.get(kind, "text"),
            "value": shown_value(value, kind),
            "error": self.errors.get(name),
        }
        if field.get("choices") and kind in ("choice", "choices", "levels"):
            shown["options"] = [[written(one["value"]), one["label"]] for one in field["choices"]]
        if kind == "levels":
            shown["type"] = "choices"
            shown["options"] = [[str(one), f"{one} %"] for one in levels_to_choose(field, value)]
        for bound in ("min", "max"):
            if field.get(bound) is not None:
                shown[bound] = field[bound]
        return shown

    def on_options_change(self, values: dict[str, Any]) -> None:
        """Keep what was chosen in the form as a draft, and show its effect."""
        given = {field["name"]: read(values[field["name"]], field) for field in self.fields if field["name"] in values}
        had_errors = self.refusal is not None
        if self.choose(self.values | given) and had_errors:
            self.show_form()

    def choose(self, values: dict[str, Any]) -> bool:
        """Try other values of the form, show their effect and keep them; False if they were refused."""
        self.errors, self.refusal = {}, None
        self.values = values
        section = self.section_of(values)
        if not self.tried(section) or not self.page.keep(section):
            return False
        self.page.show_code()
        return True

    def tried(self, section: dict[str, Any]) -> bool:
        """Show the effect of settings that are not kept yet; False if they were refused, which the form then says."""
        self.page.trial = section
        try:
            self.draw()
        except ServiceError as error:
            if error.status != 422:
                raise
            self.refused(error)
            return False
        finally:
            self.page.trial = None
        return True

    def section_of(self, values: dict[str, Any]) -> dict[str, Any]:
        """The section of the form's values: what differs from the defaults, and what other panels set."""
        own = {field["name"]: field for field in self.fields}
        found = nested({name: value for name, value in values.items() if name in own and value != own[name]["default"]})
        kept = {
            key: value for key, value in self.page.chosen().items() if key not in {one.partition(".")[0] for one in own}
        }
        return kept | found

    def refused(self, error: ServiceError) -> None:
        """Show the words of a refusal beside the field that it names, else above the form."""
        place = place_of(error, {field["name"] for field in self.fields})
        self.refusal = self.words_of(error, place)
        self.errors = {place: self.refusal} if place else {}
        self.show_form()
        if place is None:
            self.page.notice(error.detail, "error")
        if "chart" in self.panels and self.page.chart.content.get("series"):
            self.page.chart.update(note=self.page.say("pages.pipeline.stale"))

    def words_of(self, error: ServiceError, place: str | None) -> str:
        """The words of a refusal: the form's own where it has some for the field, else the service's."""
        field = next((field for field in self.fields if field["name"] == place), None)
        if field is None:
            return error.detail
        key = f"pages.pipeline.value.{'size' if field['type'] == 'size' else error.code}"
        if error.code not in UNFIT or key not in table():
            return error.detail
        return self.page.say(key, name=field["label"])

    def named(self, id: str) -> str:
        """The name of a candidate in the visitor's language."""
        plain = id.removesuffix("-tuned")
        key = "pages.pipeline.model.own" if plain == OWN else f"report.algorithm.{plain}"
        name = self.page.say(key) if key in table() else plain
        return name if plain == id else self.page.say("report.tuned", algorithm=name)

    def choose_series(self, values: dict[str, Any]) -> None:
        """Show another series."""
        self.page.series = str(values.get("series") or "") or None
        self.draw()

    def series_choice(self, look: dict[str, Any]) -> dict[str, Any]:
        """How a chart lets one choose a series: a button for each of a few short names, else a list with a search."""
        names, shown = look["names"], look["shown"]
        if len(names) < 2:
            return {"actions": []}
        if len(names) > MOST_BUTTONS or max(map(len, names)) > LONGEST_BUTTON:
            say = self.page.say
            choice = {"name": "series", "label": say("pages.pipeline.series"), "value": shown}
            choice |= {"options": [[name, name] for name in names], "search": say("pages.pipeline.series_search")}
            return {"actions": [], "filters": [choice]}
        kinds = {name: "small primary" if name == shown else "small" for name in names}
        return {
            "actions": [
                {"event": "series", "label": name, "values": {"series": name}, "kind": kinds[name]} for name in names
            ]
        }

    def on_chart_series(self, values: dict[str, Any]) -> None:
        """Show the series whose button was pressed."""
        self.choose_series(values)

    def on_chart_filter(self, values: dict[str, Any]) -> None:
        """Show the series that was chosen in the list."""
        self.choose_series({"series": values.get("value")})


def place_of(error: ServiceError, names: set[str]) -> str | None:
    """The field of a form that a refusal names: by its key in the request, or in the configuration."""
    values = error.values if isinstance(error.values, dict) else {}
    words = [str(error.field or ""), *(str(values.get(key) or "") for key in ("key", "name", "parameter"))]
    parts = [part for word in words for part in word.split(".")]
    pairs = [f"{one}.{other}" for one, other in zip(parts, parts[1:], strict=False)]
    return next((name for name in (*pairs, *parts) if name in names), None)


# --- values ---


def flat(section: dict[str, Any]) -> dict[str, Any]:
    """`{"outliers": {"method": "iqr"}}` as `{"outliers.method": "iqr"}`, beside the other keys."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict) and key in ("outliers", "optimize"):
            found |= {f"{key}.{inner}": entry for inner, entry in value.items()}
        else:
            found[key] = value
    return found


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `flat`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        outer, _, inner = name.rpartition(".")
        if outer:
            found.setdefault(outer, {})[inner] = value
        else:
            found[name] = value
    return found


def written(value: Any) -> str:
    """A choice as the value of an option."""
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def shown_value(value: Any, kind: str) -> Any:
    """A setting as a form shows it."""
    if value in (None, "auto") and kind not in ("choice", "choices"):
        return ""
    if kind == "choice":
        return written(value)
    if kind in ("choices", "levels"):
        return [f"{one:g}" if isinstance(one, float) else str(one) for one in value] if isinstance(value, list) else []
    if kind in ("ints", "columns"):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if kind == "windows":
        return "; ".join(" ".join(map(str, one)) for one in value) if isinstance(value, list) else str(value)
    return value


def read(value: Any, field: dict[str, Any]) -> Any:
    """What a form sends as a setting; text that is no number stays, so that the service says what is expected."""
    kind, default = field["type"], field["default"]
    if kind == "choice":
        known = {written(one["value"]): one["value"] for one in field["choices"] or []}
        return known.get(str(value), value)
    if value in ("", None, []):
        return [] if kind in ("levels",) else default
    if kind == "size":
        return _number(value)
    if kind in ("ints", "levels"):
        parts = value if isinstance(value, list) else str(value).replace(";", ",").split(",")
        return [_number(part) for part in parts if str(part).strip()]
    if kind == "windows":
        return [[_number(word) for word in one.split()] for one in str(value).split(";") if one.strip()]
    if kind in ("country", "state"):
        return str(value).strip().upper()
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value.strip() if isinstance(value, str) else value


def _number(text: Any) -> Any:
    """A number as people write it, with point or comma; anything else as it is."""
    words = str(text).strip()
    try:
        found = float(words.replace(",", "."))
    except ValueError:
        return words
    return int(found) if found.is_integer() and "." not in words and "," not in words else found


def levels_to_choose(field: dict[str, Any], value: Any) -> list[Any]:
    """The usual levels, and those that are chosen."""
    usual = [one["value"] for one in field["choices"] or []]
    return sorted({*usual, *(value if isinstance(value, list) else [])})
