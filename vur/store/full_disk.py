"""A full disk, which each library reports in its own way."""

import errno
import shutil
from collections.abc import Iterator

from vur.errors import VurError
from vur.store.home import home

CODES = (errno.ENOSPC, errno.EDQUOT)
TEXTS = ("disk is full", "no space left", "failed to offload")
UNCLEAR = ("disk i/o error", "unable to open database file", "readonly database")  # SQLite, where a file cannot grow
LEAST = 2**20  # free bytes below which an unclear error is one of the disk
POSTGRESQL_FULL = "53100"


def is_full(error: BaseException) -> bool:
    """Whether an error, or one that led to it, tells of a full disk or disk quota."""
    return any(_tells(one) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        if isinstance(driver := getattr(error, "orig", None), BaseException):
            yield driver
        error = error.__cause__ or error.__context__


def _tells(error: BaseException) -> bool:
    if isinstance(error, VurError):
        return error.code == "api.disk"
    if getattr(error, "errno", None) in CODES or getattr(error, "sqlstate", None) == POSTGRESQL_FULL:
        return True
    library = type(error).__module__.partition(".")[0] in ("sqlite3", "pysqlite3", "_duckdb", "duckdb", "pyarrow")
    driver = getattr(error, "orig", None)  # of SQLAlchemy, whose own text holds the statement and its values
    text = str(driver or error).lower() if driver or library or isinstance(error, OSError) else ""
    return any(word in text for word in TEXTS) or (any(word in text for word in UNCLEAR) and free_bytes() < LEAST)


def free_bytes() -> int:
    """The free bytes of the disk with the data home."""
    return shutil.disk_usage(home()).free


def disk_error(needed: int = 0) -> VurError:
    """The error to answer where the disk with the data home is full."""
    return VurError("api.disk", needed=needed, free=free_bytes())
