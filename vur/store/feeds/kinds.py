"""Reading rows from databases and files of others: strictly read-only, names checked against the source's own catalog, time and size limited."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vur.errors import VurError
from vur.store.feeds.reader import Reader, checked_path

KINDS = ("sqlite", "postgresql", "duckdb", "parquet")


@contextmanager
def opened(kind: str, address: str) -> Iterator[Reader]:
    """The source at `address`, closed afterwards.

    `VurError` connections.unreachable says why it cannot be opened or read.
    """
    try:
        reader = _open(kind, address)
        try:
            yield reader
        finally:
            reader.close()
    except VurError:
        raise
    except Exception as error:  # each driver has errors of its own
        raise VurError("connections.unreachable", reason=_reason(error, address)) from error


def _open(kind: str, address: str) -> Any:
    from vur.store.feeds.duckdb import Duckdb
    from vur.store.feeds.parquet import Parquet
    from vur.store.feeds.postgresql import Postgresql
    from vur.store.feeds.sqlite import Sqlite

    if kind == "postgresql":
        return Postgresql(address)
    path = checked_path(address, folder=kind == "parquet")
    return {"sqlite": Sqlite, "duckdb": Duckdb, "parquet": Parquet}[kind](path)


def _reason(error: Exception, address: str) -> str:
    """What a driver says, in one line, without the password."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "://" in address:
        from vur.store.feeds.postgresql import parsed_url

        for part in (address, parsed_url(address).get("password")):
            text = text.replace(part, "***") if part else text
    return text[:300]
