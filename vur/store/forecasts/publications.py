"""Publications: forecasts that everybody with a link may read, until it expires or is revoked."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import Model, Publication, User, now
from vur.store.events import record_activity

TOKEN_BYTES = 32
MOST_ACTIVE = 100  # publications of one model that have not expired


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def publish(
    session: Session,
    model: Model,
    user_id: str,
    *,
    title: str,
    language: str,
    series: list[str],
    days: int,
    content: dict[str, Any],
) -> tuple[Publication, str]:
    """Store a forecast as it is now for `days`; its row, and the token of its link, which is shown only once.

    `VurError` publications.too_many if the model has `MOST_ACTIVE` already.
    """
    active = select(func.count()).where(
        Publication.model_id == model.id, Publication.expires_at > now(), Publication.revoked_at.is_(None)
    )
    if (session.scalar(active) or 0) >= MOST_ACTIVE:
        raise VurError("publications.too_many", limit=MOST_ACTIVE)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = Publication(
        owner_id=user_id,
        model_id=model.id,
        title=title,
        language=language,
        series=series,
        token_hash=digest(token),
        expires_at=now() + timedelta(days=days),
        content=content,
    )
    session.add(row)
    record_activity(
        session,
        model.owner_id,
        "forecast_published",
        user_id=user_id,
        about=("model", model.id),
        name=model.name,
        days=days,
    )
    session.flush()
    return row, token


def revoke(session: Session, model: Model, publication_id: str, user_id: str) -> Publication:
    """End a publication at once. `VurError` api.not_found if the model has no such publication."""
    row = session.scalar(
        select(Publication).where(Publication.id == publication_id, Publication.model_id == model.id).with_for_update()
    )
    if row is None:
        raise VurError("api.not_found", kind="publication", id=publication_id)
    if row.revoked_at is None:
        row.revoked_at, row.revoked_by = now(), user_id
        record_activity(
            session,
            model.owner_id,
            "publication_revoked",
            status="warning",
            user_id=user_id,
            about=("model", model.id),
            name=model.name,
        )
    return row


def state(row: Publication) -> str:
    """`active`, `expired` or `revoked`."""
    return "revoked" if row.revoked_at is not None else "expired" if row.expires_at <= now() else "active"


def of_model(session: Session, model_id: str) -> list[Publication]:
    """The publications of a model, the newest first."""
    rows = select(Publication).where(Publication.model_id == model_id).order_by(Publication.created_at.desc())
    return list(session.scalars(rows))


def find_published(session: Session, token: str) -> Publication | None:
    """The publication of a token; None for one that is unknown, expired or revoked.

    It ends also with its model, and with the account of the person who published it.
    """
    row = session.scalar(select(Publication).where(Publication.token_hash == digest(token)))
    if row is None or state(row) != "active" or session.get(Model, row.model_id) is None:
        return None
    owner = session.get(User, row.owner_id)
    return row if owner is not None and owner.active else None


def note_view(session: Session, publication_id: str) -> None:
    """Count one reading of a publication."""
    seen = update(Publication).where(Publication.id == publication_id)
    session.execute(seen.values(views=Publication.views + 1, viewed_at=now()))
