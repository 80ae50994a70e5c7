"""Users: who they are, their passwords, their logins and their keys."""

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.catalog import ROLES, User

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST_PASSWORD = 10
MOST_PASSWORD = 256


@cache
def hasher() -> "PasswordHasher":
    """Argon2id with the library's recommended cost."""
    from argon2 import PasswordHasher

    return PasswordHasher()


def clean_email(email: str) -> str:
    """The address in lower case; `VurError` api.invalid when it is none."""
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(email.strip(), check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError as error:
        raise VurError("api.invalid", field="email", reason=str(error)) from None


def check_password(password: str, *hints: str) -> str:
    """`password` when it may be used; `VurError` api.password otherwise."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD or password.lower() in {hint.lower() for hint in hints} or len(set(password)) < 5:
        raise VurError("api.password", field="password", least=LEAST_PASSWORD, most=MOST_PASSWORD)
    return password


def add_user(session: Session, email: str, password: str, *, username: str | None = None, full_name: str = "", role: str = "analyst",
             language: str = "en") -> User:
    """A new user; `VurError` api.taken when the address or name is in use, api.invalid for a wrong value."""
    email = clean_email(email)
    username = (username or email).strip()
    if not 1 <= len(username) <= 64:
        raise VurError("api.invalid", field="username", reason="1 to 64 characters")
    if role not in ROLES:
        raise VurError("api.invalid", field="role", reason=f"{role}: expected one of {', '.join(ROLES)}")
    user = User(email=email, username=username, full_name=full_name.strip(), role=role, language=language,
                password_hash=hasher().hash(check_password(password, email, username)))
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:
        raise VurError("api.taken", field="email") from None
    return user


def find_user(session: Session, login: str) -> User | None:
    """The user of an e-mail address or a user name."""
    login = login.strip()
    return session.scalar(select(User).where((User.email == login.lower()) | (User.username == login)))
