"""What the health endpoints answer."""

from typing import Literal

from pydantic import BaseModel, Field


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether the service can do its work."""

    status: Literal["ok", "unavailable"]
    components: dict[str, str] = Field(examples=[{"database": "ok", "disk": "ok", "models": "ok", "worker": "ok"}])
