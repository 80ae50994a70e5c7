"""Bodies of the monitoring endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from vur.serving.schemas.body import Body
from vur.serving.schemas.texts import Words

EXAMPLE: JsonValue = {
    "pipeline_id": "8f1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
    "model_id": "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
    "database_id": "2c1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
    "interval_seconds": 2,
}
Id = Annotated[Words, Field(min_length=1, max_length=64)]


class Page(BaseModel):
    """Position of a page in a list."""

    total: int
    page: int
    limit: int
    pages: int


class PipelineStatus(BaseModel):
    """A pipeline and its activity."""

    pipeline_id: str
    name: str
    description: str
    status: str
    step: str
    completed: list[Any]
    dataset_id: str | None
    models: int = Field(description="Models of this pipeline")
    trained_models: int
    active_jobs: int = Field(description="Training jobs that are queued or running")
    active_monitors: int
    last_trained_at: datetime | None
    owner_id: str
    updated_at: datetime


class PipelineStatusList(Page):
    """A page of pipelines."""

    items: list[PipelineStatus]


class Live(BaseModel):
    """Forecasts of the last 90 days compared with actual values, from the ledger."""

    n: int = Field(description="Forecast values that were scored")
    mae: float | None
    rmse: float | None
    smape: float | None
    bias: float | None
    naive_points: int = Field(description="Values for which the seasonal naive forecast is known, too")
    naive_mae: float | None = Field(description="Mean absolute error of the seasonal naive forecast on those values")
    skill: float | None = Field(description="1 minus the error over the naive one on those values: above 0 is better")
    coverage: dict[str, float | None] = Field(description="Percent of the values inside their interval, by level")


class Staleness(BaseModel):
    """Whether a model should be retrained, and why."""

    stale: bool
    reasons: list[Literal["newer_data", "error", "coverage"]] = Field(
        description="`error` and `coverage`: forecasts are worse than in the backtest"
    )
    days_since_training: float | None
    dataset_number: int | None
    newest_dataset_number: int | None


class Evidence(BaseModel):
    """A reason for or against retraining."""

    code: str
    speaks: Literal["for", "against", "note"]
    text: str = Field(description="In the user's language")
    values: dict[str, Any]


class Verdict(BaseModel):
    """Should the model be retrained, and why."""

    retrain: Literal["yes", "no", "not_enough"] = Field(description="`not_enough`: there is not enough evidence")
    headline: str = Field(description="In the user's language")
    reasons: list[Evidence] = Field(description="The weightiest first")
    points: int = Field(description="Forecast values, of anybody, that could be compared with what came")
    skill: float | None = Field(description="Of those values, against the seasonal naive forecast")
    error_ratio: float | None = Field(description="Mean error of those values over that of the training")
    coverage: dict[str, float | None] = Field(description="Percent of those values inside the interval, by level")


class ModelStatus(BaseModel):
    """A trained model and its performance."""

    model_id: str
    name: str
    algorithm: str
    status: str
    family: str
    champion: bool
    tag: str | None
    pipeline_id: str | None
    dataset_id: str | None
    metrics: dict[str, Any]
    trained_at: datetime | None
    staleness: Staleness
    verdict: Verdict = Field(description="Inputs count only if `/monitoring/models/{model_id}/health` compared them")
    live: Live | None = Field(description="null until an actual value arrives for a forecast")
    active_monitors: int
    owner_id: str


class ModelStatusList(Page):
    """A page of trained models."""

    items: list[ModelStatus]


class Threshold(BaseModel):
    """From which value on an alert is raised."""

    kind: str
    value: float | None = Field(description="null: off")
    usual: float | None
    set_by: Literal["usual", "user", "model"]
    unit: str
    least: float
    most: float
    title: str = Field(description="In the user's language")
    help: str = Field(description="In the user's language")


class Thresholds(BaseModel):
    """The thresholds of all of a user's models, or of one model."""

    model_config = ConfigDict(protected_namespaces=())
    model_id: str | None
    items: list[Threshold]


class ThresholdsNew(Body):
    """New thresholds by kind; null turns a kind off. Kinds that are left out stay as they are."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={"examples": [{"values": {"error": 1.4, "age": 90}}, {"values": {"silence": None}}]},
    )
    model_id: Id | None = Field(None, description="Of this model only; default: of all your models")
    values: dict[Annotated[Words, Field(max_length=32)], Annotated[float, Field(allow_inf_nan=False)] | None] = Field(
        min_length=1, max_length=20
    )


class TrainingScores(BaseModel):
    """What the model's folds promised."""

    mae: float | None
    mase: float | None
    skill: float | None
    smape: float | None
    coverage: dict[str, float | None]


class InputColumn(BaseModel):
    """How the values of a column since the training differ from those of the training."""

    name: str
    psi: float | None = Field(None, description="Population stability index, of a column of numbers")
    usual: float | None = Field(None, description="The largest index of the training's own stretches of this length")
    outside: float | None = Field(None, description="Share of values beyond the range of the training")
    unseen: float | None = Field(None, description="Share of values that the training never had, of a column of texts")


class Inputs(BaseModel):
    """The data since the training."""

    rows: int | None = Field(description="Rows after the last one of the training")
    trained_rows: int | None
    columns: list[InputColumn]


class HealthEvidence(BaseModel):
    """The numbers behind the verdict."""

    live: Live | None
    training: TrainingScores
    inputs: Inputs | None = Field(description="null without newer data of the model's dataset")
    age_days: float | None
    dataset_number: int | None
    newest_dataset_number: int | None


class LiveWeek(Live):
    """Live accuracy for target dates in one week."""

    period: str


class ModelHealth(BaseModel):
    """Is the model still good?"""

    model_config = ConfigDict(protected_namespaces=())
    model_id: str
    name: str
    trained_at: datetime | None
    verdict: Verdict
    evidence: HealthEvidence
    moved_columns: list[str]
    history: list[LiveWeek] = Field(description="Oldest first")
    thresholds: list[Threshold]


class MonitorStart(Body):
    """The source to follow, with which model and how often."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    pipeline_id: Id | None = Field(None, description="Default: the model's own pipeline")
    model_id: Id
    database_id: Id
    follow: bool | None = Field(
        None,
        description="Predict with the current champion of the model's family; default: whether the model is it now",
    )
    interval_seconds: float = Field(
        60, ge=1, le=86_400, allow_inf_nan=False, description="Seconds between two reads of the source"
    )


class MonitorStop(Body):
    """The monitor to stop."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"monitor_id": "1a1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"}]})
    monitor_id: Id


class MonitorProblem(BaseModel):
    """A problem of a monitor or of some of its series."""

    code: str
    detail: str
    failures: int | None = Field(None, description="Consecutive failed rounds")
    count: int | None = Field(None, description="Series with a problem; the others continue")
    series: dict[str, str] | None = None


class LastRound(BaseModel):
    """Result of the last round with new rows."""

    forecast_id: str | None
    model_version: str | None
    origin: Any
    observed: int | None = Field(description="New values")
    outside: int | None = Field(description="New values outside the interval of their forecast")
    skipped: int | None = Field(description="Series of the source that the model does not know")


class MonitorOut(BaseModel):
    """Continuous predictions."""

    model_config = ConfigDict(protected_namespaces=())
    monitor_id: str
    status: Literal["running", "failing", "stopped"] = Field(
        description="`failing` is retried automatically with increasing delays"
    )
    pipeline_id: str | None
    model_id: str
    model_name: str | None
    follow: bool = Field(
        description="Whether the champion of the model's family predicts; `last.model_version` is the one that did"
    )
    database_id: str
    database_name: str | None
    interval_seconds: float
    next_run_at: datetime | None
    last_run_at: datetime | None
    predictions: int = Field(description="Number of forecasts so far")
    last: LastRound
    error: MonitorProblem | None
    owner_id: str
    created_at: datetime
    updated_at: datetime
    version: int


class MonitorList(Page):
    """A page of monitors."""

    items: list[MonitorOut]


class Stream(BaseModel):
    """What continuous predictions forecast for one series, and what came, as lists of equal length."""

    model_config = ConfigDict(protected_namespaces=())
    monitor_id: str
    status: Literal["running", "failing", "stopped"]
    series: str | None = Field(description="null before the first forecast")
    series_names: list[str] = Field(description="To choose from, at most 200")
    freq: str | None
    model_version: str | None
    made_at: datetime | None = Field(description="Time of the last forecast")
    time: Literal["datetime", "integer"]
    stamps: list[int] = Field(description="Milliseconds since 1970-01-01 on the clock of the time zone, or integers")
    values: list[float | None] = Field(description="The latest forecast of each stamp")
    actual: list[float | None]
    intervals: dict[str, dict[Literal["lo", "hi"], list[float | None]]]


class Cpu(BaseModel):
    """Processors."""

    percent: float
    cores: int | None
    load: list[float] = Field(description="Load average over 1, 5 and 15 minutes")


class Memory(BaseModel):
    """Memory of the machine, in bytes."""

    percent: float
    total: int
    used: int
    available: int


class Disk(BaseModel):
    """The disk of the data home, in bytes."""

    percent: float
    total: int
    used: int
    free: int
    read_per_second: float
    written_per_second: float


class Network(BaseModel):
    """All network interfaces, in bytes."""

    sent_per_second: float
    received_per_second: float
    sent: int
    received: int


class Process(BaseModel):
    """The service process that answers the request."""

    pid: int
    memory: int = Field(description="Resident memory, in bytes")
    threads: int
    started_at: datetime


class Queues(BaseModel):
    """Queued and running work."""

    queued: int
    running: int
    waiting_since: datetime | None = Field(description="Time when the oldest queued job was queued")
    monitors: dict[str, int] = Field(description="Monitors by status")


class System(BaseModel):
    """Metrics of the machine, this process and the queue."""

    cpu: Cpu
    memory: Memory
    disk: Disk
    network: Network
    process: Process
    queues: Queues
    at: datetime


class SystemHistory(BaseModel):
    """The machine's load over time, as lists of equal length; empty while no worker runs."""

    at: list[datetime]
    cpu: list[float] = Field(description="Percent")
    memory: list[float] = Field(description="Percent")
    disk: list[float] = Field(description="Percent")
    sent: list[float] = Field(description="Bytes a second")
    received: list[float] = Field(description="Bytes a second")
    queued: list[float] = Field(description="Jobs")
    running: list[float] = Field(description="Jobs")


class LogLine(BaseModel):
    """A record of the service's log; it may contain more fields."""

    model_config = ConfigDict(extra="allow")
    timestamp: str | None = None
    level: str | None = None
    event: str | None = None


class Logs(BaseModel):
    """The latest log records, newest first."""

    logs: list[LogLine]
