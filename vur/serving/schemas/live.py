"""Messages that a client may send over the WebSocket."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vur.serving.schemas.body import Body

LiveType = Literal[
    "training_update", "job_update", "machine_update", "upload_update", "prediction", "alert", "system_metrics"
]


class Said(BaseModel):
    """A message of a client."""

    model_config = ConfigDict(extra="ignore")


class SaidAuth(Said):
    """Authenticate, at the start or with a newer token; `last_event_id` requests the messages after it."""

    type: Literal["auth"]
    token: str = Field(min_length=1, max_length=4096)
    last_event_id: int | None = Field(None, ge=0)


class SaidSubscribe(Body):
    """Subscribe to types of messages (all without `types`), optionally of one model."""

    type: Literal["subscribe"]
    types: list[LiveType] | None = Field(None, max_length=16)
    model_id: str | None = Field(None, max_length=36)


class SaidPing(Said):
    """Check that the connection is alive."""

    type: Literal["ping"]


AnySaid = Annotated[SaidAuth | SaidSubscribe | SaidPing, Field(discriminator="type")]
