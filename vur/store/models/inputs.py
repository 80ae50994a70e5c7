"""Drift of inputs: whether the rows that came after a model's training look like those that it was trained on.

Each column of numbers is compared by its population stability index (PSI) over tenths of the training data: below 0.1
is stable, above 0.25 has moved. A season or a trend moves every stretch of a series against its whole; therefore the
same index of stretches of the training data, as long as the new one, tells what is usual for that column.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import Dataset, DatasetVersion, Model
from vur.store.data import datasets, sources, tables
from vur.store.home import folder

PREPARED = "preprocess"  # the kind of versions with changed values, which are not observations
LEAST_ROWS = 30  # new rows that a comparison needs
TENTHS, STRETCHES, MOST_ROWS, MOST_COLUMNS = 10, 40, 100_000, 30
FLOOR = 1e-4  # the least share of a tenth, so that an empty one has a logarithm
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "UTINYINT", "BOOLEAN")
log = logging.getLogger("vur.retraining")


@dataclass(frozen=True)
class Versions:
    """The version of its dataset that a model was trained on and the newest one with observations, with its columns."""

    trained: Path
    newest: Path
    folder: str
    date: str
    target: str
    columns: tuple[str, ...]

    @property
    def inputs(self) -> list[Any]:
        """What the comparison depends on, beside the newest version."""
        return [self.trained.parent.name, self.date, self.target, list(self.columns)]


def versions_of(session: Session, model: Model) -> Versions | None:
    """The two versions to compare; None without a dataset, without newer data, or if their files are gone."""
    dataset = session.get(Dataset, model.dataset_id) if model.dataset_id else None
    if dataset is None or model.dataset_number is None:
        return None
    rows = session.execute(
        select(DatasetVersion.number, DatasetVersion.folder)
        .where(DatasetVersion.dataset_id == dataset.id, DatasetVersion.kind != PREPARED)
        .order_by(DatasetVersion.number)
    ).all()
    before = [row.folder for row in rows if row.number <= model.dataset_number]
    after = [row.folder for row in rows if row.number > model.dataset_number]
    if not before or not after:
        return None
    trained, newest = (folder("datasets", one) / sources.TABLE for one in (before[-1], after[-1]))
    try:
        spec = datasets.data_spec(session, dataset)
    except VurError as error:
        log.warning("the inputs of model %s cannot be compared: %s", model.id, error)
        return None
    suggested = dataset.head.get("suggestions") or {}
    date, target = (spec[name] or suggested.get(name) for name in ("date", "target"))
    if not (trained.is_file() and newest.is_file() and date and target):
        return None
    left_out = {name for name, role in spec["roles"].items() if role == "exclude"} | {date, target}
    series = set(spec["series"] if spec["series"] is not None else suggested.get("series") or ())
    others = [name for name in datasets.column_names(dataset) if name not in left_out | series]
    return Versions(trained, newest, after[-1], date, target, tuple(others[:MOST_COLUMNS]))


def known_comparison(versions: Versions) -> dict[str, Any] | None:
    """The comparison if it was computed before, else None."""
    found: dict[str, Any] | None = tables.find_cached(versions.folder, "inputs", versions.inputs)
    return found


def comparison(versions: Versions) -> dict[str, Any]:
    """The comparison, computed once for two versions: `rows` after the training, `trained_rows`, and `columns`.

    A column has `name, psi, usual` (the PSI that 95 % of the training's own stretches do not exceed) and `outside` (the
    share of new values beyond the range of the training). Columns of texts have `unseen` instead, the share of new
    values with a text that the training never had. `columns` is empty with fewer than `LEAST_ROWS` new rows.
    """
    found: dict[str, Any] = tables.cached(versions.folder, "inputs", versions.inputs, lambda: _compare(versions))
    return found


def _compare(versions: Versions) -> dict[str, Any]:
    import duckdb

    with duckdb.connect(config=tables.LIMITED) as connection:
        kinds = _kinds(connection, versions.newest)
        old_kinds = _kinds(connection, versions.trained)
        wanted = [name for name in (versions.target, *versions.columns) if name in kinds and name in old_kinds]
        if versions.date not in kinds or versions.date not in old_kinds or versions.target not in wanted:
            return {"rows": None, "trained_rows": None, "columns": []}
        date, target = _quoted(versions.date), _quoted(versions.target)
        end, trained_rows = _row(
            connection,
            f"SELECT max({date}), count(*) FROM read_parquet(?) WHERE {target} IS NOT NULL",  # noqa: S608
            [str(versions.trained)],
        )
        later = f"{target} IS NOT NULL AND {date} > ?"
        (count,) = _row(
            connection,
            f"SELECT count(*) FROM read_parquet(?) WHERE {later}",  # noqa: S608
            [str(versions.newest), end],
        )
        answer: dict[str, Any] = {"rows": int(count), "trained_rows": int(trained_rows), "columns": []}
        if count < LEAST_ROWS:
            return answer
        numbers = [name for name in wanted if kinds[name].startswith(NUMBERS) and old_kinds[name].startswith(NUMBERS)]
        old = _numbers(connection, versions.trained, date, numbers, f"{target} IS NOT NULL", [])
        new = _numbers(connection, versions.newest, date, numbers, later, [end])
        for name in numbers:
            one = compare_numbers(old[versions.date], old[name], new[versions.date], new[name])
            answer["columns"] += [] if one is None else [{"name": name} | one]
        for name in wanted:
            if kinds[name] == old_kinds[name] == "VARCHAR":
                answer["columns"].append({"name": name, "unseen": _unseen(connection, versions, name, later, end)})
        return json.loads(json.dumps(answer))


def _row(connection: Any, query: str, values: list[Any]) -> tuple[Any, ...]:
    row: tuple[Any, ...] = connection.execute(query, values).fetchone()
    return row


def _kinds(connection: Any, path: Path) -> dict[str, str]:
    rows = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _numbers(
    connection: Any, path: Path, date: str, names: list[str], where: str, values: list[Any]
) -> dict[str, np.ndarray]:
    """Columns as float64 and the dates as int64, of at most `MOST_ROWS` rows, in the order of dates."""
    chosen = ", ".join([date, *(f"CAST({_quoted(name)} AS DOUBLE) AS {_quoted(name)}" for name in names)])
    rows = f"SELECT {chosen} FROM read_parquet(?) WHERE {where}"  # noqa: S608
    sample = f"SELECT * FROM ({rows}) USING SAMPLE reservoir({MOST_ROWS} ROWS) REPEATABLE (0)"  # noqa: S608
    frame = connection.execute(f"SELECT * FROM ({sample}) ORDER BY {date}", [str(path), *values]).df()  # noqa: S608
    first = frame.columns[0]
    return {first: frame[first].to_numpy().astype(np.int64)} | {name: frame[name].to_numpy(float) for name in names}


def _unseen(connection: Any, versions: Versions, name: str, later: str, end: Any) -> float:
    column = _quoted(name)
    (share,) = _row(
        connection,
        f"SELECT avg(CASE WHEN {column} IN (SELECT {column} FROM read_parquet(?) WHERE {column} IS NOT NULL) THEN 0 "  # noqa: S608
        f"ELSE 1 END) FROM read_parquet(?) WHERE {later} AND {column} IS NOT NULL",
        [str(versions.trained), str(versions.newest), end],
    )
    return round(float(share or 0.0), 4)


def compare_numbers(
    old_times: np.ndarray, old: np.ndarray, new_times: np.ndarray, new: np.ndarray
) -> dict[str, float] | None:
    """`psi, usual, outside` of new values against the training's; None if there are too few numbers to compare.

    Times are int64 and sorted; missing values are NaN.
    """
    known = np.isfinite(old)
    times, values, fresh = old_times[known], old[known], new[np.isfinite(new)]
    if len(values) < 2 * LEAST_ROWS or len(fresh) < LEAST_ROWS:
        return None
    edges = np.unique(np.quantile(values, np.linspace(0, 1, TENTHS + 1)[1:-1]))
    whole = _shares(values, edges)
    length = max(int(new_times[-1]) - int(new_times[0]), 1)
    starts = np.linspace(int(times[0]), max(int(times[-1]) - length, int(times[0])), STRETCHES)
    own = [
        _psi(whole, _shares(some, edges))
        for start in starts
        if len(some := values[(times >= start) & (times <= start + length)]) >= LEAST_ROWS
    ]
    low, high = values.min(), values.max()
    return {
        "psi": round(_psi(whole, _shares(fresh, edges)), 4),
        "usual": round(max(own, default=0.0), 4),
        "outside": round(float(((fresh < low) | (fresh > high)).mean()), 4),
    }


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), FLOOR)


def _psi(expected: np.ndarray, found: np.ndarray) -> float:
    """The population stability index of two distributions over the same tenths."""
    return float(((found - expected) * np.log(found / expected)).sum())
