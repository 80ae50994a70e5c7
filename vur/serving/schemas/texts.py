"""Texts and numbers that every database can store, and ids in paths."""

import math
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator


def storable(value: Any) -> Any:
    """Return `value` if every database can store it. `ValueError` for NUL, lone surrogates or infinities in it."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a text must not contain the NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text must not contain a lone surrogate") from None
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
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Version number")]
ObjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Id of the object")]
