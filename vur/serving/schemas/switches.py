"""Bodies of the switches of the installation."""

from datetime import datetime

from pydantic import BaseModel, Field

from vur.serving.schemas.body import Body, example


class SwitchesOut(BaseModel):
    """The switches, and what they mean for the caller."""

    downloads: bool = Field(description="Whether others than administrators may download data and results")
    may_download: bool = Field(description="Whether you may")
    updated_at: datetime | None = Field(description="null: never changed")


class SwitchesIn(Body):
    """Switches to turn; omitted ones stay."""

    model_config = example({"downloads": False})
    downloads: bool | None = None
