"""Bodies of the endpoints for training, jobs and schedules."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from vur.serving.schemas.body import Body
from vur.serving.schemas.models import Configure
from vur.serving.schemas.texts import Free, Line, Words

Cron = Annotated[
    Line, Field(min_length=9, max_length=100, description="Minute, hour, day, month and weekday, as in crontab")
]
Zone = Annotated[Line, Field(min_length=1, max_length=64, description="Time zone of the schedule's hours")]


class Train(Body):
    """Options of a training; by default it uses the current version of the dataset."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"dataset_number": 2}]})

    dataset_number: int | None = Field(None, ge=1, description="Version of the dataset")


class TrainNow(Configure):
    """A model to configure and train in one request: an algorithm with its options, or a whole `config`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"dataset_id": "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a", "algorithm": "auto", "horizon": 14},
                {
                    "dataset_id": "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
                    "config": {"model": {"algorithms": ["ets", "lightgbm"]}, "split": {"horizon": 28}},
                },
            ]
        }
    )

    config: Free | None = Field(None, description="Sections of a pipeline.yaml that override the inferred settings")


class Started(BaseModel):
    """A queued training."""

    job_id: str
    model_id: str
    status: str = Field(description="`queued`")
    dataset_id: str | None
    attempt: int
    warnings: list[str] = Field(
        default_factory=list, description="What of the request is not used as it was sent, and why"
    )


class Failure(BaseModel):
    """The reason why a job failed."""

    detail: str
    code: str
    remedy: str
    stage: str = Field(description="Stage of the run, or empty")
    stage_name: str


class Best(BaseModel):
    """The best candidate so far."""

    model_config = ConfigDict(extra="allow")

    algorithm: str
    metric: str
    value: float | None


class TrainingStatus(BaseModel):
    """Status of a training."""

    model_id: str
    job_id: str | None
    status: str = Field(description="configured, queued, training, trained, failed or cancelled")
    progress: float = Field(description="Percent")
    current_epoch: int | None = Field(description="Epoch of the network in training; null for other algorithms")
    total_epochs: int | None
    loss: float | None
    logs: list[str] = Field(description="The latest log lines, oldest first")
    metrics: dict[str, float | None] = Field(
        description="Metrics of the best candidate so far; of the model once it is trained"
    )
    stage: str
    stage_name: str
    eta_seconds: float | None
    best: Best | None
    error: Failure | None
    attempt: int
    cancel_requested: bool
    queued_before: int | None = Field(description="Jobs ahead of this one in the queue")
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class JobOut(BaseModel):
    """A background job."""

    job_id: str
    kind: str
    state: str = Field(description="queued, running, succeeded, failed or cancelled")
    model_id: str | None
    model_name: str | None = Field(None, description="null in the answer to a retry, and for a deleted model")
    stage_name: str = Field("", description="The stage in the user's language")
    dataset_id: str | None
    owner_id: str
    params: dict[str, Any]
    attempt: int
    progress: float = Field(description="Percent")
    stage: str
    eta_seconds: float | None
    best: dict[str, Any] | None
    result: dict[str, Any] | None
    error: Failure | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class JobList(BaseModel):
    """A page of jobs."""

    items: list[JobOut]
    total: int
    page: int
    limit: int
    pages: int


class JobLine(BaseModel):
    """A line of a job's log."""

    id: int
    at: datetime
    attempt: int
    level: str
    text: str


class JobLines(BaseModel):
    """Lines of a job's log, oldest first; pass `next` as `after` for the following ones."""

    items: list[JobLine]
    next: int


class Check(BaseModel):
    """A check of the residuals over the folds."""

    check: str
    verdict: str = Field(description="good, note or warning")
    value: float | None
    p_value: float | None
    text: str


class Links(BaseModel):
    """Links to further results."""

    report: str | None
    notebook: str | None
    metrics: str
    training: str


class Results(BaseModel):
    """Results of a training."""

    model_id: str
    run_id: str
    job_id: str | None
    status: str
    algorithm: str = Field(description="The algorithm that is used; `choice` says why, if it does not rank first")
    metrics: dict[str, float | None] = Field(description="Metrics of the model that is used, over the folds")
    metric: str | None = Field(None, description="The metric that ranks the leaderboard")
    reference: str | None = Field(None, description="The naive forecast that skill is measured against: the best one")
    verdict: str | None = Field(
        None,
        description="What may be said of the model beside the reference: `clear`, `slight`, `alike` (within chance), "
        "`mixed`, `no`, `off` (totals off by more than half), `naive` or `unknown`",
    )
    headline: dict[str, Any] | None = Field(
        None,
        description="The error to expect, by metric; `source` is `test`, `held_out` (choosing anew without each fold "
        "that is scored) or `folds` (the one fold that chose the model)",
    )
    choice: dict[str, Any] | None = Field(
        None, description="Why this model is used: reason, text, distance to the leader and to the reference"
    )
    test: dict[str, Any] | None = Field(
        description="Metrics of the model that is used on the held-out test part, not used for model selection; "
        "null if the data is too short for one"
    )
    test_scores: list[dict[str, Any]]
    coverage: dict[str, float | None] = Field(
        description="Percent of actual values inside the intervals over the folds, by level"
    )
    winkler: dict[str, float | None] = Field(
        description="Score of the intervals over the folds by level, in multiples of the naive forecast's error: width "
        "and a penalty for each actual value outside. The smaller, the better; empty for models of earlier versions"
    )
    wql: float | None = Field(
        description="Weighted quantile loss over the folds in percent of the actual values: one score of forecast and "
        "intervals together. The smaller, the better"
    )
    leaderboard: list[dict[str, Any]]
    forecast: list[dict[str, Any]]
    forecast_rows: int = Field(description="Total number of rows; `series` and `limit` filter `forecast`")
    diagnostics: list[Check]
    facts: dict[str, Any]
    trained_at: datetime | None
    seconds: float | None
    links: Links


class ScheduleIn(Body):
    """A retraining schedule."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_id": "0d4f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
                    "cron": "0 3 * * 1",
                    "timezone": "America/Sao_Paulo",
                    "promote": True,
                }
            ]
        }
    )

    model_id: Annotated[Words, Field(max_length=64)]
    cron: Cron
    timezone: Zone = "UTC"
    enabled: bool = True
    promote: bool = Field(
        False,
        description="Promote the retrained model if its error on the folds is no higher than the champion's",
    )


class ModelScheduleIn(Body):
    """A retraining schedule of this model."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cron": "0 3 * * 1", "timezone": "America/Sao_Paulo"}]})

    cron: Cron
    timezone: Zone = "UTC"
    enabled: bool = True
    promote: bool = False


class ScheduleChange(Body):
    """Changes to a schedule."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False}]})

    cron: Cron | None = None
    timezone: Zone | None = None
    enabled: bool | None = None
    promote: bool | None = None


class ScheduleOut(BaseModel):
    """A schedule."""

    schedule_id: str
    model_id: str
    cron: str
    timezone: str
    enabled: bool
    promote: bool
    next_at: datetime | None
    last_job_id: str | None
    version: int
    created_at: datetime


class ScheduleList(BaseModel):
    """A page of schedules."""

    items: list[ScheduleOut]
    total: int
    page: int
    limit: int
    pages: int
