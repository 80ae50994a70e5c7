"""Notes as text, tables and scores: helpers that several sections of the report use."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from vur.forecasters.registry import algorithm_name
from vur.scoring.metrics import METRICS
from vur.stages.training.budget import worded
from vur.text import table as text_table
from vur.text import translate
from vur.wording import listing, number, percent

MAX_ROWS = 20


def speaker(language: str) -> Callable[..., str]:
    """`t(key, **values)`: the report's text of a key in one language."""
    return lambda key, **values: translate(f"report.{key}", language, **values)


def say(note: Any, language: str) -> str:
    """A note as text: plain text stays as it is, a known key or a (key, data) pair is translated."""
    if hasattr(note, "parts"):
        return " ".join(translate(key, language, **_named(data, language)) for key, data in note.parts)
    key, data = note, {}
    if isinstance(note, Mapping):
        key, data = note.get("key"), dict(note.get("data") or {})
    elif isinstance(note, (tuple, list)) and len(note) == 2 and isinstance(note[1], Mapping):
        key, data = note[0], dict(note[1])
    if key is None or (isinstance(key, float) and math.isnan(key)):
        return ""
    if str(key) in text_table():
        try:
            return translate(str(key), language, **data)
        except (KeyError, IndexError):
            return str(key)
    return str(key) + (f" ({', '.join(f'{k}: {v}' for k, v in data.items())})" if data else "")


def _named(data: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The data of a note, with algorithms by their display names."""
    named = dict(data)
    if "members" in named:
        named["members"] = listing([algorithm_name(id, language) for id in str(named["members"]).split(", ")], language)
    if "singles" in named:
        pairs = [part.split(" ", 1) for part in str(named["singles"]).split(", ")]
        named["singles"] = listing([f"{algorithm_name(id, language)} {share}" for id, share in pairs], language)
    for key in ("algorithm", "winner", "leader"):
        if key in named:
            named[key] = algorithm_name(named[key], language)
    return worded(named, language)


def table(
    columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[Any]], marked: Iterable[int] = ()
) -> dict[str, Any]:
    """A table for the template: `columns` are (title, "text" or "number"), `marked` the indices of highlighted rows."""
    return {"columns": list(columns), "rows": [list(row) for row in rows], "marked": set(marked)}


def metric_text(name: str, value: Any, language: str, digits: int | None = None) -> str:
    """A score as text; `digits` for metrics in the target's units."""
    if name == "skill":
        return percent(value, language)
    if name == "wql":
        return number(None, language) if value is None or pd.isna(value) else percent(value / 100, language)
    metric = METRICS[name]
    if metric.percent and value is not None and pd.notna(value):
        return percent(value / 100, language)
    return number(value, language, digits if metric.digits is None else metric.digits)
