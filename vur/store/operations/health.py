"""The health of the service: database, disk space, model store, worker."""

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
    """Check that the catalog responds and has this version's schema."""
    with engine().connect() as connection:
        connection.execute(text("SELECT 1"))
        current = current_revision(connection)
    return OK if current == newest_revision() else "not migrated"


def disk() -> str:
    """Check the free disk space."""
    return OK if free_bytes() >= LEAST_FREE else "almost full"


def free_bytes() -> int:
    """The free space of the data home's disk in bytes."""
    return shutil.disk_usage(home()).free


def models() -> str:
    """Check that the model store can be written and read."""
    path = folder("bentoml") / "models"
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
        os.listdir(path)
    return OK


def worker() -> str:
    """Check that a worker has sent a heartbeat within ten seconds."""
    with reading() as session:
        return OK if workers_alive(session) else "none alive"


CHECKS = {"database": database, "disk": disk, "models": models, "worker": worker}


def state() -> dict[str, str]:
    """The state of each component, `ok` if healthy; without paths, addresses or causes, because it is public."""
    found = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check()
        except Exception:  # the component is unavailable whatever the cause, which the log contains
            log.exception("%s is not healthy", name)
            found[name] = BAD
    return found
