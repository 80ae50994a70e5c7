"""Heartbeats of workers in the catalog, one every two seconds."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.store import counters
from vur.store.catalog import Counter, now
from vur.store.database import writing

PREFIX = "worker:"
EVERY = 2.0  # seconds between two heartbeats
ALIVE = timedelta(seconds=10)


def beat(owner: str) -> None:
    """Store the heartbeat of worker `owner`; called every `EVERY` seconds."""
    with writing() as session:
        counters.touch(session, PREFIX + owner)


def remove(owner: str) -> None:
    """Delete the heartbeat of worker `owner`, which is shutting down."""
    with writing() as session:
        counters.clear(session, PREFIX + owner)


def workers_alive(session: Session, within: timedelta = ALIVE) -> list[str]:
    """The workers with a heartbeat within `within`."""
    rows = session.scalars(
        select(Counter.key)
        .where(Counter.key.startswith(PREFIX, autoescape=True), Counter.window_start > now() - within)
        .order_by(Counter.key)
    )
    return [key.removeprefix(PREFIX) for key in rows]
