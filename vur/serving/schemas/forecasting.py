"""What every request for a forecast means by its horizon and its levels."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from vur.models.horizon import LONGEST


def whole_number(value: Any) -> Any:
    """Return 7 for 7.0, which is the same number in JSON; any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Strict: `true` is no number of steps, and a text is none either.
Horizon = Annotated[int, BeforeValidator(whole_number), Field(strict=True, ge=1, le=LONGEST)]
Level = Annotated[float, Field(strict=True, gt=0, lt=100)]
