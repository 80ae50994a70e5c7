"""SQLite files as data sources, opened read-only."""

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from vur.store.feeds import reader
from vur.store.feeds.reader import Sql


class Sqlite(Sql):
    """A SQLite file, opened read-only."""

    def __init__(self, address: str):
        from vur.store.database import sqlite_module

        module = sqlite_module()
        self.connection = module.connect(f"{Path(address).as_uri()}?mode=ro", uri=True, timeout=reader.CONNECT_SECONDS)
        for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            self.connection.execute(f"PRAGMA {pragma}")
        end = time.monotonic() + reader.SECONDS
        self.connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See `Sql.fetch`."""
        found = self.connection.execute(
            query, tuple(value.isoformat() if isinstance(value, date) else value for value in values)
        )
        return [column[0] for column in found.description], found.fetchall()

    def tables(self) -> list[str]:
        """See `Reader.tables`."""
        return [
            row[0]
            for row in self.fetch(
                "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
            )[1]
        ]

    def columns(self, table: str) -> dict[str, str]:
        """The columns of `table` with their declared types."""
        if table not in self.tables():
            raise self.unknown(table)
        return dict(self.fetch("SELECT name, type FROM pragma_table_info(?)", (table,))[1])

    def close(self) -> None:
        """Close the file."""
        self.connection.close()
