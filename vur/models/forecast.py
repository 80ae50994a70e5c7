"""Forecasts of a saved model for any of its series; a series that fails does not stop the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.models.future import (
    Coming,
    check_cells,
    check_reach,
    check_usable,
    coming_steps,
    fill_coming,
    read_series,
    strange_levels,
    used_columns,
)
from vur.models.horizon import asked_horizon, asked_levels
from vur.models.moving import move, read_observations, unknown_series
from vur.models.saved import Saved, bisect, restrict, shown_whole
from vur.stages.model.pipeline import whole_numbers
from vur.store.forecasts.ledger import Points

if TYPE_CHECKING:
    from vur.panel import Panel
    from vur.stages.model.pipeline import Pipeline


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of several series, and the errors of those that failed.

    `frame` has `unique_id, ds, forecast, lo-L, hi-L` (the model's timestamps); `ends` the origin and `errors` the
    reason, by series. `strange` are levels of the future that training never held (`vur.models.future.strange_levels`).
    """

    frame: pd.DataFrame
    ends: pd.Series
    errors: dict[str, VurError] = field(default_factory=dict)
    strange: tuple[dict[str, Any], ...] = ()

    @classmethod
    def none(cls, saved: Saved, errors: dict[str, VurError] | None = None) -> "Forecasts":
        """A result without any series."""
        return cls(pd.DataFrame(), saved.pipeline.ends.iloc[:0], errors or {})


def forecasts(
    saved: Saved,
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
    *,
    ids: Sequence[str] | None = None,
    observations: pd.DataFrame | None = None,
    future: pd.DataFrame | None = None,
    whole: bool | None = None,
) -> Forecasts:
    """Forecast `horizon` steps with intervals at `levels` (by default, both as trained).

    `ids` selects series. `observations` are rows with the user's column names; forecasts of their series start after
    them. `future` has the values of known-future columns. A series that is unknown, unreadable or lacks a future value
    gets its own error; `VurError` is raised for problems of the request as a whole. Forecasts are expected values, or
    with `whole` (by default as trained) whole numbers that keep the sum of each series.
    """
    found = _expected(saved, *check_request(saved, horizon, levels), ids, observations, future)
    return (
        replace(found, frame=whole_numbers(found.frame))
        if shown_whole(whole, saved.metadata) and len(found.frame)
        else found
    )


def _expected(
    saved: Saved,
    horizon: int,
    levels: tuple[float, ...],
    ids: Sequence[str] | None,
    observations: pd.DataFrame | None,
    future: pd.DataFrame | None,
) -> Forecasts:
    if observations is None:
        return _from(saved, saved.pipeline, horizon, levels, ids, future)
    given, errors = read_observations(saved, observations)
    made: list[Forecasts] = []
    if given is None:
        return _together(saved, made, errors)
    for group in _groups(saved, given, ids):
        if saved.pipeline.reconciler is not None:
            made.append(_from(saved, move(saved, given), horizon, levels, ids, future))
            continue
        coming = _Rows.of(saved, future, group)
        work = partial(_moved, saved, given, horizon=horizon, levels=levels, coming=coming)
        done, wrong = bisect(group, work)
        made, errors = made + done, errors | wrong
    return _together(saved, made, errors)


def _groups(saved: Saved, given: "Panel", ids: Sequence[str] | None) -> list[list[str]]:
    """The requested series of `given`, known and new to the model apart."""
    wanted = [id for id in given.frame["unique_id"].unique() if ids is None or id in set(ids)]
    known = [id for id in wanted if id in saved.pipeline.ends.index]
    return [group for group in (known, [id for id in wanted if id not in set(known)]) if group]


def _together(saved: Saved, made: list[Forecasts], errors: dict[str, VurError]) -> Forecasts:
    frames, ends = [one.frame for one in made if len(one.frame)], [one.ends for one in made if len(one.ends)]
    for one in made:
        errors |= one.errors
    if not frames:
        return Forecasts.none(saved, errors)
    strange = tuple(entry for one in made for entry in one.strange)
    return Forecasts(pd.concat(frames, ignore_index=True), pd.concat(ends), errors, strange)


def check_request(saved: Saved, horizon: int | None, levels: Sequence[float] | None) -> tuple[int, tuple[float, ...]]:
    """The horizon and levels in effect; `VurError` for invalid ones."""
    steps, wanted = asked_horizon(horizon, saved.metadata), asked_levels(levels, saved.levels)
    if wanted and saved.pipeline.calibration is None:
        raise VurError("forecasters.uncalibrated", algorithm=saved.pipeline.id)
    return steps, wanted


@dataclass(frozen=True)
class _Rows:
    """A user's table of future values and the series of each row; empty without a table."""

    table: pd.DataFrame | None
    ids: np.ndarray

    @classmethod
    def of(cls, saved: Saved, table: pd.DataFrame | None, group: list[str]) -> "_Rows":
        """The rows of `table`; `VurError` if one names a series that is neither the model's nor in `group`."""
        if table is None:
            return cls(None, np.array([]))
        known = pd.DataFrame({"unique_id": saved.pipeline.ends.index.union(group)})
        return cls(
            table, read_series(Coming(known, [], saved.pipeline.head.freq, names=saved.head["names"]), table).to_numpy()
        )

    def part(self, some: list[str]) -> pd.DataFrame | None:
        """The rows of some series; None if there are none."""
        rows = None if self.table is None else self.table[np.isin(self.ids, some)]
        return rows if rows is not None and len(rows) else None


def _moved(
    saved: Saved, given: "Panel", some: list[str], horizon: int, levels: tuple[float, ...], coming: _Rows
) -> Forecasts:
    part = given.with_frame(given.frame[given.frame["unique_id"].isin(some)])
    return _from(saved, move(saved, part), horizon, levels, some, coming.part(some))


def _from(
    saved: Saved,
    pipeline: "Pipeline",
    horizon: int,
    levels: tuple[float, ...],
    ids: Sequence[str] | None,
    future: pd.DataFrame | None,
) -> Forecasts:
    """Forecasts of `pipeline` from its current origin."""
    known = pipeline.ends.index
    errors = unknown_series(saved, [id for id in ids or () if id not in known])
    wanted = known if ids is None else pd.Index([id for id in dict.fromkeys(ids) if id in known])
    if not len(wanted):
        return Forecasts.none(saved, errors)
    if len(wanted) < len(known) and (some := restrict(pipeline, wanted)) is not pipeline:
        pipeline, future = some, _Rows.of(saved, future, []).part(list(wanted))
    check_reach(pipeline, horizon)
    rows, lacking, strange = _coming(pipeline, saved, horizon, future, set(wanted))
    wanted = wanted.difference(list(lacking), sort=False)
    if not len(wanted):
        return Forecasts.none(saved, errors | lacking)
    frame = pipeline.predict(horizon, rows, levels=levels)
    if len(wanted) < len(pipeline.ends):
        frame = frame[frame["unique_id"].isin(wanted)].reset_index(drop=True)
    return Forecasts(frame, pipeline.ends[wanted], errors | lacking, strange)


def _coming(
    pipeline: "Pipeline", saved: Saved, horizon: int, future: pd.DataFrame | None, wanted: set[str]
) -> tuple[pd.DataFrame | None, dict[str, VurError], tuple[dict[str, Any], ...]]:
    """The future values for `Pipeline.predict`, requested series that lack one, and levels that training never held.

    Values in `future` take precedence over those that the model has stored.
    """
    check_usable(pipeline, future)
    if not pipeline.head.columns("known_future"):
        return None, {}, ()
    coming = coming_steps(pipeline, horizon, saved.head["names"])
    if future is not None:
        coming = fill_coming(coming, future, used_columns(pipeline))
    coming, lacking = _complete(pipeline, coming, wanted)
    asked = (
        replace(coming, rows=coming.rows[coming.rows["unique_id"].isin(wanted)]) if saved.head.get("levels") else coming
    )
    strange = strange_levels(asked, saved.head, used_columns(pipeline))
    return coming.rows[["unique_id", "ds", *coming.columns]], lacking, tuple(strange)


def _complete(pipeline: "Pipeline", coming: Coming, wanted: set[str]) -> tuple[Coming, dict[str, VurError]]:
    """`coming` without empty cells in the columns that the model uses, and an error for each requested series with one.

    Cells of the failed series are filled from their neighbours, so that the others can be forecast.
    """
    needed = used_columns(pipeline)
    empty = coming.rows[needed].isna().any(axis=1) if needed else None
    if empty is None or not empty.any():
        return coming, {}
    if pipeline.reconciler is not None:
        check_cells(coming, needed)
    errors = {}
    lacking = wanted & set(coming.rows.loc[empty, "unique_id"])
    for id, rows in coming.rows[coming.rows["unique_id"].isin(lacking)].groupby("unique_id", sort=False):
        try:
            check_cells(replace(coming, rows=rows.reset_index(drop=True)), needed)
        except VurError as error:
            errors[id] = error
    filled = coming.rows.copy()
    filled[needed] = filled.groupby("unique_id", sort=False)[needed].transform(lambda column: column.ffill().bfill())
    for name in needed:
        filled[name] = filled[name].fillna("" if name in coming.text else 0.0)
    return replace(coming, rows=filled), errors


def points_of(found: Forecasts, horizon: int, levels: Sequence[float]) -> Points:
    """Forecasts in the form of the ledger: matrices of series by steps."""
    if found.frame.empty:
        empty = np.empty((0, horizon))
        return Points([], np.empty(0), empty, empty, {})
    frame, ids = found.frame, found.frame["unique_id"].to_numpy()[::horizon]
    shape = (len(ids), horizon)
    bounds = {
        f"{level:g}": tuple(frame[f"{end}-{level:g}"].to_numpy(float).reshape(shape) for end in ("lo", "hi"))
        for level in levels
    }
    return Points(
        [str(id) for id in ids],
        found.ends.reindex(ids).to_numpy(),
        frame["ds"].to_numpy().reshape(shape),
        frame["forecast"].to_numpy(float).reshape(shape),
        bounds,
    )
