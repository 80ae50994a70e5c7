"""Webhooks and their deliveries as the API shows them."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import Delivery, Webhook
from vur.store.webhooks.kinds import KINDS, example
from vur.text import translate

SHOWN = (
    "id",
    "name",
    "url",
    "events",
    "scope",
    "active",
    "off_reason",
    "failures",
    "last_at",
    "last_status",
    "owner_id",
    "created_at",
    "updated_at",
    "version",
)
OF_DELIVERY = (
    "id",
    "webhook_id",
    "event_id",
    "event",
    "object_kind",
    "object_id",
    "state",
    "attempts",
    "status",
    "excerpt",
    "seconds",
    "created_at",
    "ended_at",
)


def webhooks_shown(session: Session, rows: Collection[Webhook]) -> list[dict[str, Any]]:
    """Return webhooks without their secrets, each with the number of deliveries that wait."""
    waiting = dict(
        session.execute(
            select(Delivery.webhook_id, func.count())
            .where(Delivery.webhook_id.in_([row.id for row in rows]), Delivery.state == "pending")
            .group_by(Delivery.webhook_id)
        ).all()
    )
    return [{key: getattr(row, key) for key in SHOWN} | {"waiting": waiting.get(row.id, 0)} for row in rows]


def delivery_shown(row: Delivery, language: str) -> dict[str, Any]:
    """Return a delivery, with its error in words."""
    error = row.error or {}
    return {key: getattr(row, key) for key in OF_DELIVERY} | {
        "next_attempt_at": row.due_at,
        "code": error.get("code"),
        "detail": _said(error, language) if error else None,
    }


def delivery_whole(row: Delivery, language: str) -> dict[str, Any]:
    """Return a delivery with the body that is sent."""
    return delivery_shown(row, language) | {"payload": json.loads(row.payload)}


def events_shown(language: str) -> list[dict[str, Any]]:
    """Return the kinds of events, each with an example of what is sent."""
    return [
        {
            "event": event,
            "title": translate(f"webhooks.event.{event}.title", language),
            "description": translate(f"webhooks.event.{event}.help", language),
            "example": example(event),
        }
        for event in KINDS
    ]


def _said(error: dict[str, Any], language: str) -> str:
    try:
        return VurError(error["code"], **error["data"]).text(language)
    except KeyError:  # stored by another version, whose texts differed
        return str(error["code"])
