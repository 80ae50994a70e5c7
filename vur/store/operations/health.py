"""Whether what the service stands on is there: the database, room on the disk, the model store, a worker."""

import logging
import os
import shutil
import tempfile

from sqlalchemy import text

from vur.store.database import current_revision, engine, newest_revision, reading
from vur.store.home import folder, home
from vur.store.operations.workers import workers_alive

LEAST_FREE = 512 * 2**20  # bytes
log = logging.getLogger("vur.health")
OK, BAD = "ok", "unavailable"


def database() -> str:
    """Whether the catalog answers and stands at this version's schema."""
    with engine().connect() as connection:
        connection.execute(text("SELECT 1"))
        current = current_revision(connection)
    return OK if current == newest_revision() else "not migrated"


def disk() -> str:
    """Whether there is room for what is about to be written."""
    return OK if free_bytes() >= LEAST_FREE else "almost full"


def free_bytes() -> int:
    """Room in the data home, in bytes."""
    return shutil.disk_usage(home()).free


def models() -> str:
    """Whether a model could be stored and read."""
    path = folder("bentoml") / "models"
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
        os.listdir(path)
    return OK


def worker() -> str:
    """Whether a worker was heard of within ten seconds."""
    with reading() as session:
        return OK if workers_alive(session) else "none alive"


CHECKS = {"database": database, "disk": disk, "models": models, "worker": worker}


def state() -> dict[str, str]:
    """What is well (`ok`) and what is not, by component; no paths, addresses or causes, because anybody may ask."""
    found = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check()
        except Exception:  # whatever it is, the component is not there, and the log says why
            log.exception("%s is not well", name)
            found[name] = BAD
    return found
