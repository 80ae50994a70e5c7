"""Events in the catalog: activities for the history, alerts until they are resolved, live messages for clients."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from vur.store.catalog import Activity, Alert, Event, new_id, now
from vur.store.webhooks import outbox

KEPT = timedelta(days=1)


def record_activity(
    session: Session,
    owner_id: str,
    kind: str,
    *,
    status: str = "success",
    user_id: str | None = None,
    about: tuple[str, str] | None = None,
    **values: Any,
) -> None:
    """Add an entry to the activity history: its text is `activity.<kind>` in the translations.

    `about` is the kind and id of the object.
    """
    object_kind, object_id = about or (None, None)
    session.add(
        Activity(
            owner_id=owner_id,
            user_id=user_id or owner_id,
            kind=kind,
            status=status,
            object_kind=object_kind,
            object_id=object_id,
            values=values,
        )
    )


def raise_alert(
    session: Session,
    owner_id: str,
    kind: str,
    *,
    severity: str = "warning",
    about: tuple[str, str] | None = None,
    **values: Any,
) -> bool:
    """Raise an alert (`alert.<kind>` in the translations), unless the same alert about the same object is open.

    Publishes it to live clients and queues it for webhooks; returns whether it was raised.
    """
    object_kind, object_id = about or (None, None)
    same = select(Alert.id).where(
        Alert.owner_id == owner_id,
        Alert.kind == kind,
        Alert.object_id == object_id,
        Alert.resolved_at.is_(None),
        Alert.acknowledged_at.is_(None),
    )
    if session.scalar(same) is not None:
        return False
    raised: dict[str, Any] = {
        "kind": kind,
        "severity": severity,
        "object_kind": object_kind,
        "object_id": object_id,
        "values": values,
    }
    alert = Alert(id=new_id(), owner_id=owner_id, **raised)
    session.add(alert)
    publish(session, "alert", {"id": alert.id, **raised}, owner_id)
    outbox.emit_alert(
        session, owner_id, {"id": alert.id, **raised}, (object_kind, object_id), str(values.get("name", ""))
    )
    return True


def publish(session: Session, type: str, data: dict[str, Any], owner_id: str | None = None) -> None:
    """Publish a live message, such as `training_update`, to the clients of `owner_id` and of admins; None for all."""
    session.add(Event(type=type, owner_id=owner_id, data=data))


def prune(session: Session) -> None:
    """Delete live messages older than a day."""
    session.execute(delete(Event).where(Event.at < now() - KEPT))
