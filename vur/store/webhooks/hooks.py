"""Webhooks for users: made, changed, removed, tested, and what was delivered once more."""

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store import events
from vur.store.accounts.access import Principal, check_version, fetch
from vur.store.catalog import Alert, Delivery, Webhook, now
from vur.store.webhooks import address, outbox
from vur.store.webhooks.kinds import KINDS, TEST
from vur.store.webhooks.signing import new_secret, sealed

MOST = 50  # webhooks of a user
MOST_TESTS = 5  # calls asked for by a user that wait at the same time, of one webhook
SCOPES = ("own", "all")
OFF = {"gone": "webhook_gone", "failing": "webhook_failing"}  # the alert of a webhook that was switched off, by reason


def reachable(url: str) -> None:
    """Check the form of an address, and that its host leads to nothing inside; outside of any transaction."""
    address.resolve(address.parse(url))


def register(
    session: Session, who: Principal, name: str, url: str, chosen: list[str], scope: str
) -> tuple[Webhook, str]:
    """Make a webhook of an address that `reachable` has checked; returns it with its secret, which is shown only now.

    `VurError` webhooks.too_many.
    """
    who.require("analyst")
    mine = select(func.count()).select_from(Webhook).where(Webhook.owner_id == who.user_id)
    if (session.scalar(mine) or 0) >= MOST:
        raise VurError("webhooks.too_many", limit=MOST)
    secret = new_secret()
    row = Webhook(
        owner_id=who.user_id,
        name=name,
        url=url,
        secret=sealed(secret),
        events=_known(chosen),
        scope=scope,
        active=True,
        failures=0,
        given_up=0,
    )
    session.add(row)
    session.flush()
    _record(session, who, row, "webhook_added")
    return row, secret


def change(session: Session, who: Principal, id: str, version: int | None, wanted: dict[str, Any]) -> Webhook:
    """Change `name, url, events, scope` or `active`; switching one on forgets its failures, and off what waits.

    A new `url` was checked by `reachable`.
    """
    row = fetch(session, Webhook, id, who, "edit")
    check_version(row, version)
    if "events" in wanted:
        wanted = wanted | {"events": _known(wanted["events"])}
    for key, value in wanted.items():
        setattr(row, key, value)
    if wanted.get("active") is True:
        row.off_reason, row.failures, row.given_up = None, 0, 0
        resolve(session, id)
    elif wanted.get("active") is False:
        cancel(session, id)
    session.flush()
    _record(session, who, row, "webhook_changed")
    return row


def rotate(session: Session, who: Principal, id: str, version: int | None) -> tuple[Webhook, str]:
    """Replace the secret, from the next call on; returns the new one, which is shown only now."""
    row = fetch(session, Webhook, id, who, "edit")
    check_version(row, version)
    secret = new_secret()
    row.secret = sealed(secret)
    session.flush()
    _record(session, who, row, "webhook_secret")
    return row, secret


def remove(session: Session, who: Principal, id: str, version: int | None) -> None:
    """Delete a webhook with the log of its deliveries."""
    row = fetch(session, Webhook, id, who, "own")
    check_version(row, version)
    resolve(session, id)
    _record(session, who, row, "webhook_removed")
    session.delete(row)


def test(session: Session, who: Principal, id: str) -> Delivery:
    """Queue a test event, which is sent once, to a webhook that is switched off too; `VurError` webhooks.waiting."""
    row = fetch(session, Webhook, id, who, "edit")
    _check_waiting(session, row)
    delivery = outbox.one_to(row, TEST, {})
    session.add(delivery)
    session.flush()
    return delivery


def redeliver(session: Session, who: Principal, id: str, delivery_id: str) -> Delivery:
    """Queue a delivery that has ended once more, as a new one with the same event.

    `VurError` webhooks.off if the webhook is switched off, webhooks.pending if the delivery has not ended.
    """
    row = fetch(session, Webhook, id, who, "edit")
    old = delivery_of(session, who, id, delivery_id)
    if old.state == "pending":
        raise VurError("webhooks.pending", id=old.id)
    if not row.active and old.event != TEST:
        raise VurError("webhooks.off", name=row.name)
    _check_waiting(session, row)
    delivery = outbox.copy_of(old)
    session.add(delivery)
    session.flush()
    return delivery


def delivery_of(session: Session, who: Principal, id: str, delivery_id: str) -> Delivery:
    """A delivery of the webhook `id`; `VurError` api.not_found."""
    fetch(session, Webhook, id, who)
    found = session.get(Delivery, delivery_id)
    if found is None or found.webhook_id != id:
        raise VurError("api.not_found", kind="delivery", id=delivery_id)
    return found


def _check_waiting(session: Session, row: Webhook) -> None:
    """Refuse to pile up calls that a user asks for; those that failed and are tried again do not count."""
    waiting = select(func.count(Delivery.id)).where(
        Delivery.webhook_id == row.id, Delivery.state == "pending", Delivery.attempts == 0
    )
    if (session.scalar(waiting) or 0) >= MOST_TESTS:
        raise VurError("webhooks.waiting", name=row.name, limit=MOST_TESTS)


def _known(chosen: list[str]) -> list[str]:
    """Kinds of events, each once, in the order of their table; `VurError` webhooks.event."""
    for one in chosen:
        if one not in KINDS:
            raise VurError("webhooks.event", field="events", event=one, known=", ".join(KINDS))
    return [one for one in KINDS if one in chosen]


def _record(session: Session, who: Principal, row: Webhook, kind: str) -> None:
    about = ("webhook", row.id)
    events.record_activity(session, row.owner_id, kind, user_id=who.user_id, about=about, name=row.name)


# --- switched off ---


def cancel(session: Session, id: str) -> None:
    """Cancel what waits for a webhook, but for what is being sent right now."""
    waiting = update(Delivery).where(
        Delivery.webhook_id == id, Delivery.state == "pending", Delivery.lease_owner.is_(None)
    )
    session.execute(waiting.values(state="cancelled", due_at=None, ended_at=now()))


def resolve(session: Session, id: str) -> None:
    """Resolve the alert that a webhook was switched off."""
    there = update(Alert).where(Alert.kind.in_(OFF.values()), Alert.object_id == id, Alert.resolved_at.is_(None))
    session.execute(there.values(resolved_at=now()))


def switch_off(session: Session, row: Webhook, reason: str) -> None:
    """Switch a webhook off for a `reason` of `OFF`, and raise an alert to its owner."""
    same = update(Webhook).where(Webhook.id == row.id)
    session.execute(same.values(active=False, off_reason=reason, updated_at=Webhook.updated_at))
    cancel(session, row.id)
    about = ("webhook", row.id)
    events.record_activity(session, row.owner_id, "webhook_off", status="warning", about=about, name=row.name)
    events.raise_alert(session, row.owner_id, OFF[reason], severity="error", about=about, name=row.name)
