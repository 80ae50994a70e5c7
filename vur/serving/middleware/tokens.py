"""Access tokens: signed and short-lived, with the user, their role and their session."""

from datetime import timedelta

import jwt

from vur.errors import VurError
from vur.languages import DEFAULT_LANGUAGE
from vur.settings import settings
from vur.store.accounts.access import Principal
from vur.store.catalog import User, now
from vur.store.secret import secret

ALGORITHM = "HS256"


def access_token(user: User, session_id: str | None = None) -> tuple[str, int]:
    """Return a token for `user` and its lifetime in seconds."""
    life = settings().access_minutes * 60
    content = {
        "sub": user.id,
        "role": user.role,
        "lang": user.language,
        "sid": session_id,
        "epoch": user.epoch,
        "typ": "access",
        "iat": now(),
        "exp": now() + timedelta(seconds=life),
    }
    return jwt.encode(content, secret("tokens"), ALGORITHM), life


def read_token(token: str) -> tuple[Principal, int]:
    """Return the owner of a token and their account's epoch at issue. `VurError` api.unauthenticated if invalid."""
    try:
        content = jwt.decode(
            token, secret("tokens"), [ALGORITHM], options={"require": ["sub", "exp", "role", "epoch", "typ"]}
        )
    except jwt.PyJWTError:
        raise VurError("api.unauthenticated") from None
    if content["typ"] != "access":
        raise VurError("api.unauthenticated")
    return Principal(
        content["sub"], content["role"], content.get("lang") or DEFAULT_LANGUAGE, "token", content.get("sid")
    ), content["epoch"]
