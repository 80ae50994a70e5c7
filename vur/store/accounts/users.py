"""Users: their names, passwords and roles, and what they share."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.settings import settings
from vur.store.accounts.access import KINDS, Principal, as_text, fetch
from vur.store.accounts.sessions import end_logins
from vur.store.catalog import ROLES, Share, User
from vur.store.database import rows_changed
from vur.text import LANGUAGES

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST_PASSWORD = 10
MOST_PASSWORD = 256
MOST_USERNAME = 64
RIGHTS = ("view", "edit")


@cache
def hasher() -> "PasswordHasher":
    """The Argon2id hasher with the library's recommended parameters."""
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _dummy_hash() -> str:
    return hasher().hash("of nobody")


def clean_email(email: str) -> str:
    """Normalize an e-mail address to lower case; `VurError` users.email if it is not valid."""
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(email.strip(), check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        raise VurError("users.email", field="email", email=email[:100]) from None


def clean_username(username: str, email: str) -> str:
    """Normalize a user name to lower case and NFKC; `VurError` users.username if it could be another's address."""
    name = unicodedata.normalize("NFKC", username).strip().lower()
    if name == email and len(name) <= MOST_USERNAME:
        return name
    if not re.fullmatch(rf"[\w.+-]{{1,{MOST_USERNAME}}}", name):
        raise VurError("users.username", field="username", most=MOST_USERNAME)
    return name


def _username_for(email: str) -> str:
    if len(email) <= MOST_USERNAME:
        return email
    plain = re.sub(r"[^\w.+-]", "-", email.partition("@")[0])
    return f"{plain[: MOST_USERNAME - 9]}-{sha256(email.encode()).hexdigest()[:8]}"


def check_password(password: str, *hints: str) -> str:
    """`password` if it is strong enough and none of `hints`; else `VurError` api.password."""
    if (
        not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD
        or password.lower() in {hint.lower() for hint in hints}
        or len(set(password)) < 5
    ):
        raise VurError("api.password", field="password", least=LEAST_PASSWORD, most=MOST_PASSWORD)
    return password


def check_role(role: str) -> str:
    """`role` if it exists; else `VurError` users.choice."""
    return _one_of("role", role, ROLES)


def check_language(language: str) -> str:
    """`language` if it is supported; else `VurError` users.choice."""
    return _one_of("language", language, LANGUAGES)


def _one_of(field: str, value: str, known: Iterable[str]) -> str:
    if value not in known:
        raise VurError("users.choice", field=field, value=value, known=", ".join(known))
    return value


def add_user(
    session: Session,
    email: str,
    password: str,
    *,
    username: str | None = None,
    full_name: str = "",
    role: str = "analyst",
    language: str = "en",
) -> User:
    """Create a user; `VurError` api.taken if the address or name is in use."""
    hashed = hash_password(password, email, username or "")
    return keep_user(session, email, hashed, username=username, full_name=full_name, role=role, language=language)


def hash_password(password: str, *hints: str) -> str:
    """Check and hash a password; takes tens of milliseconds, so call it outside transactions."""
    return hasher().hash(check_password(password, *hints))


def keep_user(
    session: Session,
    email: str,
    password_hash: str,
    *,
    username: str | None = None,
    full_name: str = "",
    role: str = "analyst",
    language: str = "en",
) -> User:
    """Create a user whose password is already hashed; see `add_user`."""
    email = clean_email(email)
    name = clean_username(username, email) if username else _username_for(email)
    user = User(
        email=email,
        username=name,
        full_name=full_name.strip(),
        role=check_role(role),
        language=check_language(language),
        password_hash=password_hash,
    )
    if find_user(session, email) is not None or find_user(session, name) is not None:
        raise VurError("api.taken", field="email")
    _flush(session, user)
    return user


def _flush(session: Session, user: User) -> None:
    try:
        with session.begin_nested():
            session.add(user)
            session.flush()
    except IntegrityError:
        raise VurError("api.taken", field="email") from None


def find_user(session: Session, login: str) -> User | None:
    """The user with an e-mail address or user name, or None."""
    login = unicodedata.normalize("NFKC", login).strip().lower()
    return session.scalar(select(User).where((User.email == login) | (User.username == login)))


def known_user(session: Session, login: str) -> User:
    """The user with an e-mail address, user name or id; `VurError` api.not_found if there is none."""
    user = find_user(session, login) or session.get(User, login)
    if user is None:
        raise VurError("api.not_found", kind="user", id=login)
    return user


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether `password` matches the hash; without a hash it takes as long, so that accounts cannot be probed."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return hasher().verify(password_hash or _dummy_hash(), password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def change_user(session: Session, user: User, changes: dict[str, Any]) -> User:
    """Change a user: `email, username, full_name, language, role, active, quota_bytes, password_hash`.

    A new role, password or activity invalidates all access tokens, deactivation also ends all logins. `VurError`
    users.last_admin if no active administrator would be left, api.taken if the address or name is in use.
    """
    changes = dict(changes)
    email = clean_email(changes["email"]) if "email" in changes else user.email
    if "email" in changes:
        if user.username == user.email and "username" not in changes:
            changes["username"] = _username_for(email)
        changes["email"] = email
    if "username" in changes:
        changes["username"] = clean_username(changes["username"], email)
    for name in {"email", "username"} & changes.keys():
        other = find_user(session, changes[name])
        if other is not None and other.id != user.id:
            raise VurError("api.taken", field=name)
    if "role" in changes:
        check_role(changes["role"])
    if "language" in changes:
        check_language(changes["language"])
    if (
        user.role == "admin"
        and user.active
        and (changes.get("role", "admin") != "admin" or changes.get("active") is False)
    ):
        _keep_an_admin(session, user)
    changed = {key for key, value in changes.items() if getattr(user, key) != value}
    for key in changed:
        setattr(user, key, changes[key])
    if changed & {"role", "active", "password_hash"}:
        user.epoch += 1
    if "active" in changed and not user.active:
        end_logins(session, user.id)
    _flush(session, user)
    return user


def _keep_an_admin(session: Session, leaving: User) -> None:
    """`VurError` users.last_admin unless there is another admin; the rows are locked against concurrent changes."""
    admins = session.scalars(
        select(User.id).where(User.role == "admin", User.active).order_by(User.id).with_for_update()
    ).all()
    if not set(admins) - {leaving.id}:
        raise VurError("users.last_admin", email=leaving.email)


def share(session: Session, who: Principal, kind: str, object_id: str, email: str, right: str) -> tuple[Share, User]:
    """Share an object of `who` with the user of an address, with a right; sharing again changes the right."""
    row = fetch(session, _table(kind), object_id, who, "own")
    _one_of("right", right, RIGHTS)
    user = find_user(session, email)
    if user is None or not user.active:
        raise VurError("users.no_address", field="email", email=email)
    if user.id == row.owner_id:
        raise VurError("users.owner", field="email", email=email)
    found = session.scalar(
        select(Share).where(Share.kind == kind, Share.object_id == object_id, Share.user_id == user.id)
    )
    if found is None:
        found = Share(kind=kind, object_id=object_id, user_id=user.id)
        session.add(found)
    found.right = right
    session.flush()
    return found, user


def people(session: Session, who: Principal, text: str, most: int = 8) -> list[User]:
    """Active users to share with whose name or address contains `text`, without `who`; ordered by address.

    Where anybody may make an account, addresses are not for all to see: then only people that `who` shares something
    with already, and one whose address is `text` exactly. Administrators find everybody.
    """
    literal = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    names = (User.email, User.username, User.full_name)
    found = select(User).where(User.active, User.id != who.user_id)
    matching = or_(*(column.ilike(f"%{literal}%", escape="\\") for column in names))
    if settings().registration != "closed" and not who.is_admin:
        tables: list[Any] = list(KINDS)
        objects = [select(as_text(table)).where(table.owner_id == who.user_id) for table in tables]
        mine = or_(*(Share.object_id.in_(one) for one in objects))
        known = select(Share.user_id).where(mine)
        matching = or_(matching & User.id.in_(known), User.email == text.strip().lower())
    return list(session.scalars(found.where(matching).order_by(User.email).limit(most)))


def shares(session: Session, who: Principal, kind: str, object_id: str) -> list[tuple[Share, User]]:
    """The shares of an object of `who`, with their users."""
    fetch(session, _table(kind), object_id, who, "own")
    query = (
        select(Share, User)
        .join(User, User.id == Share.user_id)
        .where(Share.kind == kind, Share.object_id == object_id)
        .order_by(User.email)
    )
    return [(found, user) for found, user in session.execute(query)]


def unshare(session: Session, who: Principal, kind: str, object_id: str, user_id: str) -> None:
    """Remove a share; its owner may, and the user who has it."""
    table = _table(kind)
    fetch(session, table, object_id, who, "view" if user_id == who.user_id else "own")
    gone = delete(Share).where(Share.kind == kind, Share.object_id == object_id, Share.user_id == user_id)
    if not rows_changed(session, gone):
        raise VurError("api.not_found", kind="share", id=user_id)


def kind_of(name: str) -> str:
    """The kind of an object by its name in the paths of the service: `database` is a connection."""
    return "connection" if name == "database" else name


def _table(kind: str) -> Any:
    if kind not in KINDS.values():
        _one_of("kind", kind, ["database" if name == "connection" else name for name in KINDS.values()])
    return next(table for table, name in KINDS.items() if name == kind)
