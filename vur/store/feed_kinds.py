"""The kinds of sources: SQLite, PostgreSQL, DuckDB and Parquet, each opened so that it cannot be written to."""

import threading
import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.errors import VurError
from vur.store.feeds import MOST_ROWS, Reader, Since, Sql, checked_path, quoted

if TYPE_CHECKING:
    import pandas as pd

SECONDS, CONNECT_SECONDS = 15, 5
FILES = 10_000
DUCKDB = {
    "threads": 1,
    "memory_limit": "512MB",
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "lock_configuration": True,
}
URL_KEYS = {"host", "port", "user", "password", "dbname", "sslmode"}


class Sqlite(Sql):
    """A SQLite file, opened for reading only."""

    def __init__(self, path: Path):
        from vur.store.database import sqlite_module

        module = sqlite_module()
        self.connection = module.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=CONNECT_SECONDS)
        for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            self.connection.execute(f"PRAGMA {pragma}")
        end = time.monotonic() + SECONDS
        self.connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of a query."""
        found = self.connection.execute(query, tuple(value.isoformat() if isinstance(value, date) else value for value in values))
        return [column[0] for column in found.description], found.fetchall()

    def tables(self) -> list[str]:
        """Names of tables and views."""
        return [
            row[0]
            for row in self.fetch(
                "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
            )[1]
        ]

    def columns(self, table: str) -> dict[str, str]:
        """Names and declared types."""
        if table not in self.tables():
            raise self.unknown(table)
        return dict(self.fetch("SELECT name, type FROM pragma_table_info(?)", (table,))[1])

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


class Schemas(Sql):
    """A source whose tables lie in schemas: `table` or `schema.table`."""

    def listed(self) -> list[tuple[str, str, str, str]]:
        """Schema, table, column and type of all that can be read, those of the first schema on the search path first."""
        raise NotImplementedError

    def _found(self) -> dict[str, tuple[str, str, dict[str, str]]]:
        """Tables by both of their names."""
        if not hasattr(self, "_tables"):
            self._tables: dict[str, tuple[str, str, dict[str, str]]] = {}
            for schema, table, column, type in self.listed():
                columns = self._tables.setdefault(f"{schema}.{table}", (schema, table, {}))[2]
                columns[column] = type
            for schema, table, columns in list(self._tables.values()):
                self._tables.setdefault(table, (schema, table, columns))
        return self._tables

    def tables(self) -> list[str]:
        """Names with their schemas."""
        return [name for name, (schema, table, _) in self._found().items() if name == f"{schema}.{table}"]

    def columns(self, table: str) -> dict[str, str]:
        """Names and types."""
        if table not in self._found():
            raise self.unknown(table)
        return self._found()[table][2]

    def place(self, table: str) -> str:
        """Schema and table, quoted."""
        schema, name, _ = self._found()[table]
        return f"{self.name(schema)}.{self.name(name)}"


class Postgresql(Schemas):
    """A PostgreSQL database in a transaction that cannot write."""

    mark = "%s"

    def __init__(self, url: str):
        import psycopg

        options = f"-c default_transaction_read_only=on -c statement_timeout={1000 * SECONDS} -c lock_timeout=2000 -c timezone=UTC"
        # Empty values keep libpq from the password files and variables of the account that the service runs under.
        given = {"password": "", "sslmode": "prefer"} | parsed_url(url)
        self.connection = psycopg.connect(**given, passfile="/dev/null", connect_timeout=CONNECT_SECONDS, options=options, application_name="vur")
        self.connection.read_only = True

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of a query."""
        found = self.connection.execute(query, tuple(values))
        return [column.name for column in found.description], found.fetchall()

    def name(self, name: str) -> str:
        """Quoted, and with percent signs that the driver does not take for placeholders."""
        return quoted(name).replace("%", "%%")

    def listed(self) -> list[tuple[str, str, str, str]]:
        """What the user of the URL may read."""
        return self.fetch(
            "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') "
            "ORDER BY table_schema <> current_schema(), table_schema, table_name, ordinal_position"
        )[1]

    def close(self) -> None:
        """End the connection."""
        self.connection.close()


def parsed_url(url: str) -> dict[str, Any]:
    """The parts of a PostgreSQL URL; `VurError` connections.url for what it lacks, connections.option for parts that are not allowed.

    Other options could name files of the server or undo the protection.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise VurError("connections.url", reason=" ".join(str(error).split())) from None
    for key in given.keys() - URL_KEYS:
        raise VurError("connections.option", option=key, allowed=", ".join(sorted(URL_KEYS)))
    for key in ("host", "user", "dbname"):
        if not given.get(key):
            raise VurError("connections.url", reason=f"{key} is missing")
    if "," in str(given["host"]):  # each would be waited for in turn
        raise VurError("connections.url", reason="more than one host")
    return given


class Duckdb(Schemas):
    """A DuckDB file, opened for reading only, from which no other file can be reached."""

    def __init__(self, path: Path):
        import duckdb

        self.connection = duckdb.connect(str(path), read_only=True, config=DUCKDB)
        self.timer = threading.Timer(SECONDS, self.connection.interrupt)
        self.timer.daemon = True
        self.timer.start()

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of a query."""
        found = self.connection.execute(query, list(values))
        return [column[0] for column in found.description], found.fetchall()

    def listed(self) -> list[tuple[str, str, str, str]]:
        """Tables and views of the file."""
        return self.fetch(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal AND database_name = current_database() "
            "ORDER BY schema_name <> 'main', schema_name, table_name, column_index"
        )[1]

    def close(self) -> None:
        """Close the file."""
        self.timer.cancel()
        self.connection.close()


class Parquet(Reader):
    """A Parquet file, or all those of a folder; there is one table, whatever its name."""

    def __init__(self, path: Path):
        import pyarrow.dataset as dataset

        files = [path] if path.is_file() else self._files(path)
        base = None if path.is_file() else str(path)
        self.data = dataset.dataset([str(file) for file in files], format="parquet", partitioning="hive" if base else None, partition_base_dir=base)

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        inside = [
            path for path in sorted(folder.rglob("*.parquet")) if not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        ]
        if not inside:
            raise VurError("connections.no_file", path=f"{folder.name}/*.parquet")
        if len(inside) > FILES:
            raise VurError("connections.too_many", table=folder.name, limit=FILES)
        return [checked_path(str(path)) for path in inside]

    def tables(self) -> list[str]:
        """There is one."""
        return [""]

    def columns(self, table: str) -> dict[str, str]:
        """Names and types."""
        return {field.name: str(field.type) for field in self.data.schema}

    def read(self, table: str, names: Sequence[str], by: str, since: Since = None, limit: int | None = None) -> "pd.DataFrame":
        """See `Reader.read`."""
        self.check(table, [*names, by])
        data = self.data.filter(condition) if (condition := self._since(by, since)) is not None else self.data
        if data.count_rows() > (10 * MOST_ROWS if limit else MOST_ROWS):
            raise VurError("connections.too_many", table=table or "parquet", limit=MOST_ROWS)
        found = data.to_table(columns=list(dict.fromkeys([*names, by]))).sort_by(by)
        return (found.slice(max(len(found) - limit, 0)) if limit else found).select(list(names)).to_pandas()

    def _since(self, by: str, since: Since) -> Any:
        """The condition on `by`, where its type can be compared."""
        import pyarrow as pa
        import pyarrow.dataset as dataset

        type = self.data.schema.field(by).type
        if since is None:
            return None
        if isinstance(since, int):
            return dataset.field(by) >= since if pa.types.is_integer(type) else None
        if pa.types.is_temporal(type):
            return dataset.field(by) >= pa.scalar(datetime.combine(since, datetime.min.time()), pa.timestamp("us")).cast(type)
        return None

    def close(self) -> None:
        """Nothing is held open."""
