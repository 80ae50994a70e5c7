"""Monitors in the catalog: users start and stop them, workers lease the due ones and update them after each round."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store import events
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Alert, DatabaseConnection, Model, Monitor, Pipeline, Share, User, new_id, now
from vur.store.database import rows_changed
from vur.store.models import champions
from vur.text import DEFAULT_LANGUAGE, translate

LEASE = timedelta(seconds=30)
LONGEST_REST = 300.0  # seconds between two rounds of a failing monitor, at most
MOST = 100  # active monitors of a user
ACTIVE = ("running", "failing")
FAILED = "monitor_failed"


def sentence(error: VurError, language: str = DEFAULT_LANGUAGE) -> str:
    """A monitor's error for its reader, who has no file or table of rows at hand but the source."""
    if error.code.startswith("panel."):
        return f"{error.cause(language)} {translate('monitors.rows.remedy', language)}"
    return error.text(language)


# --- for users ---


def start(
    session: Session,
    who: Principal,
    model_id: str,
    connection_id: str,
    interval: float,
    pipeline_id: str | None = None,
    follow: bool | None = None,
) -> Monitor:
    """Start a monitor, which is due at once; a stopped one of the same model and source resumes at its position.

    With `follow`, the champion of the model's family predicts; the default is whether the model is the champion.
    `VurError` monitors.exists if one is active already, monitors.too_many, models.not_trained.
    """
    model = fetch(session, Model, model_id, who)
    fetch(session, DatabaseConnection, connection_id, who)
    if pipeline_id is not None:
        fetch(session, Pipeline, pipeline_id, who)
    if model.tag is None:
        raise VurError("models.not_trained", id=model.id, status=model.status)
    mine = select(Monitor).where(Monitor.owner_id == who.user_id)
    there = session.scalar(
        mine.where(Monitor.model_id == model_id, Monitor.connection_id == connection_id)
        .order_by(Monitor.created_at.desc())
        .limit(1)
    )
    if there is not None and there.state != "stopped":
        raise VurError("monitors.exists", id=there.id)
    active = select(func.count()).select_from(mine.where(Monitor.state != "stopped").subquery())
    if (session.scalar(active) or 0) >= MOST:
        raise VurError("monitors.too_many", limit=MOST)
    monitor = there or Monitor(
        owner_id=who.user_id, model_id=model_id, connection_id=connection_id, interval_seconds=interval, position={}
    )
    monitor.interval_seconds, monitor.state, monitor.due_at, monitor.error, monitor.lease_owner = (
        interval,
        "running",
        now(),
        None,
        None,
    )
    monitor.follow = champions.is_champion(session, model) if follow is None else follow
    monitor.pipeline_id = pipeline_id or model.pipeline_id
    monitor.position = {key: value for key, value in (monitor.position or {}).items() if key != "failures"}
    session.add(monitor)
    session.flush()
    events.record_activity(session, who.user_id, "monitor_started", about=("monitor", monitor.id), name=model.name)
    return monitor


def stop(session: Session, who: Principal, id: str) -> Monitor:
    """Stop a monitor; a round that is running is discarded. A stopped monitor can be started again."""
    monitor = fetch(session, Monitor, id, who, "edit")
    if monitor.state != "stopped":
        monitor.state, monitor.due_at, monitor.lease_owner = "stopped", None, None
        resolve(session, id)
        session.flush()
        events.record_activity(
            session,
            monitor.owner_id,
            "monitor_stopped",
            user_id=who.user_id,
            about=("monitor", id),
            name=name_of(session, monitor),
        )
    return monitor


def remove(session: Session, who: Principal, id: str) -> None:
    """Delete a monitor; its forecasts stay in the ledger."""
    monitor = fetch(session, Monitor, id, who, "own")
    resolve(session, id)
    session.execute(delete(Share).where(Share.kind == "monitor", Share.object_id == id))
    session.delete(monitor)


def name_of(session: Session, monitor: Monitor) -> str:
    """The name of a monitor in messages: that of its model."""
    return session.scalar(select(Model.name).where(Model.id == monitor.model_id)) or monitor.id


def language_of(session: Session, monitor: Monitor) -> str:
    """The language of the monitor's owner."""
    return session.scalar(select(User.language).where(User.id == monitor.owner_id)) or DEFAULT_LANGUAGE


# --- for workers ---


def take_due(
    session: Session, owner: str, most: int, but: Collection[str] = (), failing: int | None = None
) -> list[tuple[str, str]]:
    """Lease up to `most` due monitors to `owner`, the longest overdue first: their ids and lease tokens.

    At most `failing` of them are in the state failing, so that sources that hang leave room for the others. Until the
    lease ends, no other worker takes them.
    """
    moment = now()
    due = select(Monitor.id, Monitor.state).where(
        Monitor.state.in_(ACTIVE), Monitor.due_at <= moment, Monitor.id.not_in(list(but))
    )
    found = session.execute(
        due.order_by(case((Monitor.state == "failing", 1), else_=0), Monitor.due_at).limit(4 * most)
    ).all()
    room = most if failing is None else failing
    taken: list[tuple[str, str]] = []
    for id, state in found:
        if len(taken) >= most or (state == "failing" and room <= 0):
            continue
        token = f"{owner[:60]}:{new_id()[:8]}"
        same = update(Monitor).where(Monitor.id == id, Monitor.state.in_(ACTIVE), Monitor.due_at <= moment)
        leased = same.values(due_at=moment + LEASE, lease_owner=token, updated_at=Monitor.updated_at)
        if rows_changed(session, leased):
            taken.append((id, token))
            room -= state == "failing"
    return taken


def renew(session: Session, tokens: Collection[str]) -> None:
    """Renew the leases of running rounds."""
    if tokens:
        held = update(Monitor).where(Monitor.lease_owner.in_(list(tokens)), Monitor.state.in_(ACTIVE))
        session.execute(held.values(due_at=now() + LEASE, updated_at=Monitor.updated_at))


def move_on(
    session: Session,
    id: str,
    token: str,
    interval: float,
    position: dict[str, Any],
    forecasts: int,
    problem: dict[str, Any] | None = None,
) -> bool:
    """End a successful round; False if the lease was lost or the monitor stopped, and the round must be discarded."""
    return _end(
        session,
        id,
        token,
        state="running",
        position=position,
        error=problem,
        due_at=now() + timedelta(seconds=interval),
        predictions=Monitor.predictions + forecasts,
    )


def fail(
    session: Session, id: str, token: str, interval: float, position: dict[str, Any], problem: dict[str, Any]
) -> bool:
    """End a failed round; the time to the next one doubles, up to `LONGEST_REST` or the monitor's own interval."""
    failures = int(position.get("failures", 0)) + 1
    rest = min(interval * 2 ** min(failures, 20), max(LONGEST_REST, interval))
    return _end(
        session,
        id,
        token,
        state="failing",
        position=position | {"failures": failures},
        error=problem | {"failures": failures},
        due_at=now() + timedelta(seconds=rest),
    )


def _end(session: Session, id: str, token: str, **values: Any) -> bool:
    held = update(Monitor).where(Monitor.id == id, Monitor.lease_owner == token, Monitor.state.in_(ACTIVE))
    ended = held.values(lease_owner=None, last_run_at=now(), updated_at=Monitor.updated_at, **values)
    return rows_changed(session, ended) == 1


def resolve(session: Session, id: str) -> bool:
    """Resolve the alert that a monitor fails; whether there was one."""
    open = update(Alert).where(Alert.kind == FAILED, Alert.object_id == id, Alert.resolved_at.is_(None))
    return rows_changed(session, open.values(resolved_at=now())) > 0


def principal_of(session: Session, monitor: Monitor) -> Principal:
    """The monitor's owner with their current rights; `VurError` monitors.owner if the account is closed."""
    user = session.get(User, monitor.owner_id)
    if user is None or not user.active:
        raise VurError("monitors.owner")
    return Principal(user.id, user.role, user.language, "local")


# --- for the API ---


def shown(session: Session, rows: Collection[Monitor]) -> list[dict[str, Any]]:
    """Monitors as the API returns them, with the names of their models and sources."""
    models = dict(
        session.execute(select(Model.id, Model.name).where(Model.id.in_({row.model_id for row in rows}))).all()
    )
    sources = dict(
        session.execute(
            select(DatabaseConnection.id, DatabaseConnection.name).where(
                DatabaseConnection.id.in_({row.connection_id for row in rows})
            )
        ).all()
    )
    keys = (
        "pipeline_id",
        "model_id",
        "follow",
        "interval_seconds",
        "last_run_at",
        "predictions",
        "owner_id",
        "created_at",
        "updated_at",
        "version",
    )
    return [
        {
            "monitor_id": row.id,
            "status": row.state,
            "database_id": row.connection_id,
            "model_name": models.get(row.model_id),
            "database_name": sources.get(row.connection_id),
            "next_run_at": row.due_at,
            "error": row.error,
            "last": {
                key: row.position.get(key)
                for key in ("forecast_id", "model_version", "origin", "observed", "outside", "skipped")
            },
            **{key: getattr(row, key) for key in keys},
        }
        for row in rows
    ]


def counts(session: Session, ids: Collection[str]) -> dict[str, int]:
    """The number of active monitors of each pipeline."""
    grouped = select(Monitor.pipeline_id, func.count()).where(
        Monitor.pipeline_id.in_(list(ids)), or_(*(Monitor.state == state for state in ACTIVE))
    )
    return {id: count for id, count in session.execute(grouped.group_by(Monitor.pipeline_id)) if id is not None}
