"""Bodies of the health endpoints."""

from typing import Literal

from pydantic import BaseModel, Field


class Live(BaseModel):
    """Liveness of the process."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Readiness of the service."""

    status: Literal["ok", "unavailable"]
    components: dict[str, str] = Field(examples=[{"database": "ok", "disk": "ok", "models": "ok", "worker": "ok"}])
