"""The observed values of a model's series: those it was trained on, and those that came later."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from vur.errors import VurError
from vur.models.check import observed_rows
from vur.models.saved import Saved
from vur.predictions.actuals import family_of, observed_path
from vur.predictions.open_models import LruCache
from vur.store.accounts.access import Principal
from vur.store.catalog import Dataset, Forecast, ForecastPoint, Model
from vur.store.database import reading
from vur.store.forecasts.cells import cells
from vur.store.forecasts.scoring import accessible
from vur.store.models.champions import Served

if TYPE_CHECKING:
    from vur.panel import Panel

_newer: LruCache[pd.DataFrame] = LruCache(4)
_sums: LruCache[Any] = LruCache(4)


@dataclass(frozen=True)
class Line:
    """Values of one series or of a sum, by the model's stamps, ascending; NaN where nothing was observed."""

    stamps: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps)

    def between(self, start: Any = None, end: Any = None) -> "Line":
        """The part from `start` to `end`, both included."""
        inside = np.ones(len(self), dtype=bool)
        inside &= True if start is None else self.stamps >= start
        inside &= True if end is None else self.stamps <= end
        return Line(self.stamps[inside], self.values[inside])


def history_panel(saved: Saved) -> "Panel":
    """The panel that a model was trained on, with the sums of a hierarchy as series of their own."""
    reconciler = saved.pipeline.reconciler
    return saved.history() if reconciler is None else _sums.get(saved.tag, lambda: reconciler.panel(saved.history()))


def find_series(saved: Saved, series: str | None) -> str | None:
    """The name of a series of the model; None for the sum of several.

    The only series, or the total of a hierarchy, is found without a name. `VurError` predictions.unknown_series.
    """
    from vur.models.moving import unknown_series

    names = saved.pipeline.ends.index
    if series is not None and series not in names:
        raise unknown_series(saved, [series])[series]
    if series is not None or len(names) > 1 and saved.pipeline.reconciler is None:
        return series
    if len(names) == 1:
        return str(names[0])
    whole = saved.pipeline.reconciler.hierarchy.whole
    return str(whole[0]) if len(whole) == 1 else None


def parts_of(saved: Saved, series: str | None) -> list[str]:
    """The series that are summed without a name: all, but none that is the sum of others."""
    if series is not None:
        return [series]
    reconciler = saved.pipeline.reconciler
    return [str(name) for name in (saved.pipeline.ends.index if reconciler is None else reconciler.hierarchy.bottom)]


def trained_on(saved: Saved, series: str | None) -> Line:
    """The values that the model was trained on, of one series or the sum of all."""
    frame = history_panel(saved).frame[["unique_id", "ds", "y"]]
    if series is not None:
        rows = frame[frame["unique_id"] == series]
        return Line(rows["ds"].to_numpy(), rows["y"].to_numpy(float))
    return total(frame[frame["unique_id"].isin(parts_of(saved, None))])


def total(frame: pd.DataFrame) -> Line:
    """The sum of all series at each stamp; NaN where a series that has begun and not ended has no value."""
    lives = frame.groupby("unique_id", sort=False)["ds"].agg(["min", "max"])
    found = frame.groupby("ds", sort=True)["y"].agg(["sum", "count"])
    stamps = found.index.to_numpy()
    begun = np.searchsorted(np.sort(lives["min"].to_numpy()), stamps, side="right")
    ended = np.searchsorted(np.sort(lives["max"].to_numpy()), stamps, side="left")
    whole = found["count"].to_numpy() >= begun - ended
    return Line(stamps, np.where(whole, found["sum"].to_numpy(float), np.nan))


# --- what came later ---


def came_later(who: Principal, served: Served, saved: Saved, series: str | None) -> tuple[Line, list[VurError]]:
    """The values after the end of the training data, and the errors of a newer dataset that cannot be read.

    They come from a newer version of the model's dataset, else from the actual values in the ledger that `who` may see.
    """
    errors: list[VurError] = []
    try:
        rows = newer_rows(served, saved)
    except VurError as error:
        rows, errors = no_rows(saved), [error]
    wanted, end = parts_of(saved, series), saved.pipeline.ends
    hierarchy = saved.pipeline.reconciler.hierarchy if saved.pipeline.reconciler is not None else None
    if series is not None and hierarchy is not None and series in hierarchy.sums:
        return _later_sum(rows, bottom_of(hierarchy, series), end[series]), errors
    if series is None:
        return _later_sum(rows, wanted, end[wanted].max()), errors
    own = rows[rows["unique_id"] == series]
    line = Line(own["ds"].to_numpy(), own["y"].to_numpy(float))
    return _with_ledger(line, ledger_actuals(who, served, saved, series), saved.pipeline.head.freq.alias), errors


def bottom_of(hierarchy: Any, series: str) -> list[str]:
    """The series of a hierarchy that add up to the sum `series`."""
    row = hierarchy.upper[list(hierarchy.sums).index(series)]
    return [str(hierarchy.bottom[place]) for place in row.indices]


def _later_sum(rows: pd.DataFrame, wanted: list[str], end: Any) -> Line:
    """The sum at stamps after `end` at which every series has a value."""
    own = rows[rows["unique_id"].isin(wanted) & (rows["ds"] > end)] if len(rows) else rows
    if own.empty:
        return Line(rows["ds"].to_numpy()[:0], np.array([]))
    found = own.groupby("ds", sort=True)["y"].agg(["sum", "count"])
    found = found[found["count"] == len(wanted)]
    return Line(found.index.to_numpy(), found["sum"].to_numpy(float))


def newer_rows(served: Served, saved: Saved) -> pd.DataFrame:
    """Rows of the newest version of the model's dataset after the end of each series: `unique_id, ds, y`, ascending."""
    with reading() as session:
        dataset = session.get(Dataset, served.dataset_id) if served.dataset_id else None
        path = None
        if dataset is not None and dataset.number != (served.dataset_number or 1):
            path = observed_path(session, dataset)
    if path is None:
        return no_rows(saved)
    return _newer.get((served.tag, served.checksum, str(path)), lambda: _rows_after(saved, pd.read_parquet(path)))


def no_rows(saved: Saved) -> pd.DataFrame:
    """A table of observations without rows."""
    ends = saved.pipeline.ends.to_numpy()[:0]
    return pd.DataFrame({"unique_id": np.array([], dtype=object), "ds": ends, "y": np.array([], dtype=float)})


def _rows_after(saved: Saved, table: pd.DataFrame) -> pd.DataFrame:
    rows = observed_rows(saved.pipeline, saved.head, table)[["unique_id", "ds", "y"]]
    freq = saved.pipeline.head.freq.alias
    ends = rows["unique_id"].map(saved.pipeline.ends)
    rows, ends = rows[ends.notna()], ends[ends.notna()].astype(rows["ds"].dtype)
    later = rows[cells(rows["ds"].to_numpy(), freq) > cells(ends.to_numpy(), freq)]
    return later.drop_duplicates(["unique_id", "ds"], keep="last").sort_values(["unique_id", "ds"], ignore_index=True)


def ledger_actuals(who: Principal, served: Served, saved: Saved, series: str) -> Line:
    """The actual values of a series in the ledger after the end of the training data."""
    end = saved.pipeline.ends[series]
    point, dated = ForecastPoint, not saved.pipeline.head.freq.is_integer
    target = point.target_at if dated else point.target_step
    after = pd.Timestamp(end).tz_localize("UTC").to_pydatetime() if dated else int(end)
    with reading() as session:
        family = family_of(session, session.get_one(Model, served.id))
        statement = accessible(
            select(target, point.actual)
            .join(Forecast, Forecast.id == point.forecast_id)
            .where(
                point.tag.in_([model.tag for model in family]),
                Forecast.model_id.in_([model.id for model in family]),
                point.unique_id == series,
                point.actual.is_not(None),
                target > after,
            ),
            who,
        )
        found: dict[Any, Any] = dict(session.execute(statement.distinct().order_by(target)).tuples().all())
    keys = [stamp.replace(tzinfo=None) for stamp in found] if dated else list(found)
    return Line(np.array(keys, "M8[ns]" if dated else np.int64), np.array(list(found.values()), float))


def _with_ledger(line: Line, other: Line, freq: str) -> Line:
    """`line` with the values of `other` at the steps that it lacks."""
    if not len(other):
        return line
    if not len(line):
        return other
    new = ~np.isin(cells(other.stamps, freq), cells(line.stamps, freq))
    stamps, values = (
        np.concatenate([line.stamps, other.stamps[new].astype(line.stamps.dtype)]),
        np.concatenate([line.values, other.values[new]]),
    )
    order = np.argsort(stamps, kind="stable")
    return Line(stamps[order], values[order])
