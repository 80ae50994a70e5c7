"""Texts that every database can hold, and ids in paths."""

from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator


def storable(value: Any) -> Any:
    """`value` when its texts, at any depth, have no NUL character and no half of a surrogate pair; `ValueError` otherwise."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a text must not hold the NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text must not hold half of a surrogate pair") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            storable(key)
            storable(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            storable(item)
    return value


Words = Annotated[str, AfterValidator(storable)]
Free = Annotated[dict[str, Any], AfterValidator(storable)]
ObjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Id of the object")]
