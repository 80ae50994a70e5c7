"""Logins, their rotating refresh tokens, personal keys, and whether a token still stands.

A refresh token is `LOGIN.SECRET.SIGNATURE`: the signature tells a token that was once ours from one that is made up, so
that a genuine one that comes a second time ends its login, and a made-up one ends nothing. The catalog holds SHA-256
hashes only.
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
from vur.store.secret import secret

KEY_PREFIX = "vur_"
MOST_KEYS = 50
KEPT = timedelta(days=30)
SEEN_EVERY = timedelta(minutes=5)
REPEAT = timedelta(seconds=10)


def digest(text: str) -> str:
    """SHA-256 of `text` as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _signed(login_id: str, text: str) -> str:
    body = f"{login_id}.{text}"
    return f"{body}.{_signature(body)}"


def _signature(text: str, use: str = "refresh") -> str:
    made = hmac.digest(secret("tokens").encode(), f"{use}:{text}".encode(), "sha256")
    return urlsafe_b64encode(made).decode().rstrip("=")


def _login_of(token: str) -> str | None:
    """The login that a refresh token was made for, whether or not it still stands; None for a made-up one."""
    body, _, signature = token.rpartition(".")
    good = token.isascii() and hmac.compare_digest(signature, _signature(body))
    return body.partition(".")[0] if good else None


def set_quietly(session: Session, user_id: str, **values: Any) -> User:
    """Set columns of a user that are no edit of theirs: the version stays, and nobody who does the same at once is refused."""
    session.execute(
        update(User).where(User.id == user_id).values(updated_at=User.updated_at, **values),
        execution_options={"synchronize_session": False},
    )
    return session.get_one(User, user_id, populate_existing=True)


def open_login(session: Session, user: User, agent: str = "") -> tuple[Login, str, User]:
    """A new login of `user`, its refresh token, and the user as they are now.

    `agent` is what the client calls itself.
    """
    login = Login(id=new_id(), user_id=user.id, agent=agent[:200], expires_at=_end(), refresh_hash="")
    token = _signed(login.id, secrets.token_urlsafe(32))
    login.refresh_hash = digest(token)
    session.add(login)
    session.flush()
    # Past the ORM: it would count this as a change of the user, and of two logins at once refuse one.
    user = set_quietly(session, user.id, last_login_at=now())
    return login, token, user


def _end() -> datetime:
    return now() + timedelta(days=settings().refresh_days)


def rotate(session: Session, token: str) -> tuple[User, str, str] | None:
    """The user, the id of the login and its next refresh token, in exchange for the present one.

    The same token again within `REPEAT` gets the same answer: two tabs of a browser asked at once, or an answer was
    lost on its way. Later it ends its login, because either its owner or a thief holds the newer one. None when the
    login has ended; commit also then. `VurError` users.ended for a token that never was ours.
    """
    login_id = _login_of(token)
    if login_id is None:
        raise VurError("users.ended")
    fresh = _signed(login_id, _signature(token, "next"))
    stands = (
        Login.id == login_id,
        Login.refresh_hash == digest(token),
        Login.revoked_at.is_(None),
        Login.expires_at > now(),
    )
    changed = session.execute(
        update(Login)
        .where(*stands)
        .values(refresh_hash=digest(fresh), previous_hash=digest(token), refreshed_at=now(), expires_at=_end())
    )
    login = session.get(Login, login_id, populate_existing=True)
    user = session.get(User, login.user_id) if login else None
    if login is None or user is None:
        return None
    if user.active and (changed.rowcount == 1 or _repeated(login, token, fresh)):
        return user, login_id, fresh
    if login.revoked_at is None:
        login.revoked_at = now()
        if user.active and login.refresh_hash != digest(token):
            events.raise_alert(session, user.id, "login_reused", about=("login", login.id), agent=login.agent or "?")
    return None


def _repeated(login: Login, token: str, fresh: str) -> bool:
    """Whether `token` was exchanged for `fresh` a moment ago, and that one is still the present one."""
    same = login.previous_hash == digest(token) and login.refresh_hash == digest(fresh)
    return same and login.revoked_at is None and now() - REPEAT < login.refreshed_at and login.expires_at > now()


def end_login(session: Session, login_id: str, user_id: str) -> bool:
    """End one login of a user; whether it was open."""
    ended = (
        update(Login)
        .where(Login.id == login_id, Login.user_id == user_id, Login.revoked_at.is_(None))
        .values(revoked_at=now())
    )
    return session.execute(ended).rowcount == 1


def end_logins(session: Session, user_id: str, but: str | None = None) -> int:
    """End all logins of a user, except the one with id `but`; how many there were."""
    open = update(Login).where(Login.user_id == user_id, Login.revoked_at.is_(None))
    return session.execute((open.where(Login.id != but) if but else open).values(revoked_at=now())).rowcount


def open_logins(session: Session, user_id: str) -> list[Login]:
    """The logins of a user that can still be refreshed, latest first."""
    return list(
        session.scalars(
            select(Login)
            .where(Login.user_id == user_id, Login.revoked_at.is_(None), Login.expires_at > now())
            .order_by(Login.refreshed_at.desc())
        )
    )


def still_stands(session: Session, named: Principal, epoch: int) -> Principal:
    """`named` as the catalog knows them now; `VurError` api.unauthenticated when their token has lost its worth.

    That is when the user was deactivated or got another role or password since, or when the login has ended.
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
    """A new personal key of `user` and its text, which is never to be seen again. Its role is at most the user's."""
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
    """Who a key stands for, and whether it is time to note that it was used."""

    principal: Principal
    key_id: str
    stale: bool


def read_key(session: Session, text: str) -> KeyUse:
    """Who a personal key stands for; `VurError` api.unauthenticated when it is unknown, over, revoked or of an inactive user."""
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
    """Keep when a key was last used, to the few minutes."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))


def prune(session: Session) -> None:
    """Forget logins and keys that ended a month ago, and counts and kept answers that are over."""
    old = now() - KEPT
    session.execute(delete(Login).where(or_(Login.revoked_at < old, Login.expires_at < old)))
    session.execute(delete(ApiKey).where(or_(ApiKey.revoked_at < old, ApiKey.expires_at < old)))
    session.execute(delete(Idempotency).where(Idempotency.created_at < now() - timedelta(days=1)))
    counters.prune(session)
