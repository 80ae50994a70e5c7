"""Startup of a service process: tie its life to its parent's, and preload libraries and champions."""

import gc
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.store.accounts.access import Principal
from vur.store.catalog import Alias, User
from vur.store.database import engine, migrate, reading, writing
from vur.store.models.champions import Served, find_served
from vur.store.secret import secret

WARM = 8  # champions to preload
LIBRARIES = ("vur.stages.model.pipeline", "vur.forecasters.statistical", "statsforecast.models")
COLLECT = (10_000, 20, 50)  # garbage collector thresholds: a full collection after ten million objects
log = logging.getLogger("vur.service")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the startup and shutdown of the application in one process."""
    from vur.serving.process.supervisor import end_with_parent

    end_with_parent()
    await run_in_threadpool(prepare)
    # BentoML asks whether a value is one of `scipy.sparse`: a module that `warm` has half imported has no such class.
    import_module("scipy.sparse")
    threading.Thread(target=warm, daemon=True, name="warm").start()
    yield
    engine().dispose()


def prepare() -> int:
    """Migrate catalog, secrets and job tables, adopt models saved by `vur run`; returns the number of users."""
    from vur.jobs.queue import create_schema
    from vur.store.models.registry import adopt, unadopted

    secret("tokens")
    migrate()
    create_schema()
    with writing() as session:
        users = session.scalar(select(func.count()).select_from(User)) or 0
        keeper = session.scalar(select(User.id).where(User.role == "admin", User.active).order_by(User.created_at))
        if keeper:
            for tag in unadopted(session):
                adopt(session, tag, keeper)
    return users


def warm() -> None:
    """Import what most forecasts need, and forecast once with the latest champions; failures are logged.

    The loaded objects stay for good, so the garbage collector is told to skip them: scanning them would stop all
    requests for a quarter of a second, many times a minute.
    """
    from vur.predictions.predict import warm_up

    for name in LIBRARIES:
        import_module(name)
    for one in moved_last():
        try:
            warm_up(one)
        except VurError as error:
            log.warning("model %s cannot be opened: %s", one.tag, error)
        except Exception:  # a library's error: the others are still preloaded, and requests for this one get the error
            log.exception("model %s failed its first forecast", one.tag)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


def moved_last() -> list[Served]:
    """Return the most recently changed champions of all owners."""
    try:
        with reading() as session:
            rows = session.execute(
                select(Alias.model_id, Alias.owner_id, User.role)
                .join(User, User.id == Alias.owner_id)
                .order_by(Alias.updated_at.desc())
                .limit(WARM)
            )
            return [find_served(session, Principal(owner, role), model_id) for model_id, owner, role in rows]
    except VurError:
        log.exception("no champion was preloaded")
        return []
