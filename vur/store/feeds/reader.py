"""Reading rows from databases and files of others: strictly read-only, names checked against the source's own catalog, time and size limited."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.errors import VurError
from vur.settings import settings
from vur.store.home import home

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 500_000
SECONDS, CONNECT_SECONDS = 15, 5  # how long a query and a connection may take
ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
Since = date | int | None


def quoted(name: str) -> str:
    """An identifier for SQL."""
    if "\0" in name:
        raise VurError("connections.name", name=name.replace("\0", "\\0"))
    return '"' + name.replace('"', '""') + '"'


# --- where files may lie ---


def allowed_folders() -> list[Path]:
    """The folders of the setting `data_folders`, or `sources` in the data home, which is made."""
    if chosen := settings().data_folders:
        return [Path(folder).expanduser().resolve() for folder in chosen]
    path = home() / "sources"
    path.mkdir(mode=0o700, exist_ok=True)
    return [path.resolve()]


def checked_path(text: str, folder: bool = False) -> Path:
    """The file at `text` (or, with `folder`, perhaps a folder), links followed; relative paths count from the first allowed folder.

    `VurError` connections.folder where it lies elsewhere, connections.no_file where there is none. The catalog and
    everything else that the data home keeps are never allowed.
    """
    allowed = allowed_folders()
    if "\0" in text:
        raise VurError("connections.folder", path=text.replace("\0", "\\0"), folders=", ".join(map(str, allowed)))
    path = (allowed[0] / Path(text).expanduser()).resolve()
    kept = home().resolve()
    inside = any(path.is_relative_to(one) for one in allowed)
    if not inside or path == kept or (path.is_relative_to(kept) and not path.is_relative_to(kept / "sources")):
        raise VurError("connections.folder", path=text, folders=", ".join(map(str, allowed)))
    if not (path.is_file() or (folder and path.is_dir())):
        raise VurError("connections.no_file", path=text)
    return path


# --- the kinds ---


class Reader:
    """What is the same for all sources; `columns` are names and types as the source has them."""

    def tables(self) -> list[str]:
        """Names of tables and views that can be read."""
        raise NotImplementedError

    def columns(self, table: str) -> dict[str, str]:
        """Names and types of the columns of `table`; `VurError` connections.table where there is none."""
        raise NotImplementedError

    def read(
        self, table: str, names: Sequence[str], by: str, since: Since = None, limit: int | None = None
    ) -> "pd.DataFrame":
        """The columns `names` of all rows, or of those whose `by` is not before `since` as far as the source can tell.

        With `limit` only the last ones by `by`. `VurError` connections.too_many above `MOST_ROWS`, connections.column
        for unknown names.
        """
        raise NotImplementedError

    def check(self, table: str, names: Sequence[str]) -> dict[str, str]:
        """The columns of `table`; `VurError` connections.column naming the first of `names` that it lacks."""
        there = self.columns(table)
        for name in names:
            if name not in there:
                raise VurError("connections.column", column=name, table=table, columns=", ".join(there))
        return there

    def unknown(self, table: str) -> VurError:
        """The error for a table that is not there."""
        return VurError("connections.table", table=table, tables=", ".join(self.tables()[:20]) or "-")


class Sql(Reader):
    """A source that is asked in SQL."""

    mark = "?"

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of a query."""
        raise NotImplementedError

    def name(self, name: str) -> str:
        """An identifier in a query."""
        return quoted(name)

    def place(self, table: str) -> str:
        """`table`, which was found in the catalog, as SQL has it."""
        return self.name(table)

    def read(
        self, table: str, names: Sequence[str], by: str, since: Since = None, limit: int | None = None
    ) -> "pd.DataFrame":
        """See `Reader.read`."""
        import pandas as pd

        self.check(table, [*names, by])
        # A name behind its table is never taken for a text, as SQLite does with quoted names that it does not know.
        chosen, order = ", ".join(f"t.{self.name(name)}" for name in names), f"t.{self.name(by)}"
        bound = None if since is None else self.bound(table, by, since)
        where = f"WHERE {order} >= {self.mark}" if bound is not None else ""
        most = f"{'DESC NULLS LAST ' if limit else ''}LIMIT {int(limit or MOST_ROWS + 1)}"
        query = f"SELECT {chosen} FROM {self.place(table)} AS t {where} ORDER BY {order} {most}"  # noqa: S608 - quoted, and found in the catalog
        _, rows = self.fetch(query, () if bound is None else (bound,))
        if limit is None and len(rows) > MOST_ROWS:
            raise VurError("connections.too_many", table=table, limit=MOST_ROWS)
        frame = pd.DataFrame.from_records(rows[::-1] if limit else rows, columns=list(names))
        exact = [name for name in frame if frame[name].map(type).eq(Decimal).any()]
        return frame.assign(**{name: frame[name].astype(float) for name in exact})

    def bound(self, table: str, by: str, since: date | int) -> Any:
        """`since` in the type of the values of `by`; None where they cannot be compared inside the source."""
        one = f"t.{self.name(by)}"
        _, rows = self.fetch(f"SELECT {one} FROM {self.place(table)} AS t WHERE {one} IS NOT NULL LIMIT 1")  # noqa: S608
        return comparable(rows[0][0], since) if rows else None


def comparable(value: Any, since: date | int) -> Any:
    """`since` as a value to compare with others like `value`: whole numbers, dates, moments and ISO texts; None for anything else."""
    if isinstance(since, int):
        return since if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, (date, datetime)):
        return since
    return since.isoformat() if isinstance(value, str) and ISO.match(value) else None


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
