"""Webhooks: addresses that are called when a training, a report or an alert is there, and the log of the calls."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from vur.serving.dependencies import Analyst, Language, Listed, Version, Who, list_rows, set_etag
from vur.serving.schemas import webhooks as bodies
from vur.serving.schemas.texts import ObjectId
from vur.serving.views.webhooks import delivery_shown, delivery_whole, events_shown, webhooks_shown
from vur.store.accounts.access import check_version, fetch, visible
from vur.store.catalog import Delivery, Webhook
from vur.store.database import reading, writing
from vur.store.webhooks import hooks

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
SORTABLE = {name: getattr(Webhook, name) for name in ("created_at", "updated_at", "name", "last_at")}
DELIVERIES = {name: getattr(Delivery, name) for name in ("created_at", "ended_at", "event", "state")}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such webhook, or not yours"}}
CHANGING = MISSING | {412: {"description": "Changed since the version in `If-Match`"}}
WAITING = MISSING | {409: {"description": "Too many calls wait already, or the webhook is switched off"}}


@router.get("", response_model=bodies.WebhookList, summary="List webhooks")
def list_webhooks(who: Who, asked: Listed) -> dict[str, Any]:
    """Your webhooks; for administrators, those of all users. Secrets are not shown."""
    with reading() as session:
        rows, page = list_rows(
            session,
            visible(select(Webhook), Webhook, who),
            asked,
            sortable=SORTABLE,
            searchable=(Webhook.name, Webhook.url),
        )
        return {"items": webhooks_shown(session, rows)} | page


@router.get("/events", response_model=bodies.WebhookEvents, summary="Kinds of events")
def list_events(who: Who, language: Language) -> dict[str, Any]:
    """What a webhook can be called for, each with an example of the body that is sent."""
    return {"items": events_shown(language)}


@router.post("", status_code=201, response_model=bodies.WebhookMade, summary="Make a webhook")
def add_webhook(body: bodies.WebhookNew, who: Analyst, response: Response) -> dict[str, Any]:
    """Make a webhook; the answer has the secret that signs its calls, which is not shown again.

    The address is http or https, without a user, and its host leads to public addresses only, or to those that an
    administrator has allowed by the setting `webhook_allow`.
    """
    hooks.reachable(body.url)
    with writing() as session:
        row, secret = hooks.register(session, who, body.name, body.url, list(body.events), body.scope)
        set_etag(response, row)
        return webhooks_shown(session, [row])[0] | {"secret": secret}


@router.get("/{webhook_id}", response_model=bodies.WebhookOut, summary="One webhook", responses=MISSING)
def get_webhook(webhook_id: ObjectId, who: Who, response: Response) -> dict[str, Any]:
    """A webhook: where it goes, what it is called for, and whether its last call succeeded."""
    with reading() as session:
        row = fetch(session, Webhook, webhook_id, who)
        set_etag(response, row)
        return webhooks_shown(session, [row])[0]


@router.put("/{webhook_id}", response_model=bodies.WebhookOut, summary="Change a webhook", responses=CHANGING)
def change_webhook(
    webhook_id: ObjectId, body: bodies.WebhookChange, who: Analyst, expected: Version, response: Response
) -> dict[str, Any]:
    """Change name, address, events or scope, or switch it on or off; switching on forgets its failures."""
    with reading() as session:
        check_version(fetch(session, Webhook, webhook_id, who, "edit"), expected)
    if body.url is not None:
        hooks.reachable(body.url)
    with writing() as session:
        row = hooks.change(session, who, webhook_id, expected, body.model_dump(exclude_none=True))
        set_etag(response, row)
        return webhooks_shown(session, [row])[0]


@router.delete("/{webhook_id}", status_code=204, summary="Remove a webhook", responses=CHANGING)
def delete_webhook(webhook_id: ObjectId, who: Analyst, expected: Version) -> None:
    """Remove a webhook, with the log of its deliveries; what waits is not sent any more."""
    with writing() as session:
        hooks.remove(session, who, webhook_id, expected)


@router.post(
    "/{webhook_id}/secret", response_model=bodies.WebhookMade, summary="Replace the secret", responses=CHANGING
)
def rotate_secret(webhook_id: ObjectId, who: Analyst, expected: Version, response: Response) -> dict[str, Any]:
    """Replace the secret that signs the calls, from the next call on; the new one is shown only in this answer."""
    with writing() as session:
        row, secret = hooks.rotate(session, who, webhook_id, expected)
        set_etag(response, row)
        return webhooks_shown(session, [row])[0] | {"secret": secret}


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    response_model=bodies.DeliveryOut,
    summary="Send a test event",
    responses=WAITING,
)
def test_webhook(webhook_id: ObjectId, who: Analyst, language: Language) -> dict[str, Any]:
    """Queue the event `webhook.test`, which is sent once, within a second or so; its delivery tells what came back."""
    with writing() as session:
        return delivery_shown(hooks.test(session, who, webhook_id), language)


@router.get(
    "/{webhook_id}/deliveries", response_model=bodies.DeliveryList, summary="The log of deliveries", responses=MISSING
)
def list_deliveries(
    webhook_id: ObjectId,
    who: Who,
    asked: Listed,
    language: Language,
    state: Annotated[bodies.State | None, Query(description="Only deliveries in this state")] = None,
    event: Annotated[bodies.Delivered | None, Query(description="Only deliveries of this event")] = None,
) -> dict[str, Any]:
    """What was sent or waits to be sent, newest first, with the answer to the last attempt."""
    with reading() as session:
        fetch(session, Webhook, webhook_id, who)
        query = select(Delivery).where(Delivery.webhook_id == webhook_id)
        query = query.where(Delivery.state == state) if state else query
        query = query.where(Delivery.event == event) if event else query
        rows, page = list_rows(
            session, query, asked, sortable=DELIVERIES, searchable=(Delivery.id, Delivery.event_id, Delivery.object_id)
        )
        return {"items": [delivery_shown(row, language) for row in rows]} | page


@router.get(
    "/{webhook_id}/deliveries/{delivery_id}",
    response_model=bodies.DeliveryWhole,
    summary="One delivery",
    responses=MISSING,
)
def get_delivery(webhook_id: ObjectId, delivery_id: ObjectId, who: Who, language: Language) -> dict[str, Any]:
    """A delivery with the body that is sent."""
    with reading() as session:
        return delivery_whole(hooks.delivery_of(session, who, webhook_id, delivery_id), language)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    response_model=bodies.DeliveryOut,
    summary="Deliver once more",
    responses=WAITING,
)
def redeliver(webhook_id: ObjectId, delivery_id: ObjectId, who: Analyst, language: Language) -> dict[str, Any]:
    """Queue a delivery that has ended once more: a new delivery with the body, and so the event's id, of the first."""
    with writing() as session:
        return delivery_shown(hooks.redeliver(session, who, webhook_id, delivery_id), language)
