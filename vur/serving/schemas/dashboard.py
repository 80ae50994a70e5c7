"""Bodies of the dashboard endpoints."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Trends(BaseModel):
    """Each number against the period before, as text; null where one of the two is not known."""

    models_this_month: str = Field(
        description="Models trained in the last 30 days, less those of the 30 days before: `+2`"
    )
    accuracy_vs_last_month: str | None = Field(
        description="`average_accuracy` now, less that of the champions of 30 days ago, in percentage points: `+1.2%`"
    )
    datasets_this_week: str = Field(
        description="Datasets uploaded in the last 7 days, less those of the 7 days before: `+5`"
    )
    new_alerts_today: str = Field(description="Alerts raised since midnight (UTC): `2`")


class Period(BaseModel):
    """A number in this period and in the one before."""

    current: float | None
    previous: float | None


class Stats(BaseModel):
    """The numbers of the dashboard: of what the user owns and what is shared with them; of everything for an administrator."""

    active_models: int = Field(description="Trained models")
    average_accuracy: float | None = Field(
        description="100 less the median percentage error (sMAPE over the folds, WAPE where there is none) of the champions, not below 0. "
        "null without a champion that has such an error: nothing is made up"
    )
    total_datasets: int
    active_alerts: int = Field(description="Alerts that are neither acknowledged nor resolved")
    trends: Trends
    champions: int = Field(description="Models that answer for their families")
    median_mase: float | None = Field(
        description="Median error of the champions against the seasonal naive forecast: below 1 is better than it"
    )
    periods: dict[str, Period] = Field(description="The two numbers behind each trend")


class ActivityOut(BaseModel):
    """Something that happened."""

    id: str
    type: str
    message: str = Field(description="In the reader's language")
    timestamp: datetime
    status: str
    object_kind: str | None
    object_id: str | None
    user_id: str | None
    link: str | None


class Activities(BaseModel):
    """What happened, the newest first."""

    activities: list[ActivityOut]
    total: int
    page: int
    limit: int
    pages: int


class TaskOut(BaseModel):
    """Something that the state of the catalog recommends to do."""

    id: str
    type: str = Field(
        description="`failed_run, drift, coverage, retrain, many_rejects, future_values, train_pipeline, continue_pipeline, train_model`"
    )
    title: str
    reason: str
    priority: Literal["high", "medium", "low"]
    link: str = Field(description="Where to do it, within the API")
    object_kind: str
    object_id: str
    since: datetime


class Tasks(BaseModel):
    """What to do next, the most urgent first."""

    tasks: list[TaskOut]
    total: int


class AlertOut(BaseModel):
    """Something that wants attention."""

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
    """How many alerts were acknowledged."""

    acknowledged: int
