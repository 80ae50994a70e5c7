"""Texts and numbers that every database can hold, and ids in paths."""

import math
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator


def storable(value: Any) -> Any:
    """`value` when a database can hold it: at any depth no NUL character, no half of a surrogate pair, no infinity; `ValueError` otherwise."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a text must not hold the NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text must not hold half of a surrogate pair") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number must be finite")
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
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of a version")]
ObjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Id of the object")]
