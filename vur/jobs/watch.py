"""The watch over champions and sources: raises alerts by the users' thresholds, and resolves those that are over."""

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from vur.store.catalog import Alert, Alias, DatabaseConnection, Dataset, Model, Monitor, now
from vur.store.database import reading, writing
from vur.store.events import raise_alert
from vur.store.feeds import monitors
from vur.store.forecasts.scoring import accuracy, scored_points
from vur.store.models import champions, retraining, thresholds

DRIFT = "model_drift"
KINDS = {  # the alert that a reason for retraining raises
    "skill": "model_skill",
    "error": DRIFT,
    "coverage": "model_coverage",
    "inputs": "model_inputs",
    "age": "model_age",
}
SILENT = "source_silent"
log = logging.getLogger("vur.jobs")


def watch() -> None:
    """Judge every champion and every source that continuous predictions follow; an error of one is logged."""
    with reading() as session:
        crowned = select(Model.id).join(Alias, Alias.model_id == Model.id)
        ids = list(session.scalars(crowned.where(Alias.name == champions.CHAMPION, Model.tag.is_not(None)).distinct()))
        followed = list(session.scalars(select(Monitor.id).where(Monitor.state.in_(monitors.ACTIVE))))
    for id in ids:
        try:
            watch_model(id)
        except Exception:
            log.exception("model %s cannot be judged", id)
    for id in followed:
        watch_source(id)
    with writing() as session:
        _close(session, tuple(KINDS.values()), Alert.object_kind == "model", Alert.object_id.not_in(ids))
        _close(session, (SILENT,), Alert.object_id.not_in(followed))


def watch_model(id: str) -> None:
    """Raise an alert for each reason to retrain a model, and resolve those whose reason is gone."""
    with reading() as session:
        model = session.get(Model, id)
        if model is None:
            return
        limits = thresholds.of_model(session, model)
        points = scored_points(session, retraining.ANYBODY, model_ids=[id], since=now() - retraining.RECENT)
        newest = session.scalar(select(Dataset.number).where(Dataset.id == model.dataset_id))
        live = None if points.empty else accuracy(points)
        verdict = retraining.judge(retraining.collect(session, model, live, newest, compute=True), limits)
    found = {KINDS[one.code]: one.values for one in verdict.reasons if one.speaks == "for" and one.code in KINDS}
    with writing() as session:
        for kind, values in found.items():
            _raise(session, model.owner_id, kind, ("model", id), _said(kind, values) | {"name": model.name})
        # A drift that new actual values showed was judged on fewer days: it stays until it is acknowledged.
        over = [kind for kind in KINDS.values() if kind not in found and kind != DRIFT]
        _close(session, tuple(over), Alert.object_kind == "model", Alert.object_id == id)


def watch_source(id: str) -> None:
    """Raise an alert if the source of continuous predictions has had no new rows for longer than the threshold."""
    with writing() as session:
        monitor = session.get(Monitor, id)
        model = session.get(Model, monitor.model_id) if monitor is not None else None
        if monitor is None or model is None:
            return
        hours = thresholds.of_model(session, model)["silence"]
        since = _news_at(monitor)
        if hours is None or now() - since < timedelta(hours=hours):
            _close(session, (SILENT,), Alert.object_id == id)
            return
        source = session.get_one(DatabaseConnection, monitor.connection_id)
        silent = round((now() - since).total_seconds() / 3600, 1)
        values = {"source": source.name, "name": model.name, "hours": silent, "limit": hours}
        _raise(session, monitor.owner_id, SILENT, ("monitor", id), values)


def _news_at(monitor: Monitor) -> datetime:
    """When the source last had new rows; when the monitor was made if it never had."""
    text = (monitor.position or {}).get("news_at")
    return datetime.fromisoformat(text) if text else monitor.created_at


def _raise(session: Session, owner_id: str, kind: str, about: tuple[str, str], values: dict[str, Any]) -> None:
    """Raise an alert unless it is there, acknowledged or not: what lasts is told once."""
    there = select(Alert.id).where(
        Alert.owner_id == owner_id, Alert.kind == kind, Alert.object_id == about[1], Alert.resolved_at.is_(None)
    )
    if session.scalar(there.limit(1)) is None:
        raise_alert(session, owner_id, kind, about=about, **values)


def _close(session: Session, kinds: tuple[str, ...], *of: Any) -> None:
    """Resolve the alerts of some kinds."""
    there = update(Alert).where(Alert.kind.in_(kinds), Alert.resolved_at.is_(None), *of)
    session.execute(there.values(resolved_at=now()))


def _said(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values of an alert's text."""
    if kind == DRIFT:
        return {"ratio": values["ratio"]}
    if kind == "model_inputs":
        return {"columns": ", ".join(values["columns"][:5])}
    if kind == "model_skill":
        return {"skill": round(100 * values["skill"], 1), "points": values["points"]}
    if kind == "model_age":
        return {"days": round(values["days"]), "limit": values["limit"]}
    return {"level": values["level"], "held": round(values["held"], 1), "points": values["points"]}
