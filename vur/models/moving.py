"""Advances a saved model to newer observations without retraining; the stored model does not change."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vur.absence import fill_absent, zero_series
from vur.columns import ROW, own_name
from vur.errors import VurError
from vur.frequency import DAY, spacing
from vur.models.future import stamp_text
from vur.models.update import history_panel, sums
from vur.nearest import by_likeness
from vur.panel import Panel, snap
from vur.scoring.adaptive import rescaled
from vur.text import DEFAULT_LANGUAGE, translate

if TYPE_CHECKING:
    from vur.stages.model.pipeline import Pipeline
from vur.models.saved import Saved, bisect, fork

LENGTHS = {"month": 30 * DAY, "business": DAY}  # of one unit of a spacing, ns
PLAIN = ("unique_id", "ds", "y", "timestamps", "values")  # names that every model's observations may have
LONGEST, SHOWN = 100, 20  # characters of a name that a warning repeats, and names
FURTHEST = 10_000  # steps between the end of the history and the last observation


# --- reading observations ---


def read_observations(saved: Saved, table: pd.DataFrame) -> tuple[Panel | None, dict[str, VurError]]:
    """The observations in `table` as a panel, and an error for each series that cannot be read.

    Columns have the user's names, or are `unique_id, ds, y`. `VurError` if the table has no rows or lacks a column.
    """
    if table.empty:
        raise VurError("insight.no_rows")
    ids = series_of(saved, table)
    given, totals = list(dict.fromkeys(ids)), set(sums(saved.pipeline))
    errors = {id: VurError("predictions.sum_series", series=id) for id in given if id in totals}
    if not saved.learns_new_series:
        errors |= unknown_series(saved, [id for id in given if id not in saved.pipeline.ends.index])
    wanted = [id for id in given if id not in errors]
    if not wanted:
        return None, errors
    panels, wrong = bisect(
        wanted,
        lambda some: history_panel(
            saved.pipeline, saved.head, table if len(some) == len(given) else table[np.isin(ids, some)]
        ),
    )
    if not panels:
        return None, errors | wrong
    frame = pd.concat([panel.frame for panel in panels], ignore_index=True) if len(panels) > 1 else panels[0].frame
    futures = [panel.future for panel in panels if panel.future is not None]
    lost = {
        id: VurError("panel.target_empty", rows=int((ids == id).sum()))
        for id in set(wanted) - set(frame["unique_id"]) - set(wrong)
    }
    return replace(
        panels[0],
        frame=frame,
        future=pd.concat(futures, ignore_index=True) if futures else None,
    ).with_limits(), errors | wrong | lost


def series_of(saved: Saved, table: pd.DataFrame) -> np.ndarray:
    """The series of each row of `table`; `VurError` if a date, target or series column is missing."""
    from vur.columns import core_columns, series_names

    date, target, columns = core_columns(table, saved.head["names"])
    for column, role in [(date, "date"), (target, "target"), *((column, "series") for column in columns)]:
        if column not in table:
            raise VurError("panel.column_missing", column=column, role=role, columns=", ".join(map(str, table.columns)))
    only = saved.pipeline.ends.index[0]
    return series_names(table, columns, only).to_numpy()


EXPLAINED = 5  # unknown series of a request for which close names are searched


def unknown_series(saved: Saved, ids: Iterable[str]) -> dict[str, VurError]:
    """An error for each of `ids`, none of which the model can forecast, with the closest known names."""
    from difflib import get_close_matches

    known, errors = saved.pipeline.ends.index, {}
    for number, id in enumerate(ids):
        near = get_close_matches(id, [str(one) for one in known[:10_000]], 3, 0.6) if number < EXPLAINED else []
        errors[id] = VurError(
            "predictions.unknown_series", series=id, known=", ".join(map(str, near or known[:5])), count=len(known)
        )
    return errors


def unused_columns(saved: Saved, *given: Any) -> tuple[tuple[str, str], ...]:
    """Names in rows or blocks of a request that are no column of the model, with its columns, nearest first.

    `given` are lists of rows, mappings of blocks, or anything else, which has no columns.
    """
    found = dict.fromkeys(str(name) for one in given for block in _blocks_of(one) for name in block)
    names = model_columns(saved)
    unused = [name for name in found if name not in {*names, *PLAIN, *saved.head["roles"]}]
    return tuple((name[:LONGEST], ", ".join(by_likeness(name, names)[:SHOWN])) for name in unused[:SHOWN])


def _blocks_of(given: Any) -> Iterable[Any]:
    blocks = given.values() if isinstance(given, Mapping) else given if isinstance(given, (list, tuple)) else ()
    return (block for block in blocks if isinstance(block, Mapping))


def model_columns(saved: Saved) -> list[str]:
    """The columns of the training data that the model knows, under the user's names."""
    names = saved.head["names"]
    series = [names["series"]] if isinstance(names.get("series"), str) else list(names.get("series") or ())
    core = [names.get("date") or "ds", names.get("target") or "y", *series]
    return list(dict.fromkeys([*core, *(own_name(name, names) for name in saved.head["roles"])]))


def unused_sentence(one: tuple[str, str], language: str = DEFAULT_LANGUAGE) -> str:
    """One of `unused_columns` as a warning."""
    return translate("predictions.unused_column", language, column=one[0], known=one[1])


# --- moving ---


def move(saved: Saved, given: Panel) -> "Pipeline":
    """A copy of the model advanced to the end of `given`, for the series of `given` only (all of a hierarchy).

    Series are either all known to the model or all new to it; new ones bring their whole history. `VurError`
    runs.data_gone if the history of known series is missing, predictions.too_far for observations too far ahead.
    """
    pipeline = saved.pipeline
    new = given.frame["unique_id"].iloc[0] not in pipeline.ends.index
    panel = given if new else merge_history(saved.history(), given, all_series=pipeline.reconciler is not None)
    facts = saved.head.get("absence") or {}
    panel = fill_absent(panel, zero_series(panel, facts), given.frame["ds"].max(), facts.get("shut"))
    moved = fork(pipeline)
    moved.update(panel)
    if new and moved.calibration is not None:
        moved.calibration = rescaled(moved.calibration, panel)
    return moved


def merge_history(history: Panel, given: Panel, all_series: bool = False) -> Panel:
    """`history` updated with the rows of `given`, for the series of `given` or for all.

    Rows of `given` replace those with the same timestamp.
    """
    before = (
        history.frame
        if all_series
        else history.frame[history.frame["unique_id"].isin(given.frame["unique_id"].unique())]
    )
    check_reach(before, given)
    frame = pd.concat([before, given.frame.reindex(columns=history.frame.columns)], ignore_index=True)
    for name in history.columns("static"):
        frame[name] = frame.groupby("unique_id", sort=False)[name].transform("first")
    frame = frame.assign(**{ROW: np.arange(len(frame))}).sort_values(["unique_id", "ds", ROW], ignore_index=True)
    frame = snap(frame, history.freq)[0].drop_duplicates(["unique_id", "ds"], keep="last").drop(columns=ROW)
    merged = replace(history.with_frame(frame), future=_futures(given, history), notes={}, origin=None)
    return merged.with_limits()


def _futures(given: Panel, history: Panel) -> pd.DataFrame | None:
    names = history.columns("known_future")
    parts = [
        part.reindex(columns=["unique_id", "ds", *names])
        for part in (given.future, history.future)
        if part is not None and len(part)
    ]
    return pd.concat(parts, ignore_index=True).drop_duplicates(["unique_id", "ds"]) if parts else None


def check_reach(before: pd.DataFrame, given: Panel) -> None:
    """`VurError` predictions.too_far naming the first series with observations more than `FURTHEST` steps ahead."""
    last, ends = (frame.groupby("unique_id", sort=False)["ds"].max() for frame in (given.frame, before))
    ends = ends.reindex(last.index).dropna()
    last = last[ends.index]
    step = spacing(given.freq.alias)
    size = 7 * DAY // len(step.open) if step.kind == "open" else step.size * LENGTHS.get(step.kind, 1)
    far = (last.to_numpy().astype(np.int64) - ends.to_numpy().astype(np.int64)) // size > FURTHEST
    if far.any():
        series = last.index[int(far.argmax())]
        raise VurError(
            "predictions.too_far",
            series=series,
            stamp=stamp_text(last[series]),
            end=stamp_text(ends[series]),
            limit=FURTHEST,
        )
