"""What every request for a forecast means by its horizon and its levels."""

from typing import Annotated

from pydantic import Field

from vur.models.horizon import LONGEST

# Strict: `true` is no number of steps, and a text is none either.
Horizon = Annotated[int, Field(strict=True, ge=1, le=LONGEST)]
Level = Annotated[float, Field(strict=True, gt=0, lt=100)]
