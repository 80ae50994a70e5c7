"""The secrets of a data home, created on first use in a file that only its owner can read."""

import json
import os
import secrets
from base64 import urlsafe_b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vur.errors import VurError
from vur.store.home import home, lock

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

FILE = "secrets.json"


def secret(name: str) -> str:
    """The secret `name`, 256 random bits: `tokens` signs access tokens, `connections` encrypts database URLs.

    `VurError` store.secrets if the file is damaged. It is not replaced by a new one, which would lose all connections.
    """
    return _secrets(home() / FILE)[name]


@cache
def _secrets(path: Path) -> dict[str, str]:
    if not path.is_file():
        with lock("secrets"):
            if not path.is_file():
                _write(
                    path,
                    {
                        "tokens": secrets.token_urlsafe(32),
                        "connections": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                    },
                )
    try:
        found = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not {"tokens", "connections"} <= found.keys():
        raise VurError("store.secrets", path=path)
    return found


def forget() -> None:
    """Clear the cache, because the file was replaced."""
    _secrets.cache_clear()


def _write(path: Path, content: dict[str, str]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def cipher() -> "Fernet":
    """The cipher for users' secrets, such as database URLs."""
    from cryptography.fernet import Fernet

    return Fernet(secret("connections").encode())
