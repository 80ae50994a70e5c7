"""Bodies of the dashboard endpoints."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Trends(BaseModel):
    """Each number compared with the previous period, as text; null if one of the two is unknown."""

    models_this_month: str = Field(
        description="Models trained in the last 30 days minus those of the 30 days before: `+2`"
    )
    accuracy_vs_last_month: str | None = Field(
        description="`average_accuracy` now minus that of the champions 30 days ago, in percentage points: `+1.2%`"
    )
    datasets_this_week: str = Field(
        description="Datasets uploaded in the last 7 days minus those of the 7 days before: `+5`"
    )
    new_alerts_today: str = Field(description="Alerts raised since midnight (UTC): `2`")


class Period(BaseModel):
    """A number in this period and in the previous one."""

    current: float | None
    previous: float | None


class Stats(BaseModel):
    """Dashboard statistics of objects that the user owns or shares; of all objects for an administrator."""

    active_models: int = Field(description="Trained models")
    average_accuracy: float | None = Field(
        description="100 minus the champions' median percentage error (sMAPE over the folds, else WAPE), not below 0; "
        "null if no champion has such an error"
    )
    total_datasets: int
    active_alerts: int = Field(description="Alerts that are neither acknowledged nor resolved")
    trends: Trends
    champions: int = Field(description="Models that are the champion of their family")
    median_mase: float | None = Field(
        description="Median error of the champions relative to the seasonal naive forecast: below 1 is better"
    )
    periods: dict[str, Period] = Field(description="The two numbers behind each trend")


class ActivityOut(BaseModel):
    """An activity."""

    id: int = Field(description="A whole number that stays the same; not in the order of time")
    type: str
    message: str = Field(description="In the user's language")
    timestamp: datetime
    status: str
    object_kind: str | None
    object_id: str | None
    user_id: str | None
    link: str | None


class Activities(BaseModel):
    """Activities, newest first."""

    activities: list[ActivityOut]
    total: int
    page: int
    limit: int
    pages: int


class TaskOut(BaseModel):
    """A recommended task."""

    id: str
    type: str = Field(
        description="`failed_run, drift, coverage, retrain, many_rejects, future_values, train_pipeline, "
        "continue_pipeline, train_model`"
    )
    title: str
    reason: str
    priority: Literal["high", "medium", "low"]
    link: str = Field(description="Path in the API where it can be done")
    object_kind: str
    object_id: str
    since: datetime


class Tasks(BaseModel):
    """Recommended tasks, most urgent first."""

    tasks: list[TaskOut]
    total: int


class AlertOut(BaseModel):
    """An alert."""

    id: str
    type: str
    severity: str
    message: str
    state: Literal["open", "acknowledged", "resolved"]
    object_kind: str | None
    object_id: str | None
    link: str | None
    created_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None


class AlertList(BaseModel):
    """A page of alerts."""

    items: list[AlertOut]
    total: int
    page: int
    limit: int
    pages: int


class Acknowledged(BaseModel):
    """Number of alerts that were acknowledged."""

    acknowledged: int
