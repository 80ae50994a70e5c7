"""Known-future covariates: which models use them, what the horizon needs, and which values are missing."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vur.columns import own_name, read_stamps, series_names, utc_time, wall_time
from vur.errors import VurError
from vur.forecasters.registry import algorithm, algorithms
from vur.frequency import DAY, Frequency, advance, spacing
from vur.models.horizon import check_calendar
from vur.panel import Panel, future_frame
from vur.stages.features import is_number
from vur.stages.features.levels import unseen_levels
from vur.stages.upload import upload_named
from vur.text import DEFAULT_LANGUAGE, translate
from vur.timezones import is_sub_daily, to_zone

SHOWN = 5


def _coming(panel: Panel, horizon: int) -> pd.DataFrame:
    """The `horizon` timestamps after each series' end, with the known-future values in the data."""
    names = panel.columns("known_future")
    grid = future_frame(panel, horizon)
    given = panel.future if panel.future is not None else grid.iloc[:0][["unique_id", "ds"]]
    return grid.merge(given.reindex(columns=["unique_id", "ds", *names]), on=["unique_id", "ds"], how="left")


def known_steps(panel: Panel) -> int:
    """Steps for which every series has all known-future values; 0 without such columns or values."""
    names = panel.columns("known_future")
    if not names or panel.future is None or panel.future.empty:
        return 0
    most = int(panel.future.groupby("unique_id", observed=True).size().max())
    rows = _coming(panel, most)
    lacking = rows.loc[rows[names].isna().any(axis=1), "step"]
    return most if lacking.empty else int(lacking.min()) - 1


def check_future(panel: Panel, horizon: int) -> None:
    """`VurError` naming the first series, timestamp and column that the horizon needs and the data lack."""
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
            column=panel.own(column),
            series=rows["unique_id"].iloc[row],
            stamp=stamp_text(rows["ds"].iloc[row]),
            count=int(empty.to_numpy().sum()),
            steps=known_steps(panel),
        )


# --- what a model uses ---


def known_users() -> list[str]:
    """Ids of the algorithms that can use known-future columns, cheapest first."""
    return [id for id, entry in algorithms().items() if "known_future" in entry.covariates]


def used_columns(pipeline: Any) -> list[str]:
    """Known-future columns that affect the forecasts of a fitted pipeline: those with effects, and those seen."""
    models = getattr(pipeline.forecaster, "members", None) or [pipeline.forecaster]
    taken_off = set() if pipeline.effects is None else set(pipeline.effects.columns)
    return [
        name
        for name in pipeline.head.columns("known_future")
        if name in taken_off or any(_uses(model, name) for model in models)
    ]


def blind_share(pipeline: Any) -> tuple[float, list[str]]:
    """The share of the forecast, and the algorithms, that see no known-future column and forecast no rest of them."""
    if pipeline.effects is not None:
        return 0.0, []
    forecaster = pipeline.forecaster
    members = getattr(forecaster, "members", None)
    shares = forecaster.shares() if members else {forecaster.id: 1.0}
    names = list(getattr(forecaster, "names", None) or []) if members else [forecaster.id]
    pairs = zip(names, members or [forecaster], strict=True)
    blind = {name: shares[name] for name, model in pairs if "known_future" not in algorithm(model.id).covariates}
    return float(sum(blind.values())), list(blind)


def _uses(model: Any, column: str) -> bool:
    if "known_future" not in algorithm(model.id).covariates:
        return False
    if hasattr(model, "design"):  # a regression; without training it repeats the last values
        return model.trained and column in model.design.spec.known_future
    chosen = getattr(model.features, "known_future", "auto")
    return chosen == "auto" or column in chosen


def check_usable(pipeline: Any, X_future: pd.DataFrame | Sequence[str] | None) -> None:
    """`VurError` covariates.unused if future values are given to a fitted pipeline that uses no such column.

    `X_future` is a frame of future values, or the names of its columns; None passes.
    """
    if X_future is None or used_columns(pipeline):
        return
    keys = {"unique_id", "ds", *_keys(pipeline.head.names)}
    given = ", ".join(str(name) for name in X_future if name not in keys) or "-"
    if pipeline.adjusted:  # its effects were looked for
        raise VurError("covariates.no_effect", model=pipeline.id, columns=given)
    raise VurError("covariates.unused", model=pipeline.id, columns=given, algorithms=", ".join(known_users()))


def covariate_use(algorithm_id: str, panel: Panel, members: Sequence[str] = ()) -> dict[str, list[str]]:
    """The covariates of `panel` that an algorithm can use and those that it ignores: `used, ignored`.

    `members` are the algorithms of an ensemble. A `past_only` column counts as used although it is dropped later if it
    does not lead the target.
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
    """The future steps of all series: `rows` has `unique_id, ds, step` and the known-future `columns` (NaN if unknown).

    `names` are the user's names of `date` and `series`; `text` are the columns with text; `parts` has the series
    columns by `unique_id`, if it is made of several.
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
        """The user's names of the series columns; `unique_id` if a composite name cannot be split."""
        return ["unique_id"] if self.parts is None and len(_series(self.names)) > 1 else _series(self.names)

    def table(self) -> pd.DataFrame:
        """One row per series and step with the user's column names; `attrs` has `date`, `series` and `known_future`."""
        local = to_zone(self.rows, self.tz, self.freq)
        columns: dict[str, Any] = {self.date: local["ds"]}
        for name in self.series:
            columns[name] = (
                self.rows["unique_id"] if self.parts is None else self.rows["unique_id"].map(self.parts[name])
            )
        columns |= {own_name(name, self.names): self.rows[name] for name in self.columns}
        table = pd.DataFrame(columns)
        known = [own_name(name, self.names) for name in self.columns]
        table.attrs = {"date": self.date, "series": self.series, "known_future": known}
        return table


def _series(names: dict[str, Any]) -> list[str]:
    given = names.get("series")
    return [given] if isinstance(given, str) else list(given or [])


def _keys(names: dict[str, Any]) -> list[str]:
    return [str(names.get("date") or "ds"), *_series(names)]


def coming_steps(source: Any, horizon: int, names: dict[str, Any] | None = None) -> Coming:
    """The `horizon` steps after the end of each series of a panel or fitted pipeline, with their known values.

    `names` overrides the names in the source: a loaded pipeline does not have them.
    """
    if horizon < 1:
        raise VurError("forecasters.horizon", horizon=horizon)
    check_reach(source, horizon)
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


def check_reach(source: Any, horizon: int) -> None:
    """`VurError` predictions.calendar if `horizon` steps after a panel or fitted pipeline pass the calendar's end."""
    if isinstance(source, Panel):
        check_calendar(_latest(source), source.freq, horizon)
    else:
        check_calendar(source.ends, source.head.freq, horizon, int(source.behind.max()))


def _latest(panel: Panel) -> pd.Series:
    """The last stamp of each series, or the origin that they share if it is later."""
    last = panel.frame.groupby("unique_id", sort=False, observed=True)["ds"].last()
    return last if panel.origin is None else last.clip(lower=panel.origin)


def _own_ends(pipeline: Any) -> pd.Series:
    """The end of each series, without sums: their future values follow from their parts."""
    reconciler = getattr(pipeline, "reconciler", None)
    return pipeline.ends if reconciler is None else pipeline.ends[list(reconciler.hierarchy.bottom)]


def _grid(ends: pd.Series, freq: Frequency, horizon: int) -> pd.DataFrame:
    step = np.tile(np.arange(1, horizon + 1), len(ends))
    stamps = advance(np.repeat(ends.to_numpy(), horizon), step, freq.alias)
    return pd.DataFrame({"unique_id": np.repeat(ends.index.to_numpy(), horizon), "ds": stamps, "step": step})


def _parts(frame: pd.DataFrame, ids: np.ndarray, series: list[str]) -> pd.DataFrame | None:
    """The series columns by `unique_id`, from the panel or by splitting names; None if that is ambiguous."""
    if len(series) < 2:
        return None
    if set(series) <= set(frame.columns):
        return frame.drop_duplicates("unique_id").set_index("unique_id")[series]
    pieces = [str(id).split("/") for id in ids]
    if any(len(piece) != len(series) for piece in pieces):
        return None
    return pd.DataFrame(pieces, columns=series, index=ids)


def future_table(source: Any, horizon: int, names: dict[str, Any] | None = None) -> pd.DataFrame:
    """One row per series and future step of a panel or fitted pipeline, with the user's column names.

    Columns are the date, the series and the known-future columns; unknown values are empty (see `missing_cells`).
    """
    return coming_steps(source, horizon, names).table()


def missing_cells(table: pd.DataFrame, date: str | None = None, series: Sequence[str] | None = None) -> pd.DataFrame:
    """Every empty cell of a table of future values: `series, stamp, column`, in row order.

    `date` and `series` are the names of those columns; a table of `future_table` has them in its `attrs`.
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
    """`VurError` covariates.missing naming the first empty cells in `columns`; its data has all of them as `table`."""
    if not coming.rows[list(columns)].isna().to_numpy().any():
        return
    local = to_zone(coming.rows, coming.tz, coming.freq)
    cells = missing_cells(local[["unique_id", "ds", *columns]], "ds", ["unique_id"])
    cells["column"] = [own_name(name, coming.names) for name in cells["column"]]
    shown = "; ".join(
        f"{cell.column} ({cell.series}, {stamp_text(cell.stamp)})" for cell in cells.head(SHOWN).itertuples()
    )
    raise VurError(
        "covariates.missing", cells=shown + ("; …" if len(cells) > SHOWN else ""), count=len(cells), table=cells
    )


def strange_levels(
    coming: Coming, head: Mapping[str, Any], columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Levels of the future steps that training did not hold: `column, level, series, stamp, count, near`.

    `head` holds the facts about the model's panel; `columns` are those to look at (default: all). Nothing for a model
    that was saved without its levels.
    """
    levels = {name: known for name, known in (head.get("levels") or {}).items() if columns is None or name in columns}
    if not levels:
        return []
    local = to_zone(coming.rows, coming.tz, coming.freq)
    found = unseen_levels(local[["unique_id", "ds", *(name for name in levels if name in local)]], levels)
    return [
        {name: value for name, value in one.items() if name != "stamps"}
        | {"column": own_name(one["column"], coming.names), "stamp": stamp_text(one["stamp"])}
        for one in found
    ]


def level_sentence(one: Mapping[str, Any], language: str = DEFAULT_LANGUAGE) -> str:
    """An entry of `strange_levels` in words."""
    return translate(f"covariates.level{'_near' if one['near'] else ''}", language, **one)


def stamp_text(value: Any) -> str:
    """A timestamp for a message, without a time at midnight."""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
    return str(value)


def fill_coming(coming: Coming, given: pd.DataFrame | str | Path, needed: Sequence[str]) -> Coming:
    """`coming` with the values of `given` (a frame or file with the user's column names).

    An empty cell of `given` keeps the known value. Rows before the future steps and other columns are ignored.
    `VurError` names a missing column that is `needed`, an unknown series, a duplicate timestamp, text instead of a
    number, or that no row is in the future steps.
    """
    frame = given if isinstance(given, pd.DataFrame) else read_table(Path(given), coming.names)
    rows = locate_rows(coming, frame)
    names = {name: column_of(name, frame, coming.names) for name in coming.columns}
    for name in needed:
        if names[name] is None and coming.rows[name].isna().any():
            raise column_error(own_name(name, coming.names), frame)
    filled = coming.rows.copy()
    for name, column in names.items():
        if column is not None:
            values = read_values(coming, name, frame[column], rows)
            filled[name] = _overlay(filled[name], rows["place"].to_numpy(), values)
    return replace(coming, rows=filled)


def read_table(path: Path, names: dict[str, Any]) -> pd.DataFrame:
    """The table in a file of any format that the upload reads; `VurError` if it does not exist.

    `names` are the user's names of date and series. A series called `N` or `NA` keeps its name; 1.0 stays a number.
    """
    if not path.is_file():
        raise VurError("runs.no_file", path=path)
    with tempfile.TemporaryDirectory() as scratch:
        found = upload_named(path, Path(scratch), [*_series(names), "unique_id"])
        return found.frame()


# --- which row is which ---


def locate_rows(coming: Coming, frame: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, ds, row, place` of the rows of `frame` in the future steps.

    `row` counts from 1; `place` is the position in `coming.rows`.
    """
    date = next((name for name in (coming.date, "ds") if name in frame), None)
    if date is None:
        raise column_error(coming.date, frame)
    if frame.empty:
        raise VurError("covariates.no_rows")
    rows = pd.DataFrame({"unique_id": read_series(coming, frame).array, "row": np.arange(1, len(frame) + 1)})
    original = read_stamps(frame[date].reset_index(drop=True), date, coming.freq.is_integer)
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
    """Integers that are equal for timestamps of the same step: month number, day number or nanoseconds."""
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
    """The series of each row; `VurError` if a series column is missing or the model does not know a series."""
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
    unknown = ids[~ids.isin(known)]
    if len(unknown):
        listed = list(dict.fromkeys(unknown))
        near = get_close_matches(str(listed[0]), [str(id) for id in known], 1, 0.6) or list(known[:SHOWN])
        raise VurError(
            "covariates.unknown_series",
            series=", ".join(map(str, listed[:SHOWN])) + (", …" if len(listed) > SHOWN else ""),
            count=len(listed),
            row=int(unknown.index[0]) + 1,
            known=", ".join(map(str, near)),
            total=len(known),
        )
    return ids


def _wanted(coming: Coming) -> list[str]:
    given = coming.names.get("series")
    return [given] if isinstance(given, str) else list(given or [])


# --- values ---


def column_of(name: str, frame: pd.DataFrame, names: Mapping[str, Any]) -> str | None:
    """The column of `frame` with the covariate `name` of a panel, by the user's own name or by that of the panel."""
    own = own_name(name, names)
    if own == name and name not in frame and name.endswith("_"):  # a model of a version that did not keep own names
        own = name[:-1]
    return next((column for column in (own, name) if column in frame), None)


def column_error(name: str, frame: pd.DataFrame) -> VurError:
    """The error for a column missing from a table of future values, with the closest match."""
    columns = [str(column) for column in frame.columns]
    plain = {column.strip().lower(): column for column in columns}
    near = get_close_matches(name.strip().lower(), plain, 1, 0.7)
    code = "covariates.column_close" if near else "covariates.column_missing"
    return VurError(code, column=name, found=plain[near[0]] if near else "", columns=", ".join(columns))


def read_values(coming: Coming, name: str, column: pd.Series, rows: pd.DataFrame) -> np.ndarray:
    """The values of a column at `rows`, as text or floats; `VurError` names the first that is not a number."""
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
            column=own_name(name, coming.names),
            value=column.iloc[int(wrong.argmax())],
            series=first["unique_id"],
            stamp=stamp_text(first["shown"]),
            row=int(first["row"]),
            count=int(wrong.sum()),
        )
    return numbers


def _overlay(known: pd.Series, place: np.ndarray, values: np.ndarray) -> pd.Series:
    """`known` with the non-empty `values` at the row positions `place`."""
    full = known.astype(object) if values.dtype == object else known.astype(float)
    filled: Any = full.to_numpy(copy=True)
    there = ~pd.isna(values)
    filled[place[there]] = values[there]
    return pd.Series(filled, index=known.index)
