"""What one click repairs of an audit's finding, how to undo it, and which repairs are in effect.

A finding carries its repair as code. Here that code is read, never run: it becomes settings of a step, or an operation
on rows that makes a new version of the dataset. Both can be undone.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vur.runs.config import Config
from vur.stages.preprocess.cleaning import OutlierSpec
from vur.stages.preview.findings import MOST_ROWS, Finding
from vur.store.cache import digest
from vur.text import translate, translate_or

OUTLIERS = {"method": "hampel", "treatment": "replace", "threshold": None}
PANEL_OPTIONS = ("freq", "tz", "duplicates")  # of make_panel, which are settings of the step `preview`
KEPT_KINDS = ("blank", "start_at", "end_at", "drop_series")
NOT_WORTH = ("zero_target", "intermittent", "late_end", "unequal_end", "short_for_season")  # nothing is wrong there
FILLED = ("missing_target", "gaps", "closed_weekday", "closed_weekdays")
IN_EFFECT = ("duplicates", "freq", "tz", "absent", "ended")


@dataclass(frozen=True)
class Repair:
    """One click: new settings of a `step`, or an operation `rows` on the dataset; its text is `repair.<kind>`."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    step: str = "preview"
    settings: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] | None = None

    def text(self, language: str) -> str:
        """What the click does, as the text of its button."""
        return translate(f"repair.{self.kind}", language, **self.values)


def finding_key(finding: Finding) -> str:
    """What identifies a finding among those of its data."""
    return digest(finding.code, finding.unique_id, dict(finding.data).get("column"))[:12]


# --- from a finding to its repair ---


def repair_of(finding: Finding, preprocess: Mapping[str, Any]) -> Repair | None:
    """The repair of a finding, or None if there is none, or if the settings of preprocessing see to it."""
    if finding.code in NOT_WORTH or handled(finding, preprocess):
        return None
    own = SETTINGS.get(finding.code)
    return own(finding) if own else _from_code(finding)


def handled(finding: Finding, preprocess: Mapping[str, Any]) -> str | None:
    """The key of the sentence on how preprocessing treats the finding anyway; None where it does not."""
    if finding.code in FILLED:
        return "repair.handled.missing"
    if finding.code == "outliers" and (preprocess.get("outliers") or {}).get("method", "none") != "none":
        return "repair.handled.outliers"
    return None


SETTINGS: dict[str, Callable[[Finding], Repair | None]] = {
    "outliers": lambda found: Repair("outliers", step="preprocessing", settings={"outliers": dict(OUTLIERS)}),
    "ended": lambda found: Repair("ended_forecast", settings={"ended": "forecast"}),
    "ended_zeros": lambda found: Repair("ended_forecast", settings={"ended": "forecast"}),
    "ended_forecast": lambda found: Repair("ended_omit", settings={"ended": "omit"}),
    "ended_zeros_forecast": lambda found: Repair("ended_omit", settings={"ended": "omit"}),
    **dict.fromkeys(("leak", "leak_in_time", "leak_made"), lambda found: _excluded(str(found.data["column"]))),
    "repeated_rows": lambda found: Repair("repeated_rows", {"count": found.count}, rows={"do": "duplicates"}),
    **dict.fromkeys(("date_missing", "series_missing"), lambda found: _dropped(str(found.data["column"]), found.count)),
    "shut_series": lambda found: None,
}


def _excluded(column: str) -> Repair:
    return Repair("exclude", {"column": column}, settings={"roles": {column: "exclude"}})


def _dropped(column: str, count: int) -> Repair:
    return Repair("drop_rows", {"column": column, "count": count}, rows={"do": "drop", "columns": [column]})


def _from_code(finding: Finding) -> Repair | None:
    """The repair that the code of a finding says: a call of `make_panel`, `regular_panel` or of a change of series."""
    name, arguments, options = _call(finding.repair)
    if name == "make_panel":
        chosen = {key: options[key] for key in PANEL_OPTIONS if key in options}
        kind = "_".join(key for key in ("tz", "freq", "duplicates") if key in chosen)
        return Repair(f"panel_{kind}", chosen, settings=chosen) if kind else None
    if name == "regular_panel":
        return Repair(f"absent_{arguments[0]}", settings={"absent": arguments[0]})
    if name in KEPT_KINDS and (name != "blank" or finding.count <= MOST_ROWS):
        series, *rest = arguments
        said = {"series": series, "count": finding.count, "stamp": "" if name == "drop_series" else _first(rest[0])}
        return Repair(name, said, rows={"do": name, "series": series, "stamps": _stamps(rest)})
    return None


def _first(stamps: Any) -> str:
    return str(stamps[0] if isinstance(stamps, list) else stamps)[:10]


def _stamps(rest: list[Any]) -> list[Any]:
    return [stamp for given in rest for stamp in (given if isinstance(given, list) else [given])]


def _call(code: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Name, literal arguments after the panel or frame, and literal options of the call that ends `code`."""
    try:
        last = ast.parse(code).body[-1]
        if isinstance(last, ast.Assign) and isinstance(last.value, ast.Call) and isinstance(last.value.func, ast.Name):
            call = last.value
            arguments = [ast.literal_eval(one) for one in call.args[1:]]
            options = {one.arg: ast.literal_eval(one.value) for one in call.keywords if one.arg}
            return last.value.func.id, arguments, options
    except (SyntaxError, ValueError, IndexError):
        pass  # code that shows something, or changes the frame by an expression, is no click
    return "", [], {}


# --- repairs in effect ---


def in_effect(data: Mapping[str, Any], preprocess: Mapping[str, Any], language: str) -> list[dict[str, str]]:
    """The repairs among the settings of a pipeline, each with the `key` that undoes it and its `text`."""
    usual = Config().to_dict()["data"]
    found = [
        {
            "key": name,
            "text": translate(
                f"repair.effect.{name}_{data[name]}" if name in ("absent", "ended") else f"repair.effect.{name}",
                language,
                value=_value(name, data[name], language),
            ),
        }
        for name in IN_EFFECT
        if data.get(name) not in (None, usual[name])
    ]
    found += [
        {"key": f"role:{column}", "text": translate("repair.effect.exclude", language, column=column)}
        for column, role in (data.get("roles") or {}).items()
        if role == "exclude"
    ]
    outliers = preprocess.get("outliers") or {}
    if outliers.get("method", "none") != "none":
        treatment = translate(f"preprocess.treatment.{OutlierSpec(**outliers).treatment}", language)
        said = {"method": translate(f"options.preprocessing.outliers.method.{outliers['method']}", language)}
        found.append(
            {"key": "outliers", "text": translate("repair.effect.outliers", language, treatment=treatment, **said)}
        )
    return found


def _value(name: str, value: Any, language: str) -> str:
    """A setting as its form shows it."""
    return translate_or(f"options.preview.{name}.{value}", str(value), language)


def without(key: str, data: dict[str, Any], preprocess: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The step, and its section without the repair `key`; None if that repair is not in effect."""
    if key == "outliers" and "outliers" in preprocess:
        return "preprocessing", {name: value for name, value in preprocess.items() if name != "outliers"}
    if key in IN_EFFECT and key in data:
        return "preview", {name: value for name, value in data.items() if name != key}
    column = key.removeprefix("role:")
    roles = data.get("roles") or {}
    if key.startswith("role:") and column in roles:
        return "preview", data | {"roles": {name: role for name, role in roles.items() if name != column}}
    return None
