"""The kinds of data sources: one line a kind, and the one way to open a source of any kind.

To add a kind, write a `Reader` in a module of this package and add its line to `KINDS`; the API, the connections and
the monitors read everything else about it from its class.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from vur.errors import VurError
from vur.store.feeds.duckdb import Duckdb
from vur.store.feeds.parquet import Parquet
from vur.store.feeds.postgresql import Postgresql
from vur.store.feeds.reader import Reader, checked_path
from vur.store.feeds.sqlite import Sqlite

# Their modules import a driver only when a source is opened.
KINDS: dict[str, type[Reader]] = {
    "sqlite": Sqlite,
    "postgresql": Postgresql,
    "duckdb": Duckdb,
    "parquet": Parquet,
}


@contextmanager
def opened(kind: str, address: str) -> Iterator[Reader]:
    """Open the source at `address` for reading, and close it at the end of the block.

    `VurError` connections.unreachable gives the reason why it cannot be opened or read, without its password.
    """
    chosen = KINDS[kind]
    try:
        reader = chosen(address if chosen.is_url else str(checked_path(address, folder=chosen.reads_folders)))
        try:
            yield reader
        finally:
            reader.close()
    except VurError:
        raise
    except Exception as error:  # each driver has exceptions of its own
        raise VurError("connections.unreachable", reason=_reason(error, chosen.secrets(address))) from error


def _reason(error: Exception, secrets: list[str]) -> str:
    """The driver's message on one line, with `secrets` masked."""
    text = " ".join(str(error).split()) or type(error).__name__
    for secret in secrets:
        text = text.replace(secret, "***")
    return text[:300]
