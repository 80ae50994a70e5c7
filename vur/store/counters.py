"""Counters over a time window, shared by all processes: failed logins, heartbeats."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, update
from sqlalchemy.orm import Session

from vur.store.catalog import Counter, now

KEPT = timedelta(days=1)


def increment(session: Session, key: str, window: timedelta) -> tuple[int, datetime]:
    """Increment the counter `key`; its count and the start of its window, which restarts when it has expired."""
    moment = now()
    over = Counter.window_start < moment - window
    changed = {
        "count": case((over, 1), else_=Counter.count + 1),
        "window_start": case((over, moment), else_=Counter.window_start),
    }
    return (
        session.execute(_upsert(session, key, moment, changed).returning(Counter.count, Counter.window_start))
        .one()
        ._tuple()
    )


def touch(session: Session, key: str) -> None:
    """Update the time of `key`, as a heartbeat does."""
    moment = now()
    session.execute(_upsert(session, key, moment, {"window_start": moment, "count": Counter.count + 1}))


def _upsert(session: Session, key: str, moment: datetime, changed: dict[str, Any]) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = session.get_bind().dialect.name
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return (
        insert(Counter)
        .values(key=key, window_start=moment, count=1)
        .on_conflict_do_update(index_elements=["key"], set_=changed)
    )


def decrement(session: Session, key: str) -> None:
    """Decrement the counter `key`, down to zero."""
    session.execute(update(Counter).where(Counter.key == key, Counter.count > 0).values(count=Counter.count - 1))


def clear(session: Session, key: str) -> None:
    """Delete the counter `key`."""
    session.execute(delete(Counter).where(Counter.key == key))


def prune(session: Session) -> None:
    """Delete counters whose window started more than a day ago."""
    session.execute(delete(Counter).where(Counter.window_start < now() - KEPT))
