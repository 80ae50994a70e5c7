"""Password handling: few hashes at a time, attempts counted before they are checked, no hint at who has an account."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import anyio

from vur.errors import VurError
from vur.serving.middleware.guard import KNOWN
from vur.serving.middleware.logs import log
from vur.serving.middleware.tokens import access_token
from vur.serving.schemas.auth import UserOut
from vur.serving.views import throttle
from vur.store.accounts import sessions
from vur.store.accounts.access import Principal
from vur.store.accounts.users import change_user, find_user, hash_password, hasher, keep_user, verify_password
from vur.store.catalog import User
from vur.store.database import reading, writing
from vur.store.events import record_activity

REGISTRATIONS, REGISTRATION_WINDOW = 60, timedelta(hours=1)  # from one address
HASHES, WAITING = 4, 64  # argon2 takes 64 MiB and a CPU core each
PRUNE_SECONDS = 3600.0
_limits: "WeakKeyDictionary[Any, anyio.CapacityLimiter]" = WeakKeyDictionary()
_pruned = {"at": time.monotonic()}


async def hashing(work: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Run `work` in a thread, few at a time, so that a flood of logins blocks nothing else.

    `VurError` api.busy if too many are waiting.
    """
    limit = _limits.setdefault(asyncio.get_running_loop(), anyio.CapacityLimiter(HASHES))
    if limit.statistics().tasks_waiting >= WAITING:
        raise VurError("api.busy", seconds=5)
    return await anyio.to_thread.run_sync(lambda: work(*args, **named), limiter=limit)


async def slowed(work: Callable[..., Any], *args: Any) -> Any:
    """Run `work`, which checks a password: after its delay, if it raises `Delayed`. Nothing is held while waiting."""
    try:
        return await hashing(work, *args)
    except throttle.Delayed as wait:
        await asyncio.sleep(wait.seconds)
        return await hashing(work, *args, counted=True)


def register(address: str, email: str, password: str, **more: Any) -> User:
    """Create an account with the role analyst."""
    with writing() as session:
        throttle.attempt(session, f"register:{address}", REGISTRATIONS, REGISTRATION_WINDOW)
    hashed = hash_password(password, email, more.get("username") or "")
    with writing() as session:
        user = keep_user(session, email, hashed, **more)
        record_activity(session, user.id, "user_registered", about=("user", user.id), email=user.email)
    log.info("registered", user_id=user.id)
    return user


def log_in(login: str, password: str, address: str, agent: str, counted: bool = False) -> dict[str, Any]:
    """Return tokens for the right password. `VurError` api.credentials otherwise, after the same time in every case.

    The attempt is counted unless it was already; raises `Delayed` if it may be checked only later.
    """
    account = throttle.account_key(login)
    if not counted:
        _count(account, address)
    with reading() as session:
        user = find_user(session, login)
        user_id, hashed = (user.id, user.password_hash) if user else (None, None)
    good = verify_password(hashed, password)
    better = hasher().hash(password) if good and hashed and hasher().check_needs_rehash(hashed) else None
    with writing() as session:
        user = session.get(User, user_id) if good else None
        if user is None or not user.active or user.password_hash != hashed:
            log.warning("login failed", user_id=user_id, address=address)
            raise VurError("api.credentials")
        throttle.succeeded(session, account, address)
        if better:
            sessions.set_quietly(session, user.id, password_hash=better)
        opened, token, user = sessions.open_login(session, user, agent)
        if time.monotonic() - _pruned["at"] > PRUNE_SECONDS:
            _pruned["at"] = time.monotonic()
            sessions.prune(session)
    log.info("login", user_id=user.id, login=opened.id)
    return tokens(user, opened.id, token)


def _count(account: str, address: str) -> None:
    with writing() as session:
        seconds = throttle.count(session, account, address)
    if seconds:
        raise throttle.Delayed(seconds)


def tokens(user: User, login_id: str, refresh_token: str) -> dict[str, Any]:
    """Return the response to a login or a refresh."""
    access, seconds = access_token(user, login_id)
    return {
        "access_token": access,
        "refresh_token": refresh_token,
        "token_type": "bearer",
        "expires_in": seconds,
        "user": user,
    }


def change_profile(who: Principal, wanted: dict[str, Any], address: str, counted: bool = False) -> dict[str, Any]:
    """Change the profile of `who`.

    `VurError` users.current if the e-mail address or password would change without the current password, which is
    throttled as a login is; `counted` if this attempt was counted already.
    """
    wanted = dict(wanted)
    current, password = wanted.pop("current_password", None), wanted.pop("password", None)
    if password is not None or "email" in wanted:
        if not counted:
            _count(who.user_id, address)
        wanted |= _proved(who, current, password, wanted, address)
    with writing() as session:
        user = change_user(session, session.get_one(User, who.user_id), wanted)
        if password is not None:
            sessions.end_logins(session, user.id, but=who.session_id)
        record_activity(
            session, user.id, "password_changed" if password is not None else "profile_changed", about=("user", user.id)
        )
    KNOWN.forget(user.id)
    answer = UserOut.model_validate(user).model_dump()
    if password is None:
        return answer
    log.info("password changed", user_id=user.id)
    token, seconds = access_token(user, who.session_id)
    return answer | {"access_token": token, "expires_in": seconds}


def _proved(
    who: Principal, current: str | None, password: str | None, wanted: dict[str, Any], address: str
) -> dict[str, Any]:
    """Check the current password and return the hash of a new one, if any."""
    with reading() as session:
        user = session.get_one(User, who.user_id)
    if current is None or not verify_password(user.password_hash, current):
        raise VurError("users.current", field="current_password")
    with writing() as session:
        throttle.succeeded(session, who.user_id, address)
    if password is None:
        return {}
    return {
        "password_hash": hash_password(
            password, user.email, user.username, wanted.get("email", ""), wanted.get("username", "")
        )
    }
