"""The data home: the one folder in which VUR stores everything. It contains nothing that VUR did not create."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vur.errors import VurError
from vur.settings import settings

KINDS = ("datasets", "cache", "runs", "bentoml", "locks", "scenarios", "uploads", "jobs", "results", "lab")
SAFE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


def home() -> Path:
    """The data home, created readable by its owner only."""
    path = settings().home.expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise VurError("store.home", path=path, reason=error.strerror or error) from None
    return path


def folder(kind: str, *ids: str) -> Path:
    """The folder of `kind` (one of `KINDS`) and ids inside the data home; ids are validated and never used as paths."""
    if kind not in KINDS:
        raise KeyError(kind)
    for part in ids:
        if not SAFE_ID.fullmatch(part):
            raise VurError("store.id", id=part)
    return home().joinpath(kind, *ids)


@contextmanager
def new_folder(target: Path, owner: str = "") -> Iterator[Path]:
    """A temporary folder that is renamed to `target` at the end of the block, unless it raises.

    If another process has created `target` first, that one stays: content-addressed folders are equal by construction.
    The folder's name begins with `.draft-` and `owner`, by which it is found if the process is killed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".draft-{owner}", dir=target.parent))
    try:
        yield draft
        try:
            os.replace(draft, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_text(path: Path, text: str) -> Path:
    """Write `text` to `path` atomically: a reader sees the old or the new file."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".draft-", delete=False) as draft:
        draft.write(text)
    os.chmod(draft.name, 0o644)
    os.replace(draft.name, path)
    return path


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock `name` of this data home; other processes wait."""
    import fcntl

    path = folder("locks", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
