"""User administration and sharing of objects."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator
from sqlalchemy import select

from vur.serving.dependencies import Admin, Analyst, Listed, Version, Who, list_rows, set_etag
from vur.serving.middleware.guard import KNOWN
from vur.serving.middleware.logs import log
from vur.serving.schemas.auth import UserOut
from vur.serving.schemas.users import Ended, NewUser, PeopleList, ShareIn, ShareList, UserChange, UserList
from vur.serving.views.accounts import hashing
from vur.store.accounts import sessions, users
from vur.store.accounts.access import Principal, check_version
from vur.store.catalog import User
from vur.store.database import reading, writing
from vur.store.events import record_activity

REFUSED: dict[int | str, dict[str, Any]] = {403: {"description": "Only for administrators"}}
accounts = APIRouter(prefix="/users", tags=["users"], responses=REFUSED)
sharing = APIRouter(prefix="/shares", tags=["shares"])
Kind = Annotated[
    str,
    AfterValidator(users.kind_of),
    Path(description="`dataset`, `pipeline`, `model`, `database` (or `connection`), `monitor` or `machine`"),
]
router = APIRouter()
SORTABLE = {
    name: getattr(User, name)
    for name in ("created_at", "email", "username", "full_name", "role", "active", "last_login_at")
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such user"}}
HIDDEN: dict[int | str, dict[str, Any]] = {
    403: {"description": "Not yours"},
    404: {"description": "No such object, or none that you may see"},
}


@accounts.get("", response_model=UserList, summary="List users")
def list_users(who: Admin, asked: Listed, role: str | None = None, active: bool | None = None) -> dict[str, Any]:
    """All users; `search` matches e-mail addresses and names."""
    query = select(User)
    if role is not None:
        query = query.where(User.role == users.check_role(role))
    if active is not None:
        query = query.where(User.active.is_(active))
    with reading() as session:
        rows, page = list_rows(
            session, query, asked, sortable=SORTABLE, searchable=(User.email, User.username, User.full_name)
        )
        return {"items": rows} | page


@accounts.post(
    "",
    status_code=201,
    response_model=UserOut,
    summary="Create a user",
    responses={409: {"description": "E-mail address or user name is taken"}},
)
async def add_user(body: NewUser, who: Admin, response: Response) -> User:
    """Create an account with a role and an initial password."""
    user = await hashing(_add, who, body)
    set_etag(response, user)
    return user


def _add(who: Principal, body: NewUser) -> User:
    hashed = users.hash_password(body.password, body.email, body.username or "")
    with writing() as session:
        user = users.keep_user(
            session,
            body.email,
            hashed,
            username=body.username,
            full_name=body.full_name,
            role=body.role,
            language=body.language,
        )
        user.quota_bytes = body.quota_bytes
        session.flush()
        record_activity(
            session, user.id, "user_registered", user_id=who.user_id, about=("user", user.id), email=user.email
        )
    log.info("user added", user_id=who.user_id, about=user.id, role=user.role)
    return user


@accounts.get("/{user_id}", response_model=UserOut, summary="One user", responses=MISSING)
def get_user(user_id: str, who: Admin, response: Response) -> User:
    """A user by id, e-mail address or user name."""
    with reading() as session:
        user = users.known_user(session, user_id)
    set_etag(response, user)
    return user


@accounts.put(
    "/{user_id}",
    response_model=UserOut,
    summary="Change a user",
    responses=MISSING
    | {
        409: {"description": "The last active administrator"},
        412: {"description": "Changed since the version in `If-Match`"},
    },
)
async def change_user(user_id: str, body: UserChange, who: Admin, version: Version, response: Response) -> User:
    """Change role, status, quota, name or password. Affected tokens are revoked at once."""
    user = await hashing(_change, who, user_id, body, version)
    set_etag(response, user)
    return user


def _change(who: Principal, user_id: str, body: UserChange, version: int | None) -> User:
    wanted = body.model_dump(exclude_unset=True)
    wanted = {key: value for key, value in wanted.items() if value is not None or key == "quota_bytes"}
    password = wanted.pop("password", None)
    hashed = {"password_hash": users.hash_password(password)} if password else {}
    with writing() as session:
        user = users.known_user(session, user_id)
        check_version(user, version)
        users.change_user(session, user, wanted | hashed)
        if password:
            sessions.end_logins(session, user.id)
        record_activity(
            session,
            user.id,
            "user_deactivated" if wanted.get("active") is False else "user_changed",
            user_id=who.user_id,
            about=("user", user.id),
            email=user.email,
        )
    KNOWN.forget(user.id)
    log.info("user changed", user_id=who.user_id, about=user.id, changed=sorted(wanted.keys() | hashed.keys()))
    return user


@accounts.delete(
    "/{user_id}",
    status_code=204,
    summary="Deactivate a user",
    responses=MISSING | {409: {"description": "The last active administrator"}},
)
def deactivate(user_id: str, who: Admin) -> None:
    """Deactivate an account: it cannot log in and its tokens are rejected. Its data stays."""
    _change(who, user_id, UserChange(active=False), None)


@accounts.post("/{user_id}/logout", response_model=Ended, summary="End a user's sessions", responses=MISSING)
def end_logins(user_id: str, who: Admin) -> dict[str, int]:
    """Revoke all sessions and access tokens of a user; personal keys stay."""
    with writing() as session:
        user = users.known_user(session, user_id)
        ended = sessions.end_logins(session, user.id)
        sessions.set_quietly(session, user.id, epoch=User.epoch + 1)
    KNOWN.forget(user.id)
    return {"ended": ended}


@sharing.get(
    "/people",
    response_model=PeopleList,
    summary="Find people to share with",
    responses={403: {"description": "Only for analysts and administrators"}},
)
def find_people(who: Analyst, search: Annotated[str, Query(min_length=2, max_length=254)]) -> dict[str, Any]:
    """People whose name or address contains `search`, at most eight.

    Where registration is open, only those you share something with already, or the exact address of another person.
    """
    with reading() as session:
        return {"items": users.people(session, who, search)}


@sharing.get("/{kind}/{object_id}", response_model=ShareList, summary="List the shares of an object", responses=HIDDEN)
def list_shares(kind: Kind, object_id: str, who: Analyst) -> dict[str, Any]:
    """Users who may view or edit your dataset, pipeline, model, database, monitor or machine."""
    with reading() as session:
        return {"items": [_shown(*row) for row in users.shares(session, who, kind, object_id)]}


@sharing.put("/{kind}/{object_id}", response_model=ShareList, summary="Share an object", responses=HIDDEN)
def share(kind: Kind, object_id: str, body: ShareIn, who: Analyst) -> dict[str, Any]:
    """Let another user, by e-mail address, view or edit your object; sharing again changes the permission."""
    with writing() as session:
        found, user = users.share(session, who, kind, object_id, body.email, body.right)
        by = session.get_one(User, who.user_id)
        record_activity(
            session,
            user.id,
            f"shared_{kind}",
            user_id=who.user_id,
            about=(kind, object_id),
            by=by.full_name or by.email,
            right=found.right,
        )
        return {"items": [_shown(*row) for row in users.shares(session, who, kind, object_id)]}


@sharing.delete("/{kind}/{object_id}/{user_id}", status_code=204, summary="Revoke a share", responses=HIDDEN)
def unshare(kind: Kind, object_id: str, user_id: str, who: Who) -> None:
    """Revoke a user's permission on your object, or your own permission on somebody else's."""
    with writing() as session:
        users.unshare(session, who, kind, object_id, user_id)


def _shown(share: Any, user: User) -> dict[str, Any]:
    return {
        "user_id": user.id,
        "email": user.email,
        "full_name": user.full_name,
        "right": share.right,
        "created_at": share.created_at,
    }


router.include_router(accounts)
router.include_router(sharing)
