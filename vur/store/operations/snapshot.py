"""Snapshots: the catalog of either database as one consistent SQLite file, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, delete, func, inspect, select, text, update
from sqlalchemy.pool import NullPool

from vur.errors import VurError
from vur.store.catalog import Base, Counter, Idempotency, Job, Upload, now
from vur.store.database import current_revision, engine, migrate_connection, newest_revision, sqlite_module

VERSIONS = "alembic_version"
QUEUE_SCHEMA = "dbos"
CHUNK = 1000
UNFINISHED = ("receiving", "converting")


def take(target: Path) -> str:
    """Write a consistent copy of the catalog to the new file `target` while others use it; returns its revision."""
    source = engine()
    if source.dialect.name == "sqlite":
        _copy_file(Path(source.url.database or ""), target)
    else:
        _copy_tables(source, target)
    with _file(target) as connection:
        _tidy(connection)
        revision = current_revision(connection)
    _compact(target)
    return revision or ""


def _copy_file(source: Path, target: Path) -> None:
    module = sqlite_module()
    read, write = module.connect(str(source), timeout=30), module.connect(str(target))
    try:
        read.backup(write)
        write.execute("PRAGMA journal_mode=DELETE")
    finally:
        read.close()
        write.close()


def _copy_tables(source: Engine, target: Path) -> None:
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with source.connect().execution_options(**options) as read, _file(target) as write:
        revision = current_revision(read)
        if revision != newest_revision():
            raise VurError("backup.revision", revision=revision or "-", newest=newest_revision())
        Base.metadata.create_all(write)
        write.execute(text(f"CREATE TABLE {VERSIONS} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        inserted = text(f"INSERT INTO {VERSIONS} VALUES (:revision)")  # noqa: S608 - our own name
        write.execute(inserted, {"revision": revision})
        for table in Base.metadata.sorted_tables:
            _copy_rows(read, write, table)


def _copy_rows(read: Connection, write: Connection, table: Any) -> int:
    """Copy all rows of a table; how many."""
    rows = read.execution_options(yield_per=CHUNK).execute(select(table)).mappings()
    count = 0
    for part in rows.partitions(CHUNK):
        write.execute(table.insert(), [dict(row) for row in part])
        count += len(part)
    return count


@contextmanager
def _file(path: Path) -> Iterator[Connection]:
    """A transaction on a SQLite file that no other process uses."""
    found = create_engine(f"sqlite:///{path}", module=sqlite_module(), poolclass=NullPool)
    with found.begin() as connection:
        yield connection


def _tidy(connection: Connection) -> None:
    """Delete what is useless in a backup: foreign tables, counters, idempotency records, unfinished uploads."""
    known = {table.name for table in Base.metadata.tables.values()} | {VERSIONS}
    there = set(inspect(connection).get_table_names())
    for name in there - known:
        connection.execute(text(f'DROP TABLE "{name}"'))
    for table, where in ((Counter, None), (Idempotency, None), (Upload, Upload.state.in_(UNFINISHED))):
        if table.__tablename__ in there:
            connection.execute(delete(table) if where is None else delete(table).where(where))


def _compact(path: Path) -> None:
    connection = sqlite_module().connect(str(path), isolation_level=None)
    try:
        connection.execute("VACUUM")
    finally:
        connection.close()


def prepare(path: Path) -> dict[str, int]:
    """Migrate a snapshot to the newest schema, and re-queue its running jobs; the number of rows by table."""
    with _file(path) as connection:
        migrate_connection(connection)
        requeued = {
            "state": "queued",
            "lease_owner": None,
            "heartbeat_at": None,
            "host": None,
            "pid": None,
            "process_group": None,
            "progress": 0.0,
        }
        connection.execute(
            update(Job).where(Job.state == "running", Job.cancel_requested.is_(False)).values(**requeued)
        )
        connection.execute(update(Job).where(Job.state == "running").values(state="cancelled", ended_at=now()))
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def check(path: Path) -> str:
    """`ok`, or the first error that SQLite finds in a file."""
    with _file(path) as connection:
        return str(connection.execute(text("PRAGMA integrity_check(1)")).scalar())


def load(path: Path, connection: Connection, aside: str) -> None:
    """Load a prepared snapshot into PostgreSQL, inside the caller's transaction; old tables move to the schema `aside`.

    The job queue moves too, so that workflows of old jobs are not taken for those of the restored ones.
    """
    ours = [table.name for table in Base.metadata.sorted_tables] + [VERSIONS]
    there = set(inspect(connection).get_table_names())
    if there & set(ours):
        connection.execute(text(f'CREATE SCHEMA "{aside}"'))
        for name in ours:
            if name in there:
                connection.execute(text(f'ALTER TABLE "{name}" SET SCHEMA "{aside}"'))
    if QUEUE_SCHEMA in inspect(connection).get_schema_names():
        connection.execute(text(f'ALTER SCHEMA "{QUEUE_SCHEMA}" RENAME TO "{aside}_{QUEUE_SCHEMA}"'))
    migrate_connection(connection)
    with _file(path) as read:
        for table in Base.metadata.sorted_tables:
            if (
                _copy_rows(read, connection, table)
                and "id" in table.columns
                and table.columns["id"].autoincrement is True
            ):
                last = f'SELECT max(id) FROM "{table.name}"'  # noqa: S608 - our own name
                sequence = f"pg_get_serial_sequence('\"{table.name}\"', 'id')"
                connection.execute(text(f"SELECT setval({sequence}, ({last}))"))


def in_use() -> bool:
    """Whether another process has the catalog open."""
    found = engine()
    if found.dialect.name == "postgresql":
        with found.connect() as connection:
            others = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            return bool(connection.scalar(text(others)))
    return file_in_use(Path(found.url.database or ""))


def file_in_use(path: Path) -> bool:
    """Whether another process has a SQLite file open: only the sole process can leave WAL mode."""
    if not path.is_file():
        return False
    module = sqlite_module()
    connection = module.connect(str(path), timeout=0, isolation_level=None)
    try:
        return bool(connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] != "delete")
    except module.OperationalError:
        return True
    finally:
        connection.close()


def is_empty() -> bool:
    """Whether the database contains none of VUR's tables."""
    with engine().connect() as connection:
        return not set(inspect(connection).get_table_names()) & {table.name for table in Base.metadata.sorted_tables}
