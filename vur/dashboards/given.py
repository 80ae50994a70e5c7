"""What the browser sent with an event, all of it hostile: keys may be missing, and values of any type."""

from typing import Any


def value(given: Any, key: str) -> Any:
    """The value of a key; None where there is none."""
    return given.get(key) if isinstance(given, dict) else None


def text(given: Any, key: str) -> str:
    """The text of a key without spaces around it; empty where there is none."""
    found = value(given, key)
    return found.strip() if isinstance(found, str) else ""


def names(given: Any, key: str) -> list[str]:
    """The names in a text with commas between them."""
    return [part for part in (part.strip() for part in text(given, key).split(",")) if part]


def identifier(sent: Any) -> str:
    """An id without what could make it another path of the service."""
    return "".join(letter for letter in str(sent) if letter.isascii() and (letter.isalnum() or letter in "-_"))


def count(sent: Any) -> int:
    """A whole number from 1, sent as number or text; 1 for anything else."""
    digits = str(sent)
    return max(int(digits), 1) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 1
