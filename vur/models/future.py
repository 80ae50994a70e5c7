"""Columns known in the future: which models use them, what the coming steps need, and exactly which values are missing."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vur.columns import read_stamps, series_names, utc_time, wall_time
from vur.errors import VurError
from vur.forecasters.registry import algorithm, algorithms
from vur.frequency import DAY, Frequency, advance, spacing
from vur.panel import Panel, future_frame
from vur.stages.features import is_number
from vur.stages.upload import upload
from vur.timezones import is_sub_daily, to_zone

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
        raise VurError(
            "runs.future_missing",
            column=column,
            series=rows["unique_id"].iloc[row],
            stamp=stamp_text(rows["ds"].iloc[row]),
            count=int(empty.to_numpy().sum()),
            steps=known_steps(panel),
        )


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
    raise VurError(
        "covariates.unused", model=pipeline.id, columns=", ".join(given) or "-", algorithms=", ".join(known_users())
    )


def covariate_use(algorithm_id: str, panel: Panel, members: Sequence[str] = ()) -> dict[str, list[str]]:
    """The covariates of `panel` that an algorithm can use and those that it ignores: `used, ignored`.

    `members` are the algorithms of an ensemble. A `past_only` column that leads nothing is tried and may still be left
    out.
    """
    roles = {role for id in (members or [algorithm_id]) for role in algorithm(id).covariates}
    columns = [
        name
        for name, role in panel.roles.items()
        if role in ("known_future", "past_only", "static") and name in panel.frame
    ]
    used = [
        name
        for name in columns
        if panel.roles[name] in roles and (panel.roles[name] != "past_only" or is_number(panel.frame[name]))
    ]
    return {"used": used, "ignored": [name for name in columns if name not in used]}


# --- the coming steps ---


@dataclass(frozen=True)
class Coming:
    """The coming steps of all series: `rows` has `unique_id, ds, step` and the known-future `columns`, NaN where not known.

    `names` are the user's names of `date` and `series`; `text` are the columns that hold text; `parts` has the series
    columns of each `unique_id` where it is made of several.
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
            columns[name] = (
                self.rows["unique_id"] if self.parts is None else self.rows["unique_id"].map(self.parts[name])
            )
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
        rows = _grid(_own_ends(source), panel.freq, horizon).merge(
            panel.frame[["unique_id", "ds", *columns]], on=["unique_id", "ds"], how="left"
        )
    text = frozenset(name for name in columns if not is_number(panel.frame[name]))
    return Coming(
        rows,
        columns,
        panel.freq,
        panel.tz,
        names,
        text,
        _parts(panel.frame, rows["unique_id"].unique(), _series(names)),
    )


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
    return pd.DataFrame(
        {"series": ids[row], "stamp": table[date].array[row], "column": values.columns.to_numpy(dtype=object)[column]}
    )


def check_cells(coming: Coming, columns: Sequence[str]) -> None:
    """`VurError` covariates.missing naming the first empty cells among `columns`; its data hold them all as `table`."""
    if not coming.rows[list(columns)].isna().to_numpy().any():
        return
    local = to_zone(coming.rows, coming.tz, coming.freq)
    cells = missing_cells(local[["unique_id", "ds", *columns]], "ds", ["unique_id"])
    shown = "; ".join(
        f"{cell.column} ({cell.series}, {stamp_text(cell.stamp)})" for cell in cells.head(SHOWN).itertuples()
    )
    raise VurError(
        "covariates.missing", cells=shown + ("; …" if len(cells) > SHOWN else ""), count=len(cells), table=cells
    )


def stamp_text(value: Any) -> str:
    """A stamp for a message: without a time where there is none."""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
    return str(value)


def fill_coming(coming: Coming, given: pd.DataFrame | str | Path, needed: Sequence[str]) -> Coming:
    """`coming` with the values of `given` (a frame or a file with the user's column names) in place of what was known.

    An empty cell of `given` keeps what was known. Rows before the coming steps and columns of another kind are passed
    over. `VurError` names a column that is missing although `needed`, an unknown series, a stamp that comes twice, a
    text where a number is due, or that no row lies in the coming steps.
    """
    frame = given if isinstance(given, pd.DataFrame) else read_table(Path(given))
    rows = locate_rows(coming, frame)
    names = {name: _found(name, frame) for name in coming.columns}
    for name in needed:
        if names[name] is None and coming.rows[name].isna().any():
            raise column_error(name, frame)
    filled = coming.rows.copy()
    for name, column in names.items():
        if column is not None:
            values = read_values(coming, name, frame[column], rows)
            filled[name] = _over(filled[name], rows["place"].to_numpy(), values)
    return replace(coming, rows=filled)


def read_table(path: Path) -> pd.DataFrame:
    """The table in a file, whatever format the upload reads; `VurError` when there is none."""
    if not path.is_file():
        raise VurError("runs.no_file", path=path)
    with tempfile.TemporaryDirectory() as scratch:
        return pd.read_parquet(upload(path, Path(scratch)).parquet)


# --- which row is which ---


def locate_rows(coming: Coming, frame: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, ds, row, place` of the rows of `frame` that lie in the coming steps: row from 1, place in `coming.rows`."""
    date = next((name for name in (coming.date, "ds") if name in frame), None)
    if date is None:
        raise column_error(coming.date, frame)
    if frame.empty:
        raise VurError("covariates.no_rows")
    rows = pd.DataFrame({"unique_id": read_series(coming, frame).array, "row": np.arange(1, len(frame) + 1)})
    original = read_stamps(frame[date].reset_index(drop=True), date)
    stamps, zone = wall_time(original, coming.tz)
    if zone is not None and is_sub_daily(coming.freq):
        stamps = utc_time(stamps, original, rows["unique_id"], zone)
    rows = rows.assign(ds=stamps, shown=frame[date].array, key=grid_keys(stamps, coming))
    twice = rows.duplicated(["unique_id", "key"], keep=False)
    if twice.any():
        same = rows[twice & (rows[["unique_id", "key"]] == rows.loc[twice.idxmax(), ["unique_id", "key"]]).all(axis=1)]
        raise VurError(
            "covariates.twice",
            series=same["unique_id"].iloc[0],
            stamp=stamp_text(same["ds"].iloc[0]),
            rows=", ".join(map(str, same["row"].head(SHOWN))),
        )
    places = coming.rows[["unique_id"]].assign(
        key=grid_keys(coming.rows["ds"], coming), place=np.arange(len(coming.rows))
    )
    found = rows.merge(places, on=["unique_id", "key"]).sort_values("row", ignore_index=True)
    if found.empty:
        raise VurError(
            "covariates.outside",
            first=stamp_text(coming.rows["ds"].min()),
            last=stamp_text(coming.rows["ds"].max()),
            low=stamp_text(rows["ds"].min()),
            high=stamp_text(rows["ds"].max()),
        )
    return found


def grid_keys(stamps: pd.Series, coming: Coming) -> np.ndarray:
    """Whole numbers that are equal for stamps of one step: the month of monthly steps, the day of daily and longer ones."""
    values = stamps.to_numpy()
    if values.dtype.kind != "M" or coming.rows["ds"].dtype.kind != "M":
        if (values.dtype.kind == "M") != (coming.rows["ds"].dtype.kind == "M"):
            raise VurError(
                "covariates.stamps",
                column=coming.date,
                value=stamp_text(stamps.iloc[0]),
                expected=stamp_text(coming.rows["ds"].iloc[0]),
            )
        return values.astype(np.int64)
    return values.astype(f"M8[{_unit(coming.freq)}]").astype(np.int64)


def _unit(freq: Frequency) -> str:
    step = spacing(freq.alias)
    if step.kind == "month":
        return "M"
    return "D" if step.kind == "business" or step.size >= DAY else "ns"


def read_series(coming: Coming, frame: pd.DataFrame) -> pd.Series:
    """The series of each row; `VurError` when a series column is missing or the model knows no series of that name."""
    known = coming.rows["unique_id"].unique()
    wanted = _wanted(coming)
    if "unique_id" in frame and not (wanted and set(wanted) <= set(frame.columns)):
        wanted = ["unique_id"]
    absent = [name for name in wanted if name not in frame]
    if absent and len(known) > 1:
        raise column_error(absent[0], frame)
    if absent or not wanted:
        return pd.Series(known[0], index=range(len(frame)), dtype=object)
    ids = series_names(frame, wanted, "")
    strange = ids[~ids.isin(known)]
    if len(strange):
        listed = list(dict.fromkeys(strange))
        near = get_close_matches(str(listed[0]), [str(id) for id in known], 1, 0.6) or list(known[:SHOWN])
        raise VurError(
            "covariates.unknown_series",
            series=", ".join(map(str, listed[:SHOWN])) + (", …" if len(listed) > SHOWN else ""),
            count=len(listed),
            row=int(strange.index[0]) + 1,
            known=", ".join(map(str, near)),
            total=len(known),
        )
    return ids


def _wanted(coming: Coming) -> list[str]:
    given = coming.names.get("series")
    return [given] if isinstance(given, str) else list(given or [])


# --- values ---


def _found(name: str, frame: pd.DataFrame) -> str | None:
    """The column of `frame` that is called `name`; a name that the panel had to change is known by its old form too."""
    return name if name in frame else name[:-1] if name.endswith("_") and name[:-1] in frame else None


def column_error(name: str, frame: pd.DataFrame) -> VurError:
    """The error for a column that a table of coming values lacks, with the one that may have been meant."""
    columns = [str(column) for column in frame.columns]
    plain = {column.strip().lower(): column for column in columns}
    near = get_close_matches(name.strip().lower(), plain, 1, 0.7)
    code = "covariates.column_close" if near else "covariates.column_missing"
    return VurError(code, column=name, found=plain[near[0]] if near else "", columns=", ".join(columns))


def read_values(coming: Coming, name: str, column: pd.Series, rows: pd.DataFrame) -> np.ndarray:
    """The values of a column at `rows`: text, or floats; `VurError` names the first that should be a number and is none."""
    column = column.reset_index(drop=True).iloc[rows["row"].to_numpy() - 1]
    if name in coming.text:
        return (
            column.astype(object)
            .where(column.notna(), None)
            .map(lambda v: None if v is None else str(v))
            .to_numpy(dtype=object)
        )
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    blank = column.isna().to_numpy() | (column.astype(str).str.strip() == "").to_numpy()
    wrong = (np.isnan(numbers) & ~blank) | np.isinf(numbers)
    if wrong.any():
        first = rows.iloc[int(wrong.argmax())]
        raise VurError(
            "covariates.not_number",
            column=name,
            value=column.iloc[int(wrong.argmax())],
            series=first["unique_id"],
            stamp=stamp_text(first["shown"]),
            row=int(first["row"]),
            count=int(wrong.sum()),
        )
    return numbers


def _over(known: pd.Series, place: np.ndarray, values: np.ndarray) -> pd.Series:
    """`known` with `values` at the rows `place`, where they are not empty."""
    full = known.astype(object) if values.dtype == object else known.astype(float)
    filled: Any = full.to_numpy(copy=True)
    there = ~pd.isna(values)
    filled[place[there]] = values[there]
    return pd.Series(filled, index=known.index)
