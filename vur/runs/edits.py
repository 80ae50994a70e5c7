"""Changes to coming values in a few signs: `+10%`, `-5`, `*1.2`, `=3`, a value, or one value a step."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vur.columns import read_stamps, wall_time
from vur.errors import VurError
from vur.runs.future import SHOWN, Coming, stamp_text
from vur.runs.future_file import column_error, fill_coming

CHANGE = re.compile(r"\s*([+\-*=])\s*(\d+(?:[.,]\d+)?|[.,]\d+)\s*(%?)\s*")
SET_NEGATIVE = re.compile(r"\s*=\s*-\s*(\d+(?:[.,]\d+)?)\s*")
LIMITS = ("change", "series", "start", "end")


def apply_edits(coming: Coming, edits: Mapping[str, Any] | pd.DataFrame | str | Path, used: Sequence[str]) -> Coming:
    """`coming` with `edits` made.

    A mapping gives a change for each column: a value, `"=3"`, `"+5"`, `"-5"`, `"*1.2"`, `"+10%"`, `"-10%"`, a list with one value a
    step, or a dict with `change` and any of `series` (a name or several), `start` and `end` (stamps) to change only those rows. A frame
    or file gives new values for the rows and columns it has. `VurError` names a column that the model does not use, and what cannot be
    read or changed.
    """
    if not isinstance(edits, Mapping):
        return fill_coming(coming, edits, ())
    if not edits:
        raise VurError("scenarios.nothing")
    rows = coming.rows.copy()
    for name, change in edits.items():
        if name not in coming.columns:
            raise column_error(str(name), coming.rows[coming.columns])
        if name not in used:
            raise VurError("scenarios.column_unused", column=name, used=", ".join(used))
        limits = dict(change) if isinstance(change, Mapping) else {"change": change}
        if set(limits) - set(LIMITS) or "change" not in limits:
            raise VurError("scenarios.edit", column=name, value=change)
        rows[name] = changed(coming, rows[name], str(name), limits["change"], chosen_rows(coming, limits))
    return replace(coming, rows=rows)


def chosen_rows(coming: Coming, limits: Mapping[str, Any]) -> np.ndarray:
    """Which of the coming rows an edit is for; `VurError` when it names an unknown series or leaves none."""
    rows, chosen = coming.rows, np.ones(len(coming.rows), dtype=bool)
    if limits.get("series") is not None:
        given = limits["series"]
        wanted = [str(id) for id in ([given] if isinstance(given, (str, int)) else given)]
        known = set(rows["unique_id"])
        if strange := [id for id in wanted if id not in known]:
            raise VurError("scenarios.series", series=", ".join(strange[:SHOWN]), known=", ".join(list(dict.fromkeys(rows["unique_id"]))[:SHOWN]))
        chosen &= rows["unique_id"].isin(wanted).to_numpy()
    for key, compare in (("start", np.greater_equal), ("end", np.less_equal)):
        if limits.get(key) is not None:
            chosen &= compare(local_stamps(coming), _stamp(limits[key], coming))
    if not chosen.any():
        raise VurError("scenarios.no_rows", first=stamp_text(rows["ds"].min()), last=stamp_text(rows["ds"].max()))
    return chosen


def local_stamps(coming: Coming) -> np.ndarray:
    """The stamps of the coming rows on the user's clock."""
    from vur.runs.stamps import to_zone

    return wall_time(to_zone(coming.rows[["ds"]], coming.tz, coming.freq)["ds"], coming.tz)[0].to_numpy()


def _stamp(value: Any, coming: Coming) -> Any:
    stamp = wall_time(read_stamps(pd.Series([value]), coming.date), coming.tz)[0].to_numpy()[0]
    if stamp.dtype.kind != coming.rows["ds"].dtype.kind:
        raise VurError("covariates.stamps", column=coming.date, value=str(value), expected=stamp_text(coming.rows["ds"].iloc[0]))
    return stamp


def changed(coming: Coming, column: pd.Series, name: str, change: Any, rows: np.ndarray) -> pd.Series:
    """`column` with `change` made at `rows`; `VurError` when the change makes no sense for it."""
    old = column.astype(object) if name in coming.text else column.astype(float)
    values: Any = old.to_numpy(copy=True)
    if isinstance(change, (list, tuple, np.ndarray, pd.Series)):
        given, steps = list(change), int(coming.rows["step"].max())
        if len(given) != steps:
            raise VurError("scenarios.length", column=name, count=len(given), steps=steps)
        new = [_single(coming, name, value) for value in given]
        values[rows] = np.array(new, dtype=values.dtype)[coming.rows["step"].to_numpy()[rows] - 1]
    else:
        values[rows] = _calculated(coming, name, change, values[rows])
    return pd.Series(values, index=column.index)


def _single(coming: Coming, name: str, value: Any) -> Any:
    if name in coming.text:
        return str(value)
    if isinstance(value, (bool, np.bool_, int, float, np.number)) and np.isfinite(value):
        return float(value)
    raise VurError("scenarios.edit", column=name, value=value)


def _calculated(coming: Coming, name: str, change: Any, old: np.ndarray) -> Any:
    """What `old` becomes under a value or an expression."""
    if name in coming.text:
        if not isinstance(change, str) or not change.strip().removeprefix("="):
            raise VurError("scenarios.edit_text", column=name, value=change)
        return change.strip().removeprefix("=").strip()
    if not isinstance(change, str):
        return _single(coming, name, change)
    if negative := SET_NEGATIVE.fullmatch(change):
        return -float(negative[1].replace(",", "."))
    found = CHANGE.fullmatch(change)
    if not found or (found[3] and found[1] in "*="):
        raise VurError("scenarios.edit", column=name, value=change)
    sign, amount = found[1], float(found[2].replace(",", "."))
    if sign == "=":
        return amount
    if sign == "*":
        return old * amount
    amount = amount if sign == "+" else -amount
    return old * (1 + amount / 100) if found[3] else old + amount
