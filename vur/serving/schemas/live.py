"""What a client may say over the WebSocket."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LiveType = Literal["training_update", "job_update", "upload_update", "prediction", "alert", "system_metrics"]


class Said(BaseModel):
    """A message of a client."""

    model_config = ConfigDict(extra="ignore")


class SaidAuth(Said):
    """Who one is, at the beginning or anew; `last_event_id` asks for what came after it."""

    type: Literal["auth"]
    token: str = Field(min_length=1, max_length=4096)
    last_event_id: int | None = Field(None, ge=0)


class SaidSubscribe(Said):
    """Which kinds of messages one wants (all without `types`), and of which model."""

    type: Literal["subscribe"]
    types: list[LiveType] | None = Field(None, max_length=16)
    model_id: str | None = Field(None, max_length=36)


class SaidPing(Said):
    """Whether the service still listens."""

    type: Literal["ping"]


AnySaid = Annotated[SaidAuth | SaidSubscribe | SaidPing, Field(discriminator="type")]
