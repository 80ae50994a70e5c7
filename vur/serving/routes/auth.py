"""Accounts: registration, login, token refresh, logout, profile, personal keys."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from pydantic import ValidationError
from sqlalchemy import select

from vur.errors import VurError
from vur.serving.dependencies import Who
from vur.serving.errors import language_of
from vur.serving.middleware.clients import address_of
from vur.serving.middleware.guard import KNOWN
from vur.serving.schemas.auth import (
    Credentials,
    KeyList,
    KeyMade,
    LoginList,
    Logout,
    NewKey,
    Profile,
    ProfileChange,
    Refresh,
    Registration,
    Tokens,
    UserOut,
)
from vur.serving.validation import read_body, refusal
from vur.serving.views import accounts
from vur.serving.views.accounts import hashing, slowed
from vur.settings import settings
from vur.store.accounts import sessions
from vur.store.accounts.access import Principal
from vur.store.catalog import ApiKey, User, now
from vur.store.database import reading, writing
from vur.store.events import record_activity

router = APIRouter(prefix="/auth", tags=["auth"])
FORM = "application/x-www-form-urlencoded"
THROTTLED: dict[int | str, dict[str, Any]] = {
    429: {"description": "Too many attempts; `Retry-After` says when to try again"}
}
FORM_SCHEMA = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {
        "username": {"type": "string", "description": "E-mail address or user name"},
        "password": {"type": "string", "format": "password"},
        "grant_type": {"type": "string"},
        "scope": {"type": "string"},
    },
}
OAUTH2 = ("grant_type", "scope", "client_id", "client_secret")  # fields of the password form that mean nothing here
BOTH = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Credentials.model_json_schema()}, FORM: {"schema": FORM_SCHEMA}},
    }
}


async def credentials(request: Request) -> Credentials:
    """Read login and password from JSON or from OAuth2's form."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith(FORM):
        return read_body(Credentials, kind, await request.body())
    form = await request.form(max_files=0, max_fields=20)
    given = {key: value for key, value in form.items() if value and key not in OAUTH2}
    try:
        return Credentials.model_validate(given)
    except ValidationError as error:
        raise refusal(error.errors())[0] from None


def with_login(who: Who) -> Principal:
    """Return a caller with a session: a personal key must not create keys or change the account."""
    if who.via == "key":
        raise VurError("users.key")
    return who


LoggedIn = Annotated[Principal, Depends(with_login)]


@router.post(
    "/register",
    status_code=201,
    response_model=UserOut,
    summary="Create an account",
    responses=THROTTLED
    | {403: {"description": "Registration is closed"}, 409: {"description": "E-mail address or user name is taken"}},
)
async def register(body: Registration, request: Request) -> User:
    """Create an account with the role analyst; log in with it afterwards."""
    if settings().registration != "open":
        raise VurError("api.closed")
    language = body.language or language_of(request.headers, settings().language)
    return await hashing(
        accounts.register,
        address_of(request.scope),
        body.email,
        body.password,
        username=body.username,
        full_name=body.full_name,
        language=language,
    )


@router.post(
    "/login",
    response_model=Tokens,
    summary="Log in",
    openapi_extra=BOTH,
    responses=THROTTLED | {401: {"description": "Wrong e-mail address, user name or password"}},
)
async def log_in(request: Request, given: Annotated[Credentials, Depends(credentials)]) -> dict[str, Any]:
    """Exchange e-mail address or user name and password for tokens. Takes JSON or OAuth2's password form.

    After several wrong passwords, an address is refused for some minutes. An account is never: while somebody guesses
    its password, logins from other addresses take some seconds longer.
    """
    return await slowed(
        accounts.log_in,
        given.login,
        given.password,
        address_of(request.scope),
        request.headers.get("user-agent", ""),
    )


@router.post(
    "/refresh",
    response_model=Tokens,
    summary="Refresh the tokens",
    responses={401: {"description": "The session has ended"}},
)
def refresh(body: Refresh) -> dict[str, Any]:
    """Exchange a refresh token for a new pair. Each can be used once: a second use ends the session."""
    with writing() as session:
        found = sessions.rotate(session, body.refresh_token)
    if found is None:
        raise VurError("users.ended")
    return accounts.tokens(*found)


@router.post("/logout", status_code=204, summary="Log out")
def log_out(who: Who, body: Annotated[Logout | None, Body()] = None) -> None:
    """End this session, or all of them: their tokens are rejected from now on."""
    if who.via == "key":
        raise VurError("users.key")
    with writing() as session:
        if body and body.all:
            sessions.end_logins(session, who.user_id)
            sessions.set_quietly(session, who.user_id, epoch=User.epoch + 1)
        elif who.session_id:
            sessions.end_login(session, who.session_id, who.user_id)
    KNOWN.forget(who.user_id)


@router.get("/me", response_model=UserOut, summary="Your account")
def me(who: Who) -> User:
    """Your account and role."""
    with reading() as session:
        return session.get_one(User, who.user_id)


@router.put(
    "/profile",
    response_model=Profile,
    response_model_exclude_none=False,
    summary="Change your profile",
    responses=THROTTLED | {409: {"description": "E-mail address or user name is taken"}},
)
async def change_profile(body: ProfileChange, who: LoggedIn, request: Request) -> dict[str, Any]:
    """Change name, language, e-mail address or password. A new password ends your other sessions and older tokens."""
    return await slowed(accounts.change_profile, who, body.model_dump(exclude_none=True), address_of(request.scope))


@router.get("/sessions", response_model=LoginList, summary="Your sessions")
def list_logins(who: Who) -> dict[str, Any]:
    """The sessions in which you are logged in."""
    with reading() as session:
        keys = ("id", "agent", "created_at", "refreshed_at", "expires_at")
        return {
            "items": [
                {key: getattr(login, key) for key in keys} | {"current": login.id == who.session_id}
                for login in sessions.open_logins(session, who.user_id)
            ]
        }


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    summary="End a session",
    responses={404: {"description": "You have no such session"}},
)
def end_login(session_id: str, who: LoggedIn) -> None:
    """End one of your sessions."""
    with writing() as session:
        if not sessions.end_login(session, session_id, who.user_id):
            raise VurError("api.not_found", kind="login", id=session_id)
    KNOWN.forget(who.user_id)


@router.post(
    "/api-keys",
    status_code=201,
    response_model=KeyMade,
    summary="Create a personal key",
    responses={
        403: {"description": "Requested with a personal key, or for a role above your own"},
        409: {"description": "You have too many keys"},
    },
)
def add_key(body: NewKey, who: LoggedIn) -> dict[str, Any]:
    """Create a key for a program, sent as `X-API-Key` or as a bearer token. It is shown only once."""
    with writing() as session:
        key, text = sessions.add_key(session, session.get_one(User, who.user_id), body.name, body.role, body.days)
        record_activity(session, who.user_id, "key_added", about=("api_key", key.id), name=key.name)
        return KeyMade.model_validate(
            {name: getattr(key, name) for name in KeyMade.model_fields if name != "key"} | {"key": text}
        ).model_dump()


@router.get("/api-keys", response_model=KeyList, summary="Your personal keys")
def list_keys(who: Who) -> dict[str, Any]:
    """Your valid keys; only the prefix of each is stored in clear."""
    query = (
        select(ApiKey)
        .where(ApiKey.user_id == who.user_id, ApiKey.revoked_at.is_(None))
        .order_by(ApiKey.created_at.desc(), ApiKey.id)
    )
    with reading() as session:
        return {"items": session.scalars(query).all()}


@router.delete(
    "/api-keys/{key_id}",
    status_code=204,
    summary="Delete a personal key",
    responses={404: {"description": "You have no such key"}},
)
def delete_key(key_id: str, who: LoggedIn) -> None:
    """Revoke a key."""
    with writing() as session:
        key = session.scalar(
            select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == who.user_id, ApiKey.revoked_at.is_(None))
        )
        if key is None:
            raise VurError("api.not_found", kind="key", id=key_id)
        key.revoked_at = now()
        record_activity(session, who.user_id, "key_deleted", about=("api_key", key.id), name=key.name)
    KNOWN.forget(who.user_id)
