"""The kinds of data sources: one line a kind, and the one way to open a source of any kind.

To add a kind, write a `Reader` in a module of this package and add its line to `KINDS`; the API, the connections and
the monitors read everything else about it from its class.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from vur.errors import VurError
from vur.store.feeds.duckdb import Duckdb
from vur.store.feeds.parquet import Parquet
from vur.store.feeds.postgresql import Postgresql
from vur.store.feeds.reader import Reader, checked_path
from vur.store.feeds.sqlite import Sqlite

FOLDERS = re.compile(r"(?<![\w.~/])/(?:[^\s'\"/:;,()]+/)+")  # the folders of an absolute path

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

    `VurError` connections.unreachable gives the reason why it cannot be opened or read, without its password, and with
    the path of a file as it was written in `address`.
    """
    chosen = KINDS[kind]
    place = address if chosen.is_url else str(checked_path(address, folder=chosen.reads_folders))
    try:
        reader = chosen(place)
        try:
            yield reader
        finally:
            reader.close()
    except VurError:
        raise
    except Exception as error:  # each driver has exceptions of its own
        secrets = chosen.secrets(address) if chosen.is_url else []
        reason = _reason(error, secrets, {} if chosen.is_url else {place: address})
        raise VurError("connections.unreachable", reason=reason, field="source") from error


def _reason(error: Exception, secrets: list[str], names: dict[str, str]) -> str:
    """The driver's message on one line: `secrets` masked, paths by `names`, other files without their folders."""
    text = " ".join(str(error).split()).partition(" LINE 1:")[0] or type(error).__name__  # DuckDB repeats our query
    for secret in secrets:
        text = text.replace(secret, "***")
    for number, path in enumerate(names):
        text = text.replace(path, f"\0{number}")
    text = FOLDERS.sub("", text)
    for number, name in enumerate(names.values()):
        text = text.replace(f"\0{number}", name)
    return text[:300].rstrip(" .")
