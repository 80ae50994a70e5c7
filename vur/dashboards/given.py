"""What the browser sent with an event, all of it hostile: keys may be missing, and values of any type."""

from typing import Any


def value(given: Any, key: str) -> Any:
    """The value of a key; None where there is none."""
    return given.get(key) if isinstance(given, dict) else None


def identifier(text: Any) -> str:
    """An id without what could make it another path of the service."""
    return "".join(letter for letter in str(text) if letter.isascii() and (letter.isalnum() or letter in "-_"))


def count(text: Any) -> int:
    """A whole number from 1, sent as number or text; 1 for anything else."""
    digits = str(text)
    return max(int(digits), 1) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 1
