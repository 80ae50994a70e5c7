"""A user's table of coming values, read against what a model expects: each mistake is named by row, series, stamp and column."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vur.columns import read_stamps, series_names, utc_time, wall_time
from vur.errors import VurError
from vur.frequency import DAY, Frequency, spacing
from vur.runs.future import SHOWN, Coming, stamp_text
from vur.runs.stamps import is_sub_daily
from vur.stages.upload import upload


def fill_coming(coming: Coming, given: pd.DataFrame | str | Path, needed: Sequence[str]) -> Coming:
    """`coming` with the values of `given` (a frame or a file with the user's column names) in place of what was known.

    An empty cell of `given` keeps what was known. Rows before the coming steps and columns of another kind are passed over.
    `VurError` names a column that is missing although `needed`, an unknown series, a stamp that comes twice, a text where a
    number is due, or that no row lies in the coming steps.
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
        raise VurError("covariates.twice", series=same["unique_id"].iloc[0], stamp=stamp_text(same["ds"].iloc[0]),
                       rows=", ".join(map(str, same["row"].head(SHOWN))))
    places = coming.rows[["unique_id"]].assign(key=grid_keys(coming.rows["ds"], coming), place=np.arange(len(coming.rows)))
    found = rows.merge(places, on=["unique_id", "key"]).sort_values("row", ignore_index=True)
    if found.empty:
        raise VurError("covariates.outside", first=stamp_text(coming.rows["ds"].min()), last=stamp_text(coming.rows["ds"].max()),
                       low=stamp_text(rows["ds"].min()), high=stamp_text(rows["ds"].max()))
    return found


def grid_keys(stamps: pd.Series, coming: Coming) -> np.ndarray:
    """Whole numbers that are equal for stamps of one step: the month of monthly steps, the day of daily and longer ones."""
    values = stamps.to_numpy()
    if values.dtype.kind != "M" or coming.rows["ds"].dtype.kind != "M":
        if (values.dtype.kind == "M") != (coming.rows["ds"].dtype.kind == "M"):
            raise VurError("covariates.stamps", column=coming.date, value=stamp_text(stamps.iloc[0]), expected=stamp_text(coming.rows["ds"].iloc[0]))
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
        raise VurError("covariates.unknown_series", series=", ".join(map(str, listed[:SHOWN])) + (", …" if len(listed) > SHOWN else ""),
                       count=len(listed), row=int(strange.index[0]) + 1, known=", ".join(map(str, near)), total=len(known))
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
        return column.astype(object).where(column.notna(), None).map(lambda v: None if v is None else str(v)).to_numpy(dtype=object)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    blank = column.isna().to_numpy() | (column.astype(str).str.strip() == "").to_numpy()
    wrong = (np.isnan(numbers) & ~blank) | np.isinf(numbers)
    if wrong.any():
        first = rows.iloc[int(wrong.argmax())]
        raise VurError("covariates.not_number", column=name, value=column.iloc[int(wrong.argmax())], series=first["unique_id"],
                       stamp=stamp_text(first["shown"]), row=int(first["row"]), count=int(wrong.sum()))
    return numbers


def _over(known: pd.Series, place: np.ndarray, values: np.ndarray) -> pd.Series:
    """`known` with `values` at the rows `place`, where they are not empty."""
    full = known.astype(object) if values.dtype == object else known.astype(float)
    filled: Any = full.to_numpy(copy=True)
    there = ~pd.isna(values)
    filled[place[there]] = values[there]
    return pd.Series(filled, index=known.index)
