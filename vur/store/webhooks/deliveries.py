"""Deliveries for workers: the due ones are leased, and settled by what the receiver answered.

At least once: a worker that dies after the receiver's answer leaves its lease behind, and another one calls again.
"""

import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.settings import settings
from vur.store.catalog import Delivery, Webhook, new_id, now
from vur.store.database import rows_changed
from vur.store.webhooks import hooks, outbox, signing
from vur.store.webhooks.kinds import TEST

PER_WEBHOOK, PER_OWNER = 2, 4  # calls at the same time in one worker
LOOKED_AT = 200  # due deliveries, of which those with room are taken
SPARE_SECONDS = 30  # of a lease, beyond the time that a call may take
FACTOR, LONGEST_PAUSE, JITTER = 3.0, 6 * 3600.0, 0.2
GONE = 410  # the status by which a receiver says: never again


@dataclass(frozen=True)
class Due:
    """A delivery that this worker holds under `token`."""

    id: str
    webhook_id: str
    owner_id: str
    failing: bool
    token: str


@dataclass(frozen=True)
class Call:
    """What to send: the address, the body and the headers; or the `error` for which nothing is sent."""

    url: str = ""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    error: VurError | None = None


@dataclass(frozen=True)
class Answer:
    """What came back: the status and the beginning of the body, or the error without a status; and after how long.

    `pause` is what the receiver asked for by `Retry-After`, in seconds.
    """

    status: int | None
    seconds: float
    excerpt: str = ""
    error: VurError | None = None
    pause: float | None = None


def choose_due(session: Session, running: list[Due], most: int, failing: int) -> list[Due]:
    """Choose up to `most` due deliveries, the longest waiting first, at most `failing` of webhooks that failed last.

    Beside those `running` here, at most `PER_WEBHOOK` and `PER_OWNER`: neither a slow receiver nor one user with many
    of them holds the others. Only reads: what is chosen is not leased yet.
    """
    webhooks, owners = Counter(one.webhook_id for one in running), Counter(one.owner_id for one in running)
    chosen: list[Due] = []
    for id, webhook_id, owner_id, fails in session.execute(_due(now())).all():
        if len(chosen) >= most:
            break
        full = webhooks[webhook_id] >= PER_WEBHOOK or owners[owner_id] >= PER_OWNER
        if full or (fails and failing <= 0):
            continue
        chosen.append(Due(id, webhook_id, owner_id, bool(fails), ""))
        webhooks[webhook_id] += 1
        owners[owner_id] += 1
        failing -= bool(fails)
    return chosen


def lease(session: Session, worker: str, chosen: list[Due]) -> list[Due]:
    """Lease deliveries to `worker`, and return those that no other one took; until the lease ends, none takes them."""
    moment, taken = now(), []
    end = moment + timedelta(seconds=settings().webhook_seconds + SPARE_SECONDS)
    for due in chosen:
        token = f"{worker[:60]}:{new_id()[:8]}"
        same = update(Delivery).where(Delivery.id == due.id, Delivery.state == "pending", Delivery.due_at <= moment)
        if rows_changed(session, same.values(due_at=end, lease_owner=token, attempts=Delivery.attempts + 1)):
            taken.append(replace(due, token=token))
    return taken


def cancel_left(session: Session) -> int:
    """Cancel what a worker that died left of a webhook that was switched off meanwhile; how many."""
    off = select(Webhook.id).where(Webhook.active.is_(False))
    left = update(Delivery).where(
        Delivery.state == "pending", Delivery.due_at <= now(), Delivery.event != TEST, Delivery.webhook_id.in_(off)
    )
    return rows_changed(session, left.values(state="cancelled", due_at=None, lease_owner=None, ended_at=now()))


def _due(moment: Any) -> Select[Any]:
    """The due deliveries: of each webhook only as many as it may have at a time, so that none crowds out the others."""
    place = func.row_number().over(partition_by=Delivery.webhook_id, order_by=(Delivery.due_at, Delivery.created_at))
    due = (
        select(Delivery.id, Delivery.webhook_id, Delivery.due_at, Delivery.event, place.label("place"))
        .where(Delivery.state == "pending", Delivery.due_at <= moment)
        .subquery()
    )
    return (
        select(due.c.id, due.c.webhook_id, Webhook.owner_id, Webhook.failures > 0)
        .join(Webhook, Webhook.id == due.c.webhook_id)
        .where(due.c.place <= PER_WEBHOOK, or_(Webhook.active, due.c.event == TEST))
        .order_by(Webhook.failures > 0, due.c.due_at)
        .limit(LOOKED_AT)
    )


def call_of(session: Session, due: Due) -> Call | None:
    """What to send for a leased delivery; None if the lease is lost, or its owner may not see the object any more."""
    delivery, webhook = session.get(Delivery, due.id), session.get(Webhook, due.webhook_id)
    if delivery is None or webhook is None or delivery.lease_owner != due.token or delivery.state != "pending":
        return None
    about = (delivery.object_kind, delivery.object_id)
    if not outbox.may_see(session, webhook, delivery.object_owner_id, *about):
        return None
    body, at = delivery.payload.encode(), str(int(now().timestamp()))
    try:
        signed = signing.signature(signing.opened(webhook), at, body)
    except VurError as error:
        return Call(error=error)
    headers = (
        (signing.EVENT, delivery.event),
        (signing.DELIVERY, delivery.id),
        (signing.TIMESTAMP, at),
        (signing.SIGNATURE, signed),
    )
    return Call(webhook.url, body, headers)


def drop(session: Session, due: Due) -> None:
    """End a delivery that must not be sent."""
    held = update(Delivery).where(Delivery.id == due.id, Delivery.lease_owner == due.token, Delivery.state == "pending")
    session.execute(held.values(state="cancelled", due_at=None, lease_owner=None, ended_at=now()))


def settle(session: Session, due: Due, answer: Answer) -> str | None:
    """Store what came back, and return the delivery's state: None if another worker holds it by now.

    A status from 200 to 299 ends it well; 410 switches the webhook off; after anything else it is tried again, after a
    pause that grows, until `webhook_attempts` are made. A test is sent once.
    """
    webhook = session.scalar(select(Webhook).where(Webhook.id == due.webhook_id).with_for_update(key_share=True))
    held = select(Delivery).where(Delivery.id == due.id, Delivery.lease_owner == due.token)
    delivery = session.scalar(held.where(Delivery.state == "pending").with_for_update())
    if webhook is None or delivery is None:
        return None
    well = answer.status is not None and 200 <= answer.status < 300 and answer.error is None
    delivery.status, delivery.seconds, delivery.lease_owner = answer.status, round(answer.seconds, 3), None
    delivery.excerpt = answer.excerpt or None
    delivery.error = None if answer.error is None else {"code": answer.error.code, "data": _plain(answer.error.data)}
    if well:
        delivery.state = "succeeded"
    elif answer.status == GONE or delivery.event == TEST or delivery.attempts >= settings().webhook_attempts:
        delivery.state = "failed"
    elif not webhook.active:
        delivery.state = "cancelled"
    else:
        delivery.due_at = now() + timedelta(seconds=pause(delivery.attempts, answer.pause))
    if delivery.state != "pending":
        delivery.due_at, delivery.ended_at = None, now()
    session.flush()
    _judge(session, webhook, delivery, answer, well)
    return delivery.state


def _judge(session: Session, webhook: Webhook, delivery: Delivery, answer: Answer, well: bool) -> None:
    """Count what fails, and switch the webhook off if it is gone or failed for too long."""
    gave_up = webhook.given_up + (delivery.state == "failed" and delivery.event != TEST)
    counted = {"failures": 0 if well else webhook.failures + 1, "given_up": 0 if well else gave_up}
    same = update(Webhook).where(Webhook.id == webhook.id)
    last = {"last_at": now(), "last_status": answer.status, "updated_at": Webhook.updated_at}
    session.execute(same.values(**counted, **last), execution_options={"synchronize_session": False})
    if not webhook.active or well:
        return
    if answer.status == GONE:
        hooks.switch_off(session, webhook, "gone")
    elif gave_up >= settings().webhook_failures:
        hooks.switch_off(session, webhook, "failing")


def pause(attempts: int, asked: float | None = None) -> float:
    """Seconds until the next attempt after `attempts` of them: growing, with jitter, at least what was `asked` for."""
    grown = min(settings().webhook_retry_seconds * FACTOR ** (attempts - 1), LONGEST_PAUSE)
    return max(grown * random.uniform(1 - JITTER, 1 + JITTER), min(asked or 0.0, LONGEST_PAUSE))


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value if isinstance(value, (int, float)) else str(value)[:300] for key, value in data.items()}
