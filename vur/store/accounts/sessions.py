"""Logins with rotating refresh tokens, API keys, and the validity of tokens.

A refresh token is `LOGIN.SECRET.SIGNATURE`. The signature distinguishes issued tokens from invented ones: an issued
token that is used twice ends its login, an invented one does nothing. The catalog stores only SHA-256 hashes.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.settings import settings
from vur.store import counters, events
from vur.store.accounts.access import Principal
from vur.store.catalog import ROLES, ApiKey, Idempotency, User, new_id, now
from vur.store.catalog import Session as Login
from vur.store.database import rows_changed
from vur.store.secret import secret

KEY_PREFIX = "vur_"
MOST_KEYS = 50
KEPT = timedelta(days=30)  # how long ended logins and keys stay in the catalog
SEEN_EVERY = timedelta(minutes=5)  # between two updates of a key's last use
REPEAT = timedelta(seconds=10)  # how long a refresh may be repeated


def digest(text: str) -> str:
    """SHA-256 of `text` as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _signed(login_id: str, text: str) -> str:
    body = f"{login_id}.{text}"
    return f"{body}.{_signature(body)}"


def _signature(text: str, use: str = "refresh") -> str:
    signature = hmac.digest(secret("tokens").encode(), f"{use}:{text}".encode(), "sha256")
    return urlsafe_b64encode(signature).decode().rstrip("=")


def _login_of(token: str) -> str | None:
    """The login of a refresh token, valid or not; None if its signature is wrong."""
    body, _, signature = token.rpartition(".")
    good = token.isascii() and hmac.compare_digest(signature, _signature(body))
    return body.partition(".")[0] if good else None


def set_quietly(session: Session, user_id: str, **values: Any) -> User:
    """Set columns of a user without raising the version, so that concurrent requests do not conflict."""
    session.execute(
        update(User).where(User.id == user_id).values(updated_at=User.updated_at, **values),
        execution_options={"synchronize_session": False},
    )
    return session.get_one(User, user_id, populate_existing=True)


def open_login(session: Session, user: User, agent: str = "") -> tuple[Login, str, User]:
    """Create a login; returns it with its refresh token and the updated user.

    `agent` is the client's User-Agent.
    """
    login = Login(id=new_id(), user_id=user.id, agent=agent[:200], expires_at=_end(), refresh_hash="")
    token = _signed(login.id, secrets.token_urlsafe(32))
    login.refresh_hash = digest(token)
    session.add(login)
    session.flush()
    # Without the ORM, which would raise the user's version and reject one of two concurrent logins.
    user = set_quietly(session, user.id, last_login_at=now())
    return login, token, user


def _end() -> datetime:
    return now() + timedelta(days=settings().refresh_days)


def rotate(session: Session, token: str) -> tuple[User, str, str] | None:
    """Exchange a refresh token for the next one: the user, the login's id and the new token.

    The same token again within `REPEAT` gets the same answer, for two browser tabs at once or a lost response. Later
    it ends the login, because the owner or a thief holds the newer token. None if the login has ended; commit even
    then. `VurError` users.ended for a token that was never issued.
    """
    login_id = _login_of(token)
    if login_id is None:
        raise VurError("users.ended")
    fresh = _signed(login_id, _signature(token, "next"))
    valid = (
        Login.id == login_id,
        Login.refresh_hash == digest(token),
        Login.revoked_at.is_(None),
        Login.expires_at > now(),
    )
    exchange = (
        update(Login)
        .where(*valid)
        .values(refresh_hash=digest(fresh), previous_hash=digest(token), refreshed_at=now(), expires_at=_end())
    )
    exchanged = rows_changed(session, exchange) == 1
    login = session.get(Login, login_id, populate_existing=True)
    user = session.get(User, login.user_id) if login else None
    if login is None or user is None:
        return None
    if user.active and (exchanged or _repeated(login, token, fresh)):
        return user, login_id, fresh
    if login.revoked_at is None:
        login.revoked_at = now()
        if user.active and login.refresh_hash != digest(token):
            events.raise_alert(session, user.id, "login_reused", about=("login", login.id), agent=login.agent or "?")
    return None


def _repeated(login: Login, token: str, fresh: str) -> bool:
    """Whether `token` was exchanged for `fresh` within `REPEAT`, and `fresh` is still valid."""
    same = login.previous_hash == digest(token) and login.refresh_hash == digest(fresh)
    return same and login.revoked_at is None and now() - REPEAT < login.refreshed_at and login.expires_at > now()


def web_cookie(refresh_token: str) -> str:
    """The cookie with which a browser shows the login of `refresh_token` to pages and JupyterLab.

    `VurError` users.ended for a token that was never issued.
    """
    login_id = _login_of(refresh_token)
    if login_id is None:
        raise VurError("users.ended")
    return f"{login_id}.{_signature(login_id, 'cookie')}"


def read_cookie(session: Session, cookie: str) -> tuple[User, str] | None:
    """The user of a cookie and the id of the login; None if it was never issued, has ended or its user is inactive."""
    login_id, _, signature = cookie.partition(".")
    if not (cookie.isascii() and hmac.compare_digest(signature, _signature(login_id, "cookie"))):
        return None
    row = session.execute(
        select(User)
        .join(Login, Login.user_id == User.id)
        .where(Login.id == login_id, Login.revoked_at.is_(None), Login.expires_at > now(), User.active)
    ).one_or_none()
    return None if row is None else (row[0], login_id)


def note_visit(session: Session, login_id: str) -> None:
    """Extend a login that a browser uses, as a refresh does; at most once in `SEEN_EVERY`."""
    stale = (Login.id == login_id, Login.revoked_at.is_(None), Login.expires_at < _end() - SEEN_EVERY)
    session.execute(update(Login).where(*stale).values(expires_at=_end()))


def end_login(session: Session, login_id: str, user_id: str) -> bool:
    """End a login; whether it was still valid."""
    ended = (
        update(Login)
        .where(Login.id == login_id, Login.user_id == user_id, Login.revoked_at.is_(None))
        .values(revoked_at=now())
    )
    return rows_changed(session, ended) == 1


def end_logins(session: Session, user_id: str, but: str | None = None) -> int:
    """End all logins of a user but the one with id `but`; how many were ended."""
    open = update(Login).where(Login.user_id == user_id, Login.revoked_at.is_(None))
    return rows_changed(session, (open.where(Login.id != but) if but else open).values(revoked_at=now()))


def open_logins(session: Session, user_id: str) -> list[Login]:
    """The valid logins of a user, the latest first."""
    return list(
        session.scalars(
            select(Login)
            .where(Login.user_id == user_id, Login.revoked_at.is_(None), Login.expires_at > now())
            .order_by(Login.refreshed_at.desc())
        )
    )


def still_stands(session: Session, named: Principal, epoch: int) -> Principal:
    """The current principal for the claims of an access token; `VurError` api.unauthenticated if it is no longer valid.

    A token becomes invalid when the user is deactivated, or gets another role or password, or when the login ends.
    """
    query = select(User.role, User.epoch, User.active, User.language)
    if named.session_id is not None:
        query = query.join(Login, Login.user_id == User.id).where(
            Login.id == named.session_id, Login.revoked_at.is_(None), Login.expires_at > now()
        )
    row = session.execute(query.where(User.id == named.user_id)).one_or_none()
    if row is None or not row.active or row.role != named.role or row.epoch != epoch:
        raise VurError("api.unauthenticated")
    return Principal(named.user_id, row.role, row.language, "token", named.session_id)


def add_key(
    session: Session, user: User, name: str, role: str | None = None, days: int | None = None
) -> tuple[ApiKey, str]:
    """Create an API key with at most the user's role; returns it with its text, which cannot be retrieved later."""
    if role is not None and ROLES.index(role) > ROLES.index(user.role):
        raise VurError("api.forbidden", role=role, have=user.role)
    there = select(ApiKey.id).where(ApiKey.user_id == user.id, ApiKey.revoked_at.is_(None))
    if len(session.scalars(there).all()) >= MOST_KEYS:
        raise VurError("users.keys", most=MOST_KEYS)
    text = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        user_id=user.id,
        name=name,
        prefix=text[:12],
        key_hash=digest(text),
        role=role,
        expires_at=now() + timedelta(days=days) if days else None,
    )
    session.add(key)
    session.flush()
    return key, text


@dataclass(frozen=True)
class KeyUse:
    """The principal of an API key, and whether its last use needs an update."""

    principal: Principal
    key_id: str
    stale: bool


def read_key(session: Session, text: str) -> KeyUse:
    """Look up an API key; `VurError` api.unauthenticated if it is unknown, expired, revoked or of an inactive user."""
    query = (
        select(ApiKey, User.role, User.active, User.language)
        .join(User, User.id == ApiKey.user_id)
        .where(
            ApiKey.key_hash == digest(text),
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now()),
        )
    )
    row = session.execute(query).one_or_none()
    if row is None or not row.active:
        raise VurError("api.unauthenticated")
    key, role = row[0], min(row.role, row[0].role or row.role, key=ROLES.index)
    stale = key.last_used_at is None or key.last_used_at < now() - SEEN_EVERY
    return KeyUse(Principal(key.user_id, role, row.language, "key"), key.id, stale)


def note_use(session: Session, key_id: str) -> None:
    """Store when a key was last used."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))


def prune(session: Session) -> None:
    """Delete logins and keys that ended a month ago, and expired counters and idempotency records."""
    old = now() - KEPT
    session.execute(delete(Login).where(or_(Login.revoked_at < old, Login.expires_at < old)))
    session.execute(delete(ApiKey).where(or_(ApiKey.revoked_at < old, ApiKey.expires_at < old)))
    session.execute(delete(Idempotency).where(Idempotency.created_at < now() - timedelta(days=1)))
    counters.prune(session)
