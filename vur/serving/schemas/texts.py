"""Texts and numbers that every database can store, and ids in paths."""

import math
import re
from collections.abc import Set
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from vur.text import INVISIBLE, is_blank, is_control


def storable(value: Any) -> Any:
    """Return `value` if every database can store it. Error nul, surrogate or finite_number for what it cannot."""
    if isinstance(value, str):
        if "\x00" in value:
            raise PydanticCustomError("nul", "NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PydanticCustomError("surrogate", "lone surrogate") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", "not finite")
    elif isinstance(value, dict):
        for key, item in value.items():
            storable(key)
            storable(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            storable(item)
    return value


DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
LAYOUT = {*"\n\r\t", *INVISIBLE}


def control_character(text: str, allowed: Set[str] = frozenset()) -> str | None:
    """Return the first control character of `text` that is not `allowed`, written as U+000D, or None."""
    for one in text:
        if is_control(one) and one not in allowed:
            return f"U+{ord(one):04X}"
    return None


def one_line(text: str) -> str:
    """Return `text` if it has no control character, line break or change of direction in it."""
    return _without(text, set())


def written(text: str) -> str:
    """Return `text` if its only control characters are line breaks, tabs and spaces without width."""
    return _without(text, LAYOUT)


def _without(text: str, allowed: Set[str]) -> str:
    storable(text)
    if found := control_character(text, allowed):
        raise PydanticCustomError("api.control_character", "control character {character}", {"character": found})
    return text


def visible(text: str) -> str:
    """Return `text` if something of it can be seen; an empty one is refused by its length."""
    if text and is_blank(text):
        raise PydanticCustomError("api.blank", "nothing of the text can be seen")
    return text


def dated(value: Any) -> Any:
    """Return `value` if it is written as a date; a bare number, which could mean seconds or days, is none."""
    if isinstance(value, str) and not DATE.match(value):
        raise PydanticCustomError("api.moment", "{value} is no date such as 2024-01-31", {"value": value[:100]})
    return value


Moment = Annotated[datetime, BeforeValidator(dated)]
Words = Annotated[str, AfterValidator(storable)]
Line = Annotated[str, AfterValidator(one_line)]
Title = Annotated[Line, AfterValidator(visible)]
Prose = Annotated[str, AfterValidator(written)]
Free = Annotated[dict[str, Any], AfterValidator(storable)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Version number")]
ObjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Id of the object")]
