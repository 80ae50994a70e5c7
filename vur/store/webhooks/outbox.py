"""Events on their way out: written in the transaction of what happened, so that none is lost and none is made up."""

import json
from datetime import UTC
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from vur.settings import settings
from vur.store.catalog import Delivery, Model, Share, User, Webhook, new_id, now
from vur.store.places import link, page
from vur.store.sentences import alert_sentence
from vur.store.webhooks.kinds import KINDS


def emit(
    session: Session,
    event: str,
    owner_id: str,
    about: tuple[str, str],
    name: str,
    data: dict[str, Any],
    report: str | None = None,
) -> None:
    """Queue an event about the object `about` (kind and id) of `owner_id` for every webhook that is called for it.

    `report` is the path of a report in the API. `data` carries ids and figures, never rows or secrets.
    """
    found = _subscribed(session, event, owner_id, about)
    if found:
        payload = _payload(event, about, name, data, links(*about, report=report))
        for webhook in found:
            session.add(_delivery(webhook, event, owner_id, about, payload))


def emit_alert(
    session: Session, owner_id: str, alert: dict[str, Any], about: tuple[str | None, str | None], name: str
) -> None:
    """Queue that an alert was raised: `alert` has `id, kind, severity, values`. Only its owner and admins see it."""
    id = new_id()
    for webhook in _subscribed(session, "alert.raised", owner_id, None):
        language = session.scalar(select(User.language).where(User.id == webhook.owner_id))
        data = {
            "alert_id": alert["id"],
            "type": alert["kind"],
            "severity": alert["severity"],
            "message": alert_sentence(alert["kind"], alert["values"], language or settings().language),
        }
        found = links(*about) | {"page": f"{base()}/monitoring?view=alerts"}
        payload = _payload("alert.raised", about, name, data, found) | {"id": id}
        session.add(_delivery(webhook, "alert.raised", owner_id, (None, None), payload))


def emit_run(session: Session, model: Model, event: str, run_id: str, job_id: str, **data: Any) -> None:
    """Queue an event about a run of a model: its ids come first."""
    report = f"/models/{model.id}/report" if event in ("training.finished", "report.ready") else None
    emit(
        session,
        event,
        model.owner_id,
        ("model", model.id),
        model.name,
        {"run_id": run_id, "job_id": job_id, **data},
        report,
    )


def one_to(webhook: Webhook, event: str, data: dict[str, Any]) -> Delivery:
    """An event for one webhook only, about itself."""
    about = ("webhook", webhook.id)
    return _delivery(webhook, event, webhook.owner_id, about, _payload(event, about, webhook.name, data, links(*about)))


def copy_of(delivery: Delivery) -> Delivery:
    """The same event once more: a delivery of its own, with the body, and so the event's id, of the first."""
    same = ("webhook_id", "event_id", "event", "object_kind", "object_id", "object_owner_id", "payload")
    return Delivery(
        id=new_id(), state="pending", attempts=0, due_at=now(), **{key: getattr(delivery, key) for key in same}
    )


def may_see(session: Session, webhook: Webhook, owner_id: str, kind: str | None, id: str | None) -> bool:
    """Whether the owner of `webhook` has an open account and may see an object of `owner_id` now."""
    user = session.get(User, webhook.owner_id)
    if user is None or not user.active:
        return False
    if user.id == owner_id:
        return True
    if webhook.scope != "all":
        return False
    shared = select(Share.id).where(Share.kind == kind, Share.object_id == id, Share.user_id == user.id)
    return user.role == "admin" or (kind is not None and session.scalar(shared.limit(1)) is not None)


def _subscribed(session: Session, event: str, owner_id: str, about: tuple[str, str] | None) -> list[Webhook]:
    """The webhooks that are called for an event: of people who may see its object."""
    if event not in KINDS:
        raise KeyError(event)
    active = select(Webhook).where(Webhook.active, or_(Webhook.owner_id == owner_id, Webhook.scope == "all"))
    kind, id = about or (None, None)
    return [
        webhook
        for webhook in session.scalars(active.order_by(Webhook.created_at))
        if event in webhook.events and may_see(session, webhook, owner_id, kind, id)
    ]


def _payload(
    event: str, about: tuple[str | None, str | None], name: str, data: dict[str, Any], found: dict[str, str]
) -> dict[str, Any]:
    kind, id = about
    return {
        "id": new_id(),
        "event": event,
        "created_at": now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "object": {"kind": kind, "id": id, "name": name},
        "data": data,
        "links": found,
    }


def _delivery(
    webhook: Webhook, event: str, owner_id: str, about: tuple[str | None, str | None], payload: dict[str, Any]
) -> Delivery:
    return Delivery(
        id=new_id(),
        webhook_id=webhook.id,
        event_id=payload["id"],
        event=event,
        object_kind=about[0],
        object_id=about[1],
        object_owner_id=owner_id,
        payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")),
        state="pending",
        attempts=0,
        due_at=now(),
    )


def base() -> str:
    """The address at which people reach the pages: the setting `public_url`, else host and port of the pages."""
    chosen = settings()
    host = "127.0.0.1" if chosen.host in ("0.0.0.0", "::", "") else chosen.host
    return chosen.public_url or f"http://{f'[{host}]' if ':' in host else host}:{chosen.voila_port}"


def links(kind: str | None, id: str | None, report: str | None = None) -> dict[str, str]:
    """Where an object is seen: `page` and `report` for people, and `api`, its path at the service, for programs."""
    place, path = page(kind, id), link(kind, id)
    found = {}
    if place["page"]:
        found["page"] = f"{base()}/{place['page']}?{urlencode(place['parameters'])}"
    if path:
        found["api"] = f"/api/v1{path}"
    if report:
        found["report"] = f"{base()}/vur/api{report}"
    return found
