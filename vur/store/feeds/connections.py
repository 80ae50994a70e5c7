"""Registered data sources: their encrypted addresses, tests of them, and what is read from them."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.settings import settings
from vur.store import events
from vur.store.accounts.access import Principal, check_version, fetch
from vur.store.catalog import DatabaseConnection, Monitor, Share, now
from vur.store.database import reading, writing
from vur.store.feeds.kinds import KINDS, opened
from vur.store.feeds.reader import Reader
from vur.store.secret import cipher

SHOWN_ROWS, MOST_SHOWN = 20, 200


@dataclass(frozen=True)
class Columns:
    """The roles of the table's columns; `series` identify a series together, without them there is one series."""

    date: str
    target: str
    series: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All column names, without duplicates."""
        return list(dict.fromkeys([self.date, *self.series, self.target, *self.covariates]))

    def check_roles(self) -> None:
        """`VurError` connections.roles if a column has two roles, or one of them twice."""
        roles: dict[str, str] = {}
        chosen = [("date", (self.date,)), ("target", (self.target,))]
        for role, names in (*chosen, ("series", self.series), ("covariates", self.covariates)):
            for name in names:
                if name in roles:
                    raise VurError(
                        "connections.roles", column=name, first=roles[name], second=role, field=f"columns.{role}"
                    )
                roles[name] = role

    @classmethod
    def of(cls, row: DatabaseConnection) -> "Columns":
        """The columns of a registered source."""
        chosen = row.columns
        return cls(
            chosen["date"], chosen["target"], tuple(chosen.get("series") or ()), tuple(chosen.get("covariates") or ())
        )

    def to_dict(self) -> dict[str, Any]:
        """As they are stored in the catalog."""
        return {
            "date": self.date,
            "target": self.target,
            "series": list(self.series),
            "covariates": list(self.covariates),
        }


@dataclass(frozen=True)
class Wanted:
    """A source to register: `source` is its address, a path or a URL."""

    name: str
    kind: str
    source: str
    table: str
    columns: Columns


@dataclass(frozen=True)
class Probe:
    """The result of testing a source: how long it took and what it contains, or the error."""

    ok: bool
    milliseconds: float
    tables: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    newest: Any = None
    error: VurError | None = None


# --- changes ---


def register(who: Principal, wanted: Wanted) -> DatabaseConnection:
    """Register a source after reading from it; `VurError` if it cannot be read or `who` may not."""
    _may_reach(who, wanted.kind)
    _readable(wanted)
    with writing() as session:
        row = DatabaseConnection(
            owner_id=who.user_id,
            name=wanted.name,
            kind=wanted.kind,
            **_kept(wanted),
            status="connected",
            checked_at=now(),
        )
        session.add(row)
        session.flush()
        events.record_activity(session, who.user_id, "connection_added", about=("connection", row.id), name=row.name)
    return row


def change(
    who: Principal,
    id: str,
    version: int | None,
    *,
    name: str | None = None,
    source: str | None = None,
    table: str | None = None,
    columns: Columns | None = None,
) -> DatabaseConnection:
    """Change the given fields of a source, which must stay readable; without a new `source` the address is kept."""
    with reading() as session:
        row = fetch(session, DatabaseConnection, id, who, "edit")
        check_version(row, version)
    wanted = Wanted(
        name or row.name,
        row.kind,
        source or address(row),
        row.table if table is None else table,
        columns or Columns.of(row),
    )
    if source or table is not None or columns:
        _may_reach(who, row.kind)
        _readable(wanted)
    with writing() as session:
        row = fetch(session, DatabaseConnection, id, who, "edit")
        check_version(row, version)
        row.name = wanted.name
        if source or table is not None or columns:
            for key, value in _kept(wanted).items():
                setattr(row, key, value)
            row.status, row.checked_at, row.error = "connected", now(), None
        session.flush()
    return row


def remove(who: Principal, id: str) -> None:
    """Delete a source and its stopped monitors; `VurError` connections.in_use while a monitor runs."""
    with writing() as session:
        row = fetch(session, DatabaseConnection, id, who, "own")
        running = session.scalars(
            select(Monitor.id).where(Monitor.connection_id == id, Monitor.state != "stopped")
        ).all()
        if running:
            raise VurError("connections.in_use", name=row.name, monitors=", ".join(running[:5]))
        events.record_activity(
            session, row.owner_id, "connection_removed", user_id=who.user_id, about=("connection", id), name=row.name
        )
        session.query(Share).filter(Share.kind == "connection", Share.object_id == id).delete()
        session.delete(row)


def _may_reach(who: Principal, kind: str) -> None:
    """Check the kind and, for URLs, the right: the service opens them in its network, so the administrator decides."""
    if kind not in KINDS:
        raise VurError("connections.kind", kind=kind, kinds=", ".join(KINDS))
    if KINDS[kind].is_url and settings().connections == "admin":
        who.require("admin")


def _readable(wanted: Wanted) -> None:
    wanted.columns.check_roles()
    with opened(wanted.kind, wanted.source) as source:
        source.try_out(wanted.table, wanted.columns.names)


def _kept(wanted: Wanted) -> dict[str, Any]:
    secret = cipher().encrypt(wanted.source.encode()).decode()
    return {
        "secret": secret,
        "shown": KINDS[wanted.kind].masked(wanted.source),
        "table": wanted.table,
        "columns": wanted.columns.to_dict(),
    }


# --- reading ---


def address(row: DatabaseConnection) -> str:
    """Decrypt the address of a source; `VurError` connections.secret if it was encrypted with another key."""
    from cryptography.fernet import InvalidToken

    try:
        return cipher().decrypt(row.secret.encode()).decode()
    except InvalidToken:
        raise VurError("connections.secret", name=row.name) from None


@contextmanager
def open_source(row: DatabaseConnection) -> Iterator[Reader]:
    """Open the source of `row` for reading."""
    with opened(row.kind, address(row)) as source:
        yield source


def probe(row: DatabaseConnection) -> Probe:
    """Test a source: open it, check its table and columns, read its newest date, and store its status."""
    started = time.perf_counter()
    try:
        with open_source(row) as source:
            columns, chosen = Columns.of(row), row.columns
            there = source.check(row.table, columns.names)
            newest = source.read(row.table, [chosen["date"]], chosen["date"], limit=1)
            last = plain(newest.iloc[-1, 0]) if len(newest) else None
            found = Probe(True, 1000 * (time.perf_counter() - started), source.tables(), there, last)
    except VurError as error:
        found = Probe(False, 1000 * (time.perf_counter() - started), error=error)
    note(row.id, found.error)
    return found


def note(id: str, error: VurError | None) -> None:
    """Store whether a source could be read; its version stays, because no user changed it."""
    with writing() as session:
        values = {
            "status": "error" if error else "connected",
            "error": str(error) if error else None,
            "checked_at": now(),
        }
        session.execute(
            update(DatabaseConnection)
            .where(DatabaseConnection.id == id)
            .values(updated_at=DatabaseConnection.updated_at, **values)
        )


def preview(row: DatabaseConnection, limit: int = SHOWN_ROWS) -> dict[str, Any]:
    """The last rows of a source by date: `columns` with names, types and roles, and `rows`."""
    columns = Columns.of(row)
    with open_source(row) as source:
        there = source.check(row.table, columns.names)
        frame = source.read(row.table, columns.names, columns.date, limit=min(limit, MOST_SHOWN))
    roles = (
        {columns.date: "date", columns.target: "target"}
        | dict.fromkeys(columns.series, "series")
        | dict.fromkeys(columns.covariates, "covariate")
    )
    return {
        "columns": [{"name": name, "type": type, "role": roles.get(name)} for name, type in there.items()],
        "rows": [{str(name): plain(value) for name, value in one.items()} for one in frame.to_dict("records")],
    }


def plain(value: Any) -> Any:
    """Convert a value to one that JSON can hold."""
    value = value.item() if hasattr(value, "item") and not isinstance(value, (date, datetime)) else value
    if value is None or value != value:
        return None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (bytes, memoryview)):
        return bytes(value)[:50].hex()
    return value if isinstance(value, (str, int, float, bool)) else str(value)[:200]


def configuration(row: DatabaseConnection) -> dict[str, Any]:
    """A source as users see it: status and configuration, without the address's secrets."""
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "status": row.status,
        "error": row.error,
        "checked_at": row.checked_at,
        "configuration": {"source": row.shown, "table": row.table, "columns": Columns.of(row).to_dict()},
        "owner_id": row.owner_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "version": row.version,
    }


def find(session: Session, who: Principal, id: str, right: str = "view") -> DatabaseConnection:
    """The source `id`, if `who` has that right; else `VurError`."""
    return fetch(session, DatabaseConnection, id, who, right)
