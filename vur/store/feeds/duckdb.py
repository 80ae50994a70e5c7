"""DuckDB files as data sources, opened read-only and without access to other files."""

import threading
from collections.abc import Sequence
from typing import Any

from vur.store.feeds import reader
from vur.store.feeds.reader import Schemas

DUCKDB: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "lock_configuration": True,
}


class Duckdb(Schemas):
    """A DuckDB file, opened read-only and without access to other files."""

    def __init__(self, address: str):
        import duckdb

        self.connection = duckdb.connect(address, read_only=True, config=DUCKDB)
        self.timer = threading.Timer(reader.SECONDS, self.connection.interrupt)
        self.timer.daemon = True
        self.timer.start()

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See `Sql.fetch`."""
        found = self.connection.execute(query, list(values))
        return [column[0] for column in found.description], found.fetchall()

    def listed(self) -> list[tuple[str, str, str, str]]:
        """List the columns of all tables and views."""
        return self.fetch(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE NOT internal AND database_name = current_database() "
            "ORDER BY schema_name <> 'main', schema_name, table_name, column_index"
        )[1]

    def close(self) -> None:
        """Close the file."""
        self.timer.cancel()
        self.connection.close()
