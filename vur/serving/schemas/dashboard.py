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


class Place(BaseModel):
    """The dashboards' page where something is seen or done, and the parameters of its address."""

    page: str | None = Field(description="`data, pipeline, monitoring` or `forecasts`; null if no page shows it")
    parameters: dict[str, str]


class ActivityOut(Place):
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


class TaskOut(Place):
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


class AlertOut(Place):
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


class FigurePoint(BaseModel):
    """The value of a figure at one moment."""

    at: datetime
    value: float | None


class Figure(BaseModel):
    """A figure and its history of 30 days."""

    value: float | None
    before: float | None = Field(description="30 days ago, or at the first point there is")
    change: float | None = Field(description="`value` minus `before`; in percentage points for skills")
    points: list[FigurePoint] | None = Field(description="For a small chart; null where there is no history yet")


class LiveSkill(Figure):
    """The skill of forecasts that had been compared with what came, as a median over models, in percent."""

    values: int = Field(description="Forecast values that were compared")


class Figures(BaseModel):
    """The figures of the dashboard, of objects that the user owns or shares; of all objects for an administrator."""

    models: Figure = Field(description="Trained models that exist, by the day of their training")
    skill: Figure = Field(
        description="Median skill of the champions over their folds, in percent: how much smaller their error is than "
        "that of the seasonal naive forecast"
    )
    live_skill: LiveSkill
    datasets: Figure
    alerts: Figure = Field(description="Alerts that were open")
    since: datetime


class Curve(BaseModel):
    """Values over time, as lists of equal length.

    Stamps are milliseconds since 1970-01-01 on the clock of the data's time zone, or integers.
    """

    stamps: list[int]
    values: list[float | None]


class ChampionForecast(Curve):
    """A forecast of one series with its intervals."""

    series: str
    series_count: int = Field(description="Series of the forecast; `series` is the largest of them")
    source: Literal["training", "ledger"] = Field(description="Where it comes from: whichever begins later")
    made_at: datetime | None
    time: Literal["datetime", "integer"]
    intervals: dict[str, dict[Literal["lo", "hi"], list[float | None]]]


class Champion(BaseModel):
    """A champion with its current forecast and the values before it."""

    model_id: str
    name: str
    algorithm: str
    family: str
    trained_at: datetime | None
    skill: float | None = Field(description="Over its folds, as a share")
    freq: str | None
    forecast: ChampionForecast | None = Field(description="null if its run is gone")
    actual: Curve | None = Field(description="null if its dataset is gone")


class Champions(BaseModel):
    """The champions that were trained last."""

    items: list[Champion]
