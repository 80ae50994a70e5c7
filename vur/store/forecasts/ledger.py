"""The forecast ledger: every forecast is on disk before it is sent, and concurrent forecasts share one flush."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, repeat
from random import Random
from time import time_ns
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, Table, delete, insert
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from vur.errors import VurError
from vur.store.batching import Batcher
from vur.store.catalog import Base, Event, Forecast, ForecastPoint, now
from vur.store.database import engine, writing
from vur.store.full_disk import is_full

CHUNK = 5_000  # points of one transaction of a batch, which is the longest that other writers wait
MOST_ERRORS = 200
COPIED = 20  # rows from which PostgreSQL's COPY is faster than INSERT
PATIENCE = 60.0  # seconds that a request waits for the ledger
HEAD = (
    "id",
    "owner_id",
    "created_at",
    "kind",
    "model_id",
    "tag",
    "run_id",
    "data_version",
    "job_id",
    "request_id",
    "freq",
    "timezone",
    "horizon",
    "n_series",
    "errors",
    "seconds",
)
POINT = (
    "forecast_id",
    "owner_id",
    "tag",
    "unique_id",
    "origin_at",
    "target_at",
    "target_step",
    "horizon",
    "forecast",
    "quantiles",
)


FORECASTS, POINTS = (Base.metadata.tables[table.__tablename__] for table in (Forecast, ForecastPoint))


def ordered_id() -> str:
    """A UUID (version 7), which sorts by time: rows written together are close together in the indexes."""
    # One generator a process: a forked one must not repeat its parent's numbers.
    random = _random.get(os.getpid()) or _random.setdefault(os.getpid(), Random())
    value = (time_ns() // 1_000_000 << 80 | random.getrandbits(80)) & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(UUID(int=value))


_random: dict[int, Random] = {}


@dataclass(frozen=True, slots=True)
class Head:
    """The ledger's row of a forecast: who requested what from which model; `seconds` is how long it took."""

    owner_id: str
    kind: str
    tag: str
    freq: str
    horizon: int
    n_series: int
    timezone: str | None = None
    model_id: str | None = None
    run_id: str | None = None
    data_version: str | None = None
    job_id: str | None = None
    request_id: str | None = None
    errors: dict[str, Any] | None = None
    seconds: float | None = None
    id: str = field(default_factory=ordered_id)
    created_at: datetime = field(default_factory=now)

    def row(self, dialect: str) -> tuple[Any, ...]:
        """The values of `HEAD` in the types of the database's driver."""
        values = {name: getattr(self, name) for name in HEAD}
        errors = None if self.errors is None else json.dumps(self.errors, ensure_ascii=False)
        return tuple((values | {"created_at": _moment(self.created_at, dialect), "errors": errors}).values())


def stored_errors(errors: Mapping[str, VurError]) -> dict[str, Any] | None:
    """The first `MOST_ERRORS` errors by series as a head stores them; None without errors."""
    return {id: {"code": error.code, "detail": str(error)} for id, error in islice(errors.items(), MOST_ERRORS)} or None


class Points:
    """The points of a forecast, in the order of series and steps.

    `ids` are the series, `origins` their last observed stamps, `targets` (series x steps) the stamps, `values` (series
    x steps) the forecasts and `bounds` the intervals by level, `{"80": (lo, hi)}` in the shape of `values`. Stamps are
    datetime64[ns] (UTC, or dates) or int64. The driver's rows are computed once and reused for equal requests.
    """

    def __init__(
        self,
        ids: Sequence[str],
        origins: np.ndarray,
        targets: np.ndarray,
        values: np.ndarray,
        bounds: dict[str, tuple[np.ndarray, np.ndarray]],
    ):
        self.ids, self.origins, self.targets, self.values, self.bounds = list(ids), origins, targets, values, bounds
        self._columns: dict[str, tuple[list[Any], ...]] = {}

    def __len__(self) -> int:
        return self.values.size

    def take(self, rows: Any) -> "Points":
        """Select series by their positions or a slice."""
        bounds = {level: (lo[rows], hi[rows]) for level, (lo, hi) in self.bounds.items()}
        return Points(
            np.array(self.ids, dtype=object)[rows].tolist(),
            self.origins[rows],
            self.targets[rows],
            self.values[rows],
            bounds,
        )

    def rows(self, head: Head, dialect: str) -> Iterable[tuple[Any, ...]]:
        """The values of `POINT` in the types of the database's driver."""
        if dialect not in self._columns:
            self._columns[dialect] = self._driver_columns(dialect)
        return zip(repeat(head.id), repeat(head.owner_id), repeat(head.tag), *self._columns[dialect], strict=False)

    def _driver_columns(self, dialect: str) -> tuple[list[Any], ...]:
        """The columns of `POINT` but the first three."""
        count, steps = self.values.shape
        dated = self.targets.dtype.kind == "M"
        origins = np.array(_stamps(self.origins, dialect) if dated else [None] * count, dtype=object)
        targets, nothing = (
            _stamps(self.targets.ravel(), dialect) if dated else self.targets.ravel().tolist(),
            [None] * self.values.size,
        )
        ends = [_texts(end) for pair in self.bounds.values() for end in pair]
        pairs = ", ".join(f'"{level}": [%s, %s]' for level in self.bounds)
        form = f"{{{pairs}}}"
        return (
            np.repeat(np.array(self.ids, dtype=object), steps).tolist(),
            np.repeat(origins, steps).tolist(),
            targets if dated else nothing,
            nothing if dated else targets,
            list(range(1, steps + 1)) * count,
            self.values.ravel().tolist(),
            [form % one for one in zip(*ends, strict=True)] if ends else ["{}"] * self.values.size,
        )


def _texts(values: np.ndarray) -> list[str]:
    """Format numbers for JSON."""
    flat = values.ravel()
    texts = list(map(repr, flat.tolist()))
    for place in np.flatnonzero(~np.isfinite(flat)):
        texts[place] = "null"
    return texts


def _stamps(stamps: np.ndarray, dialect: str) -> list[Any]:
    """Convert stamps in UTC for the driver: text in SQLAlchemy's format for SQLite."""
    values, place = np.unique(stamps.astype("M8[us]"), return_inverse=True)
    if dialect == "sqlite":
        converted = np.array(
            [text.replace("T", " ") for text in np.datetime_as_string(values, unit="us").tolist()], dtype=object
        )
    else:
        converted = np.empty(len(values), dtype=object)
        converted[:] = [moment.replace(tzinfo=UTC) for moment in values.tolist()]
    return converted[place].tolist()


def _moment(moment: datetime, dialect: str) -> Any:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if dialect == "sqlite" else moment


@dataclass(frozen=True, slots=True)
class Entry:
    """The ledger's entry of one forecast: head, points, and the live message to publish, if any."""

    head: Head
    points: Points
    event: dict[str, Any] | None = None


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    """Insert rows through the driver: in a third of the time of typed parameters, a quarter with COPY on PostgreSQL."""
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql" and len(rows) >= COPIED:
        refused = connection.dialect.loaded_dbapi.Error
        try:
            raw: Any = connection.connection  # psycopg's, which has context managers and COPY
            with (
                raw.cursor() as cursor,
                cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(row)
        except refused as error:
            raise DBAPIError.instance("COPY", None, error, refused, dialect=connection.dialect) from error
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    values = ", ".join([mark] * len(columns))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({values})", rows)  # noqa: S608 - our own names


def _write(connection: Connection, entries: Sequence[Entry]) -> None:
    _insert(connection, FORECASTS, HEAD, [entry.head.row(connection.dialect.name) for entry in entries])
    _write_points(connection, entries)


def _write_points(connection: Connection, entries: Sequence[Entry]) -> None:
    dialect = connection.dialect.name
    points = [row for entry in entries for row in entry.points.rows(entry.head, dialect)]
    if points:
        _insert(connection, POINTS, POINT, points)
    events = [
        {"type": "prediction", "owner_id": entry.head.owner_id, "data": entry.event, "at": entry.head.created_at}
        for entry in entries
        if entry.event
    ]
    if events:
        connection.execute(insert(Event), events)


# --- the writer of this process ---


def _commit(batch: Sequence[tuple[Entry, "Future[None]"]]) -> None:
    """Commit all entries in one durable transaction; if the database rejects one, the others are committed alone."""
    try:
        with engine().execution_options(durable=True).begin() as connection:
            _write(connection, [entry for entry, _ in batch])
    except IntegrityError as error:
        if len(batch) == 1:
            batch[0][1].set_exception(error)
        for one in batch if len(batch) > 1 else ():
            _commit([one])
    except DBAPIError as error:
        for _, done in batch:
            done.set_exception(readable(error))
    else:
        for _, done in batch:
            done.set_result(None)


_writer: Batcher[Entry, None] = Batcher("ledger", _commit)


def record(entry: Entry) -> None:
    """Write an entry to the ledger, in one transaction with all that are queued; returns when it is on disk.

    `VurError` ledger.full if there is no disk space, ledger.busy if the catalog is locked for too long.
    """
    try:
        _writer.submit(entry).result(PATIENCE)
    except TimeoutError:
        raise VurError("ledger.busy", seconds=5) from None


async def record_async(entry: Entry) -> None:
    """As `record`, on an event loop."""
    await _writer.run(entry)


def readable(error: DBAPIError) -> Exception:
    """Convert a database error to a `VurError`; other errors than operational ones are returned unchanged."""
    if not isinstance(error, OperationalError):
        return error
    return VurError("ledger.full") if is_full(error) else VurError("ledger.busy", seconds=5)


def record_large(entry: Entry) -> None:
    """Write a forecast of many points in transactions of `CHUNK`, so that other writers need not wait.

    A job's forecast replaces the one of its earlier attempt.
    """
    head, points = entry.head, entry.points
    each = max(1, CHUNK // max(points.values.shape[1], 1))
    starts = range(0, len(points.ids), each)
    try:
        with writing() as session:
            if head.job_id is not None:
                session.execute(delete(Forecast).where(Forecast.job_id == head.job_id))
            _write(session.connection(), [Entry(head, points.take(slice(0)))])
        for start in starts:
            some = points.take(slice(start, start + each))
            with writing(durable=start == starts[-1]) as session:
                _write_points(session.connection(), [Entry(head, some, entry.event if start == starts[-1] else None)])
    except DBAPIError as error:
        raise readable(error) from error
