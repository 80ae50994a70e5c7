"""The catalog's database: SQLite inside the data home or PostgreSQL by URL, with transactions for reading and writing.

SQLite is opened through `pysqlite3`, which bundles a release without the WAL-reset corruption of 3.7.0 to 3.51.2. It
runs in WAL mode, with BEGIN IMMEDIATE for writers: otherwise two processes that read and then write lose updates.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, Delete, Engine, Update, create_engine, event, make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.settings import settings
from vur.store.home import home

BUSY_SECONDS = 30
SAFE_SQLITE = (3, 51, 3)


def database_url() -> str:
    """The database's URL: the setting `database_url`, else a SQLite file in the data home."""
    given = settings().database_url
    if not given:
        return f"sqlite:///{home() / 'catalog.sqlite'}"
    url = make_url(given)
    plain = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}.get(url.drivername, url.drivername)
    if plain not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise VurError("catalog.url", scheme=url.drivername)
    return url.set(drivername=plain).render_as_string(hide_password=False)


def engine() -> Engine:
    """The database's engine, one for each process and URL."""
    return _engine(database_url())


@cache
def _engine(url: str) -> Engine:
    return (
        _sqlite(url)
        if url.startswith("sqlite")
        else create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True)
    )


def _sqlite(url: str) -> Engine:
    module = sqlite_module()
    found = create_engine(
        url,
        module=module,
        pool_size=10,
        max_overflow=20,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False},
    )
    event.listen(found, "connect", _open_sqlite)
    event.listen(found, "begin", _begin_sqlite)
    return found


def sqlite_module() -> Any:
    """The DB-API module for SQLite; `VurError` catalog.sqlite if its release can corrupt a WAL file."""
    try:
        with _own_symbols():
            from pysqlite3 import dbapi2 as module
    except ImportError:
        import sqlite3 as module
    if module.sqlite_version_info < SAFE_SQLITE:
        raise VurError("catalog.sqlite", version=module.sqlite_version, least=".".join(map(str, SAFE_SQLITE)))
    return module


@contextmanager
def _own_symbols() -> Iterator[None]:
    """Let extension modules loaded in this block use their own symbols, not those of libraries loaded before.

    TensorFlow exports the symbols of its own, older SQLite to the whole process, and `pysqlite3` would call those.
    """
    before = sys.getdlopenflags() if hasattr(sys, "getdlopenflags") else None
    if before is not None and hasattr(os, "RTLD_DEEPBIND"):
        sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        yield
    finally:
        if before is not None:
            sys.setdlopenflags(before)


def _open_sqlite(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-20000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    path = next(row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")
    if path:
        Path(path).chmod(0o600)


def _begin_sqlite(connection: Connection) -> None:
    chosen = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if chosen.get('durable') else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN" if chosen.get("reading") else "BEGIN IMMEDIATE")


@contextmanager
def writing(durable: bool = False) -> Iterator[Session]:
    """A transaction that writes: committed at the end of the block, rolled back on an exception.

    Other writers wait, so no update is lost. With `durable`, SQLite flushes to disk at the commit: for what must
    survive a power cut, such as a job's state or a forecast that was sent. PostgreSQL always does.
    """
    with Session(engine().execution_options(durable=durable), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """A read-only transaction with a consistent snapshot; it does not block writers."""
    with Session(engine().execution_options(reading=True), expire_on_commit=False) as session, session.begin():
        yield session


def unavailable(error: BaseException) -> VurError | None:
    """The error of a catalog that cannot be reached, if `error` is one of its database; without its password."""
    if not isinstance(error, (OperationalError, InterfaceError, NoConnection)):
        return None
    url = make_url(database_url())
    place = url.database if url.drivername.startswith("sqlite") else f"{url.host}:{url.port or 5432}/{url.database}"
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0].rstrip(".")
    return VurError("catalog.unavailable", place=place, reason=reason)


def rows_changed(session: Session, statement: Update | Delete) -> int:
    """Execute an UPDATE or DELETE; the number of rows that it changed."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount


def migrate(target: str = "head") -> None:
    """Migrate the schema to revision `target` (`head`, `base` or an id), up or down; other processes wait."""
    from vur.store.home import lock

    with lock("migrations"), engine().begin() as connection:
        migrate_connection(connection, target)


def migrate_connection(connection: Connection, target: str = "head") -> None:
    """Migrate one database's schema to revision `target`, inside the caller's transaction."""
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _migrations()
    known = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]  # newest first
    config.attributes["connection"] = connection
    current = current_revision(connection)
    if current is not None and current not in known:
        raise VurError("catalog.newer", revision=current)
    back = target == "base" or (target in known and current in known and known.index(target) > known.index(current))
    (command.downgrade if back else command.upgrade)(config, target)


def _migrations() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def newest_revision() -> str | None:
    """The schema revision of this version of VUR."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_migrations()).get_current_head()


def current_revision(connection: Connection) -> str | None:
    """The schema revision of the database; None if it was never migrated."""
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()
