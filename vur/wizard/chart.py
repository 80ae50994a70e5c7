"""The points of a dataset's series for a chart: few enough to send, with every extreme that can be seen.

All arguments and results are plain JSON data, so that the work can run in a child process.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from vur.errors import VurError
from vur.nearest import by_likeness, near
from vur.store.data import sources, tables
from vur.store.data.thinning import LEAST, short_numbers, thin
from vur.store.home import folder
from vur.text import phrase
from vur.wizard.preparation import VersionRef, analyse, cached_answer

MOST_NAMES = 1000  # names of series in an answer
BIG_ROWS = 1_000_000  # beyond these a table is read in a child process
COMBINED = {"sum": "sum", "mean": "avg", "first": "first", "last": "last"}


@dataclass(frozen=True)
class Source:
    """Where the values of a chart are: a version's table, its columns by role, and how duplicates are combined."""

    version_folder: str
    date: str
    value: str
    series: list[str]
    combined: str | None = None
    zone: str = ""
    integers: bool = False


def source_of(ref: VersionRef, head: dict[str, Any], column: str | None = None) -> Source:
    """The source of a chart of `column` (default: the target) of a version with this `head`.

    `VurError` runs.no_date or runs.no_target without such a column, datasets.column for an unknown one,
    datasets.no_number for one that holds no numbers.
    """
    kinds = {one["name"]: one for one in head["columns"]}
    value = column or ref.target
    if ref.date is None or value is None:
        raise VurError("runs.no_date" if ref.date is None else "runs.no_target", columns=", ".join(kinds))
    names = ref.data["series"] if ref.data["series"] is not None else ref.suggested["series"]
    for field, name in (("date_column", ref.date), ("column", value), *(("series_columns", one) for one in names)):
        if name not in kinds:
            raise VurError("datasets.column", field=field, column=name[:200], known=", ".join(kinds))
    if kinds[value]["type"] not in ("numeric", "boolean") and not kinds[value]["integer"]:
        known = ", ".join(name for name, one in kinds.items() if one["type"] in ("numeric", "boolean"))
        raise VurError("datasets.no_number", field="column", column=value, known=known)
    combined = COMBINED.get(ref.data["duplicates"])
    integers = kinds[ref.date]["type"] != "datetime"
    return Source(ref.folder, ref.date, value, list(names), combined, kinds[ref.date]["zone"], integers)


def chart(
    ref: VersionRef,
    source: Source,
    *,
    series: list[str],
    total: bool,
    start: str | None,
    end: str | None,
    points: int,
) -> dict[str, Any]:
    """The curves of `series` (default: the first one), or of the `total` of all, each thinned to its share of `points`.

    `start` and `end` are inclusive dates, times or integers. `VurError` datasets.series for a name that no series has;
    of more than `MOST_NAMES` series an unknown one has no rows.
    """
    known = cached_answer(ref, "names", "vur.wizard.chart:names", source=asdict(source))
    wanted = [] if total else list(dict.fromkeys(series)) or known["names"][:1]
    if known["count"] <= MOST_NAMES:
        check_names(wanted, known["names"])
    arguments = {
        "source": asdict(source),
        "wanted": wanted,
        "start": _bound(start, "from", source),
        "end": _bound(end, "to", source, last=True),
        "points": points,
    }
    curves = analyse(ref, "vur.wizard.chart:curves", arguments, ref.rows > BIG_ROWS)
    return {
        "column": source.value,
        "date_column": source.date,
        "time": "integer" if source.integers else "datetime",
        "timezone": source.zone or None,
        "items": curves,
        "series_names": known["names"],
        "series_count": known["count"],
    }


def check_names(wanted: list[str], known: list[str]) -> None:
    """`VurError` datasets.series for the first name of `wanted` that is not `known`."""
    for name in wanted:
        if name not in known:
            listed = ", ".join(by_likeness(name, known)[:20])
            raise VurError("datasets.series", field="series", series=name[:200], near=near(name, known), known=listed)


def _bound(text: str | None, field: str, source: Source, last: bool = False) -> str | int | None:
    """A bound of the time as the table compares it; a date alone means the whole day."""
    if text is None:
        return None
    try:
        if source.integers:
            return int(text)
        moment = datetime.fromisoformat(text).replace(tzinfo=None)
        if last and len(text) == len("2024-01-31") and moment.date() < date.max:
            moment += timedelta(days=1) - timedelta(microseconds=1)
        return moment.isoformat(sep=" ")
    except ValueError:
        reason = phrase("api.reason.integer_stamp" if source.integers else "api.reason.stamp", value=text[:50])
        raise VurError("api.invalid", field=field, reason=reason) from None


# --- on the table ---


def names(version_folder: str, data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """The first `MOST_NAMES` names of series in their order, and the number of all."""
    found = Source(**source)
    if not found.series:
        return {"names": [found.value], "count": 1}
    with _connection() as connection:
        table = f"(SELECT DISTINCT {_series(found)} AS name FROM read_parquet(?))"  # noqa: S608
        path = str(folder("datasets", version_folder) / sources.TABLE)
        count = connection.execute(f"SELECT count(*) FROM {table}", [path]).fetchall()[0][0]  # noqa: S608
        query = f"SELECT name FROM {table} ORDER BY name LIMIT {MOST_NAMES}"  # noqa: S608
        return {"names": [name for (name,) in connection.execute(query, [path]).fetchall()], "count": count}


def curves(
    source: dict[str, Any], wanted: list[str], start: str | int | None, end: str | int | None, points: int
) -> list[dict[str, Any]]:
    """The curves of the `wanted` series, or of the sum of all without any; together at most about `points` points.

    Each has `series` (None for the sum), `stamps` (milliseconds since 1970 on the clock of the column's zone, or
    integers), `values` (None where missing), and of all its rows between the bounds: `rows`, `missing`, `min`, `max`,
    `first`, `last`.
    """
    found = Source(**source)
    share = max(points // max(len(wanted), 1), LEAST)
    path = str(folder("datasets", found.version_folder) / sources.TABLE)
    with _connection() as connection:
        columns = connection.execute(*_query(found, path, wanted, start, end)).fetchnumpy()
    codes, stamps = np.asarray(columns["code"]), np.asarray(columns["stamp"])
    values = np.ma.filled(np.ma.asarray(columns["value"]).astype(float), np.nan)
    return [
        _curve(name, stamps[codes == code], values[codes == code], share)
        for code, name in enumerate(wanted or [None], 1)
    ]


def _curve(name: str | None, stamps: Any, values: Any, points: int) -> dict[str, Any]:
    at, known = thin(values, points), values[~np.isnan(values)]
    least, most = short_numbers(np.array([known.min(), known.max()])) if len(known) else (None, None)
    ends = (stamps[0].item(), stamps[-1].item()) if len(stamps) else (None, None)
    return {
        "series": name,
        "stamps": stamps[at].tolist(),
        "values": short_numbers(values[at]),
        "rows": len(values),
        "missing": len(values) - len(known),
        "min": least,
        "max": most,
        "first": ends[0],
        "last": ends[1],
    }


def _query(
    found: Source, path: str, wanted: list[str], start: str | int | None, end: str | int | None
) -> tuple[str, list[Any]]:
    """The statement that selects `code` (position in `wanted` from 1), `stamp` and `value`, and its parameters."""
    moment = tables.quoted(found.date)
    if found.zone and not found.integers:
        moment = tables.local(moment, found.zone)
    clauses, values = [f"{tables.quoted(found.date)} IS NOT NULL"], list[Any]([path])
    parameters: list[Any] = []
    code = "1"
    if wanted and found.series:
        code = f"list_position(?::VARCHAR[], {_series(found)})"
        parameters.append(wanted)
        clauses.append("code > 0")
    for sign, bound in ((">=", start), ("<=", end)):
        if bound is not None:
            clauses.append(f"moment {sign} ?" + ("" if found.integers else "::TIMESTAMP"))
            values.append(bound)
    value = f"TRY_CAST({tables.quoted(found.value)} AS DOUBLE)"
    selected = f"{code} AS code, {moment} AS moment, {value} AS value, file_row_number AS number"
    table = "read_parquet(?, file_row_number = true)"
    rows = f"SELECT {selected} FROM {table} WHERE {' AND '.join(clauses)}"  # noqa: S608
    stamp = "moment" if found.integers else "epoch_ms(moment)"
    order = " ORDER BY number" if found.combined in ("first", "last") else ""
    combined = "sum" if not wanted else found.combined
    chosen = f"{combined}(value{order})" if combined else "value"
    grouped = " GROUP BY code, moment" if combined else ""
    ordered = "code, moment" if combined else "code, moment, number"
    query = f"SELECT code, {stamp} AS stamp, {chosen} AS value FROM ({rows}){grouped} ORDER BY {ordered}"  # noqa: S608
    return query, [*parameters, *values]


def _series(found: Source) -> str:
    """The SQL expression of a row's series, named as in a panel: columns as text, joined by "/"."""
    return " || '/' || ".join(f"coalesce({_text(name)}, '')" for name in found.series)


def _text(name: str) -> str:
    column = tables.quoted(name)
    return f"regexp_replace(CAST({column} AS VARCHAR), '^(-?[0-9]+)\\.0$', '\\1')"


def _connection() -> Any:
    import duckdb

    connection = duckdb.connect(config=tables.LIMITED)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
