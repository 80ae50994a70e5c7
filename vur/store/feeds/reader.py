"""The base classes of all data sources.

Every source is read-only, the names of tables and columns are checked against its own catalog, and both the time and
the number of rows of a query are limited.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vur.errors import VurError
from vur.settings import settings
from vur.store.home import home

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 500_000
SECONDS, CONNECT_SECONDS = 15, 5  # limits for a query and for connecting
ADDRESS = re.compile(r"://|:[^/\s]*@|password\s*=", re.IGNORECASE)  # what no path of a file contains
ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
Since = date | int | None


def quoted(name: str) -> str:
    """Quote `name` as an SQL identifier; `VurError` connections.name if it contains a null character."""
    if "\0" in name:
        raise VurError("connections.name", name=name.replace("\0", "\\0"))
    return '"' + name.replace('"', '""') + '"'


# --- where files may be ---


def allowed_folders() -> list[Path]:
    """The folders of the setting `data_folders`; without it `sources` in the data home, which is created."""
    if chosen := settings().data_folders:
        return [Path(folder).expanduser().resolve() for folder in chosen]
    path = home() / "sources"
    path.mkdir(mode=0o700, exist_ok=True)
    return [path.resolve()]


def checked_path(text: str, folder: bool = False, shown: str | None = None) -> Path:
    """Resolve the path of a file, or of a folder if `folder`: relative to the first allowed folder, links followed.

    `VurError` connections.folder if it is outside the allowed folders, connections.no_file if it does not exist,
    connections.file for an address, which may hold a password. Errors show `shown`, by default the path as it was
    written. The catalog and everything else in the data home but `sources` is never allowed.
    """
    allowed, shown = allowed_folders(), shown or text
    if ADDRESS.search(text):
        raise VurError("connections.file", field="source")
    if "\0" in text:
        raise VurError("connections.folder", path=shown.replace("\0", "\\0"), field="source")
    path = (allowed[0] / Path(text).expanduser()).resolve()
    kept = home().resolve()
    inside = any(path.is_relative_to(one) for one in allowed)
    if not inside or path == kept or (path.is_relative_to(kept) and not path.is_relative_to(kept / "sources")):
        raise VurError("connections.folder", path=shown, field="source")
    if not (path.is_file() or (folder and path.is_dir())):
        raise VurError("connections.no_file", path=shown, field="source")
    return path


# --- the base classes ---


class Reader:
    """A data source that is open for reading; the class attributes describe its kind.

    To add a kind, implement `__init__`, `tables`, `columns` and `read`, and add the class to `kinds.KINDS`.
    """

    is_url: ClassVar[bool] = False  # the address is a URL, not a path inside the allowed folders
    url_form: ClassVar[str] = ""  # how such a URL is written, for the documentation
    reads_folders: ClassVar[bool] = False  # the path may be that of a folder
    has_tables: ClassVar[bool] = True  # a table must be named

    def __init__(self, address: str):
        """Open the source at `address`: a URL, or the absolute path of a file that `checked_path` allows."""
        raise NotImplementedError

    @classmethod
    def masked(cls, address: str) -> str:
        """`address` as it may be shown to users."""
        return address

    @classmethod
    def secrets(cls, address: str) -> list[str]:
        """Parts of `address` that no message may contain."""
        return []

    def close(self) -> None:
        """Release the file or the connection; does nothing by default."""

    def tables(self) -> list[str]:
        """List the names of the tables and views that can be read."""
        raise NotImplementedError

    def columns(self, table: str) -> dict[str, str]:
        """The columns of `table` with their types; `VurError` connections.table if the source has no such table."""
        raise NotImplementedError

    def read(
        self, table: str, names: Sequence[str], by: str, since: Since = None, limit: int | None = None
    ) -> "pd.DataFrame":
        """Read the columns `names`, sorted by the column `by`.

        With `since`, rows before it are left out if the source can compare them; with `limit`, only the last rows are
        read. `VurError` connections.too_many above `MOST_ROWS` rows, connections.column for an unknown column.
        """
        raise NotImplementedError

    def check(self, table: str, names: Sequence[str]) -> dict[str, str]:
        """The columns of `table`; `VurError` connections.column for the first of `names` that is missing."""
        there = self.columns(table)
        for name in names:
            if name not in there:
                raise VurError("connections.column", column=name, table=table, columns=", ".join(there))
        return there

    def try_out(self, table: str, names: Sequence[str]) -> None:
        """Start to read the columns `names` without reading a row: a view may name what cannot be read."""
        self.check(table, names)

    def unknown(self, table: str) -> VurError:
        """The error for a table that does not exist."""
        return VurError("connections.table", table=table, tables=", ".join(self.tables()[:20]) or "-", field="table")


class Sql(Reader):
    """A source that is queried in SQL."""

    mark = "?"  # the placeholder of a value in a query
    connection: Any

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a query: the names of its columns, and its rows."""
        raise NotImplementedError

    def name(self, name: str) -> str:
        """Quote an identifier for a query."""
        return quoted(name)

    def place(self, table: str) -> str:
        """The SQL for `table`, whose name was found in the source's catalog."""
        return self.name(table)

    def read(
        self, table: str, names: Sequence[str], by: str, since: Since = None, limit: int | None = None
    ) -> "pd.DataFrame":
        """See `Reader.read`."""
        import pandas as pd

        self.check(table, [*names, by])
        # SQLite reads an unknown quoted name as a string literal, but never one qualified by its table.
        chosen, order = ", ".join(f"t.{self.name(name)}" for name in names), f"t.{self.name(by)}"
        bound = None if since is None else self.bound(table, by, since)
        where = f"WHERE {order} >= {self.mark}" if bound is not None else ""
        most = f"{'DESC NULLS LAST ' if limit else ''}LIMIT {int(limit or MOST_ROWS + 1)}"
        # Names are quoted and were found in the catalog.
        query = f"SELECT {chosen} FROM {self.place(table)} AS t {where} ORDER BY {order} {most}"  # noqa: S608
        _, rows = self.fetch(query, () if bound is None else (bound,))
        if limit is None and len(rows) > MOST_ROWS:
            raise VurError("connections.too_many", table=table, limit=MOST_ROWS)
        frame = pd.DataFrame.from_records(rows[::-1] if limit else rows, columns=list(names))
        exact = [name for name in frame if frame[name].map(type).eq(Decimal).any()]
        return frame.assign(**{name: frame[name].astype(float) for name in exact})

    def try_out(self, table: str, names: Sequence[str]) -> None:
        """See `Reader.try_out`."""
        super().try_out(table, names)
        chosen = ", ".join(f"t.{self.name(name)}" for name in names)
        self.fetch(f"SELECT {chosen} FROM {self.place(table)} AS t LIMIT 0")  # noqa: S608 - quoted, as above

    def bound(self, table: str, by: str, since: date | int) -> Any:
        """Convert `since` to the type of the column `by`; None if the source cannot compare them."""
        one = f"t.{self.name(by)}"
        _, rows = self.fetch(f"SELECT {one} FROM {self.place(table)} AS t WHERE {one} IS NOT NULL LIMIT 1")  # noqa: S608
        return comparable(rows[0][0], since) if rows else None


def comparable(value: Any, since: date | int) -> Any:
    """Convert `since` to the type of `value`: integer, date, timestamp or ISO string; None for other types."""
    if isinstance(since, int):
        return since if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, (date, datetime)):
        return since
    return since.isoformat() if isinstance(value, str) and ISO.match(value) else None


class Schemas(Sql):
    """A source with schemas: a table is named `table` or `schema.table`."""

    def listed(self) -> list[tuple[str, str, str, str]]:
        """List schema, table, column and type of all readable columns, the first schema of the search path first."""
        raise NotImplementedError

    def _found(self) -> dict[str, tuple[str, str, dict[str, str]]]:
        """Schema, name and columns of each table, by its short and its qualified name."""
        if not hasattr(self, "_tables"):
            self._tables: dict[str, tuple[str, str, dict[str, str]]] = {}
            for schema, table, column, type in self.listed():
                columns = self._tables.setdefault(f"{schema}.{table}", (schema, table, {}))[2]
                columns[column] = type
            for schema, table, columns in list(self._tables.values()):
                self._tables.setdefault(table, (schema, table, columns))
        return self._tables

    def tables(self) -> list[str]:
        """List the qualified names of all tables."""
        return [name for name, (schema, table, _) in self._found().items() if name == f"{schema}.{table}"]

    def columns(self, table: str) -> dict[str, str]:
        """See `Reader.columns`."""
        if table not in self._found():
            raise self.unknown(table)
        return self._found()[table][2]

    def place(self, table: str) -> str:
        """The qualified name, quoted."""
        schema, name, _ = self._found()[table]
        return f"{self.name(schema)}.{self.name(name)}"
