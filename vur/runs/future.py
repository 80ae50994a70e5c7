"""Columns known in the future: which models use them, what the coming steps need, and exactly which values are missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.forecasters.base import algorithm, algorithms
from vur.frequency import advance
from vur.panel import Frequency, Panel, future_frame
from vur.runs.stamps import to_zone
from vur.stages.features import is_number

SHOWN = 5


def _coming(panel: Panel, horizon: int) -> pd.DataFrame:
    """The `horizon` stamps after each series' end with the known-future values that the data hold for them."""
    names = panel.columns("known_future")
    grid = future_frame(panel, horizon)
    given = panel.future if panel.future is not None else grid.iloc[:0][["unique_id", "ds"]]
    return grid.merge(given.reindex(columns=["unique_id", "ds", *names]), on=["unique_id", "ds"], how="left")


def known_steps(panel: Panel) -> int:
    """How many steps after its end every series has all known-future values for; 0 without such columns or values."""
    names = panel.columns("known_future")
    if not names or panel.future is None or panel.future.empty:
        return 0
    most = int(panel.future.groupby("unique_id", observed=True).size().max())
    rows = _coming(panel, most)
    lacking = rows.loc[rows[names].isna().any(axis=1), "step"]
    return most if lacking.empty else int(lacking.min()) - 1


def check_future(panel: Panel, horizon: int) -> None:
    """`VurError` naming the first series, stamp and column that the horizon needs and the data do not hold."""
    names = panel.columns("known_future")
    if not names:
        return
    rows = _coming(panel, horizon)
    empty = rows[names].isna()
    if empty.to_numpy().any():
        row = int(empty.any(axis=1).to_numpy().argmax())
        column = names[int(empty.iloc[row].to_numpy().argmax())]
        raise VurError("runs.future_missing", column=column, series=rows["unique_id"].iloc[row], stamp=stamp_text(rows["ds"].iloc[row]),
                       count=int(empty.to_numpy().sum()), steps=known_steps(panel))


# --- what a model uses ---

def known_users() -> list[str]:
    """Ids of the registered algorithms that can use columns known in the future, cheapest first."""
    return [id for id, entry in algorithms().items() if "known_future" in entry.covariates]


def used_columns(pipeline: Any) -> list[str]:
    """Known-future columns that change the forecasts of a fitted pipeline; of an ensemble, those that any member uses."""
    models = getattr(pipeline.forecaster, "members", None) or [pipeline.forecaster]
    return [name for name in pipeline.head.columns("known_future") if any(_uses(model, name) for model in models)]


def _uses(model: Any, column: str) -> bool:
    if "known_future" not in algorithm(model.id).covariates:
        return False
    if hasattr(model, "design"):  # a regression; one that learnt nothing repeats the last values
        return model.trained and column in model.design.spec.known_future
    chosen = getattr(model.features, "known_future", "auto")
    return chosen == "auto" or column in chosen


def check_usable(pipeline: Any, X_future: pd.DataFrame | Sequence[str] | None) -> None:
    """`VurError` covariates.unused when coming values were given to a fitted pipeline that no such column changes.

    `X_future` is a frame of coming values, or the names of their columns; None passes.
    """
    if X_future is None or used_columns(pipeline):
        return
    keys = {"unique_id", "ds", *_keys(pipeline.head.names)}
    given = [str(name) for name in X_future if name not in keys]
    raise VurError("covariates.unused", model=pipeline.id, columns=", ".join(given) or "-", algorithms=", ".join(known_users()))


def covariate_use(algorithm_id: str, panel: Panel, members: Sequence[str] = ()) -> dict[str, list[str]]:
    """The covariates of `panel` that an algorithm can use and those that it ignores: `used, ignored`.

    `members` are the algorithms of an ensemble. A `past_only` column that leads nothing is tried and may still be left out.
    """
    roles = {role for id in (members or [algorithm_id]) for role in algorithm(id).covariates}
    columns = [name for name, role in panel.roles.items() if role in ("known_future", "past_only", "static") and name in panel.frame]
    used = [name for name in columns
            if panel.roles[name] in roles and (panel.roles[name] != "past_only" or is_number(panel.frame[name]))]
    return {"used": used, "ignored": [name for name in columns if name not in used]}


# --- the coming steps ---

@dataclass(frozen=True)
class Coming:
    """The coming steps of all series: `rows` has `unique_id, ds, step` and the known-future `columns`, NaN where not known.

    `names` are the user's names of `date` and `series`; `text` are the columns that hold text; `parts` has the series columns
    of each `unique_id` where it is made of several.
    """

    rows: pd.DataFrame
    columns: list[str]
    freq: Frequency
    tz: str | None = None
    names: dict[str, Any] = field(default_factory=dict)
    text: frozenset[str] = frozenset()
    parts: pd.DataFrame | None = None

    @property
    def date(self) -> str:
        """The user's name of the date column."""
        return str(self.names.get("date") or "ds")

    @property
    def series(self) -> list[str]:
        """The user's names of the series columns; `unique_id` where a name made of several cannot be taken apart."""
        return ["unique_id"] if self.parts is None and len(_series(self.names)) > 1 else _series(self.names)

    def table(self) -> pd.DataFrame:
        """One row a series and step with the user's column names; `attrs` holds `date`, `series` and `known_future`."""
        local = to_zone(self.rows, self.tz, self.freq)
        columns: dict[str, Any] = {self.date: local["ds"]}
        for name in self.series:
            columns[name] = self.rows["unique_id"] if self.parts is None else self.rows["unique_id"].map(self.parts[name])
        table = pd.DataFrame(columns | {name: self.rows[name] for name in self.columns})
        table.attrs = {"date": self.date, "series": self.series, "known_future": self.columns}
        return table


def _series(names: dict[str, Any]) -> list[str]:
    given = names.get("series")
    return [given] if isinstance(given, str) else list(given or [])


def _keys(names: dict[str, Any]) -> list[str]:
    return [str(names.get("date") or "ds"), *_series(names)]


def coming_steps(source: Any, horizon: int, names: dict[str, Any] | None = None) -> Coming:
    """The `horizon` steps after the end of each series of a panel or a fitted pipeline, with what is known of them.

    `names` overrides the names that the source holds: a pipeline that was loaded has forgotten them.
    """
    if horizon < 1:
        raise VurError("forecasters.horizon", horizon=horizon)
    panel = source if isinstance(source, Panel) else source.head
    columns, names = panel.columns("known_future"), names or panel.names
    if isinstance(source, Panel):
        rows = _coming(panel, horizon)
    else:
        rows = _grid(_own_ends(source), panel.freq, horizon).merge(panel.frame[["unique_id", "ds", *columns]], on=["unique_id", "ds"], how="left")
    text = frozenset(name for name in columns if not is_number(panel.frame[name]))
    return Coming(rows, columns, panel.freq, panel.tz, names, text, _parts(panel.frame, rows["unique_id"].unique(), _series(names)))


def _own_ends(pipeline: Any) -> pd.Series:
    """Where each series ends; sums are left out, since their coming values follow from their parts."""
    reconciler = getattr(pipeline, "reconciler", None)
    return pipeline.ends if reconciler is None else pipeline.ends[list(reconciler.hierarchy.bottom)]


def _grid(ends: pd.Series, freq: Frequency, horizon: int) -> pd.DataFrame:
    step = np.tile(np.arange(1, horizon + 1), len(ends))
    stamps = advance(np.repeat(ends.to_numpy(), horizon), step, freq.alias)
    return pd.DataFrame({"unique_id": np.repeat(ends.index.to_numpy(), horizon), "ds": stamps, "step": step})


def _parts(frame: pd.DataFrame, ids: np.ndarray, series: list[str]) -> pd.DataFrame | None:
    """The series columns by `unique_id`, from the panel or by taking names apart; None where that has no single answer."""
    if len(series) < 2:
        return None
    if set(series) <= set(frame.columns):
        return frame.drop_duplicates("unique_id").set_index("unique_id")[series]
    pieces = [str(id).split("/") for id in ids]
    if any(len(piece) != len(series) for piece in pieces):
        return None
    return pd.DataFrame(pieces, columns=series, index=ids)


def future_table(source: Any, horizon: int, names: dict[str, Any] | None = None) -> pd.DataFrame:
    """One row a series and coming step of a panel or a fitted pipeline, with the user's column names, filled where known.

    Columns are the date, the series and the known-future columns; what is not known is empty (see `missing_cells`).
    """
    return coming_steps(source, horizon, names).table()


def missing_cells(table: pd.DataFrame, date: str | None = None, series: Sequence[str] | None = None) -> pd.DataFrame:
    """Every empty cell of a table of coming values: `series, stamp, column`, in the order of the rows.

    `date` and `series` are the names of those columns; a table of `future_table` knows them.
    """
    date = date or table.attrs.get("date", "ds")
    keys = list(table.attrs.get("series", ["unique_id"] if "unique_id" in table else []) if series is None else series)
    values = table.drop(columns=[date, *keys])
    row, column = np.nonzero(values.isna().to_numpy())
    ids = table[keys].astype(str).agg("/".join, axis=1).to_numpy() if keys else np.full(len(table), "", dtype=object)
    return pd.DataFrame({"series": ids[row], "stamp": table[date].array[row], "column": values.columns.to_numpy(dtype=object)[column]})


def check_cells(coming: Coming, columns: Sequence[str]) -> None:
    """`VurError` covariates.missing naming the first empty cells among `columns`; its data hold them all as `table`."""
    if not coming.rows[list(columns)].isna().to_numpy().any():
        return
    local = to_zone(coming.rows, coming.tz, coming.freq)
    cells = missing_cells(local[["unique_id", "ds", *columns]], "ds", ["unique_id"])
    shown = "; ".join(f"{cell.column} ({cell.series}, {stamp_text(cell.stamp)})" for cell in cells.head(SHOWN).itertuples())
    raise VurError("covariates.missing", cells=shown + ("; …" if len(cells) > SHOWN else ""), count=len(cells), table=cells)


def stamp_text(value: Any) -> str:
    """A stamp for a message: without a time where there is none."""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
    return str(value)
