"""Bodies of the prediction endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

MODEL = "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"
Level = Annotated[float, Field(gt=0, lt=100)]
Cell = str | bool | int | float | None


class Observed(BaseModel):
    """Observations of one series; further lists of the same length are covariates by column name."""

    model_config = ConfigDict(extra="allow")

    timestamps: list[str | int]
    values: list[float | None]

    __pydantic_extra__: dict[str, list[Cell]]


Row = dict[str, Cell]
Names = Annotated[list[str], Field(max_length=10_000)]
Series = dict[str, Observed] | Names | list[Row]


class Forecasting(BaseModel):
    """What to forecast, with the model that the path names."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"horizon": 12, "levels": [80, 95]},
                {
                    "horizon": 7,
                    "series": {"store-1": {"timestamps": ["2024-01-01", "2024-01-02"], "values": [120.0, 118.5]}},
                },
                {
                    "series": ["store-1", "store-2"],
                    "future": [{"date": "2024-01-03", "store": "store-1", "price": 9.9}],
                },
            ]
        }
    )

    horizon: int | None = Field(None, ge=1, le=10_000, description="Steps ahead; as trained by default")
    levels: list[Level] | None = Field(
        None, max_length=20, description="Prediction intervals in percent; as trained by default, `[]` for none"
    )
    series: Series | None = Field(
        None,
        description="Names of series, or all observations since the end of the training data: rows with the "
        "column names of those data, or lists by series. All series by default",
    )
    future: list[Row] | None = Field(
        None,
        description="Coming values of known-future columns: one row a series and step, with the column names "
        "of the training data",
    )


class Prediction(Forecasting):
    """What to forecast, and with which model."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {"model": "sales@champion", "horizon": 12, "levels": [80, 95]},
                {
                    "model": MODEL,
                    "horizon": 7,
                    "series": {"store-1": {"timestamps": ["2024-01-01", "2024-01-02"], "values": [120.0, 118.5]}},
                },
                {
                    "model": "sales:2c2c23614db7-1",
                    "series": ["store-1"],
                    "future": [{"date": "2024-01-03", "store": "store-1", "price": 9.9}],
                },
            ]
        },
    )

    model: str = Field(
        min_length=1,
        max_length=200,
        validation_alias=AliasChoices("model", "model_id"),
        description="A model's id, its exact tag, a family, or `family@champion`",
    )


class Interval(BaseModel):
    """Ends of a prediction interval, one a step."""

    lo: list[float | None]
    hi: list[float | None]


class SeriesForecast(BaseModel):
    """The forecast of one series."""

    origin: str | int = Field(description="The last stamp that the forecast knows")
    timestamps: list[str | int]
    forecast: list[float]
    intervals: dict[str, Interval] = Field(description="By level in percent")


class SeriesError(BaseModel):
    """Why a series has no forecast."""

    detail: str
    code: str
    field: str | None = None
    values: dict[str, Any] = {}


class Answered(BaseModel):
    """A forecast, which the ledger holds under `forecast_id`."""

    model_config = ConfigDict(protected_namespaces=())

    forecast_id: str
    kind: str
    model_id: str
    model_name: str
    model_version: str = Field(description="The exact tag of the model that answered")
    family: str
    run_id: str | None = Field(description="The run whose executed notebook made the model")
    data_version: str | None = Field(
        description="Fingerprint of the training data, and the number of the dataset's version"
    )
    freq: str
    horizon: int
    levels: list[float]
    origin: str | int | None = Field(description="The latest origin of all series")
    created_at: datetime
    forecasts: dict[str, SeriesForecast]
    errors: dict[str, SeriesError] = Field(description="Series that could not be forecast")


# --- the ledger ---


class ForecastOut(BaseModel):
    """The head of an answered forecast."""

    model_config = ConfigDict(protected_namespaces=())

    forecast_id: str
    kind: str = Field(description="`predict`, `real_time`, `batch` or `monitor`")
    model_id: str | None
    model_version: str
    run_id: str | None
    data_version: str | None
    job_id: str | None
    request_id: str | None
    owner_id: str
    freq: str
    horizon: int
    n_series: int
    n_errors: int
    seconds: float | None = Field(description="Time that making it took; 0 where an equal forecast was at hand")
    created_at: datetime


class ForecastList(BaseModel):
    """A page of the ledger."""

    items: list[ForecastOut]
    total: int
    page: int
    limit: int
    pages: int


class LedgerSeries(BaseModel):
    """A forecast as the ledger has it, beside what happened."""

    origin: str | int | None
    timestamps: list[str | int]
    forecast: list[float]
    intervals: dict[str, Interval] = Field(description="By level in percent")
    actual: list[float | None] = Field(description="What happened, as far as it is known")


class ForecastDetail(ForecastOut):
    """An answered forecast with its points."""

    forecasts: dict[str, LedgerSeries]
    errors: dict[str, Any]
    total_series: int = Field(description="Series that the filter leaves, of which `forecasts` holds a page")
    page: int
    limit: int


class Actuals(BaseModel):
    """What happened: rows with the column names of the training data, lists by series, or a dataset that holds them."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {"model": "sales", "series": {"store-1": {"timestamps": ["2024-01-03"], "values": [119.0]}}},
                {"model": "sales", "series": [{"date": "2024-01-03", "store": "store-1", "sales": 119.0}]},
                {"model": "sales", "dataset_id": MODEL},
            ]
        },
    )

    model: str = Field(min_length=1, max_length=200, validation_alias=AliasChoices("model", "model_id"))
    series: dict[str, Observed] | list[Row] | None = None
    dataset_id: str | None = Field(None, max_length=36)


class ScoredOut(BaseModel):
    """What became of actual values."""

    points: int = Field(description="Forecast values that got their actual value")
    matched: int = Field(description="Actual values that a forecast had awaited")
    unmatched: int = Field(description="Actual values that no forecast had awaited")
    drifting: list[str] = Field(description="Models that do worse than their backtest promised")


class Accuracy(BaseModel):
    """How far forecasts were from what happened."""

    n: int = Field(description="Forecast values with an actual value; equal forecasts count once")
    paths: int = Field(description="Forecasts of a series that they come from")
    mae: float | None
    rmse: float | None
    smape: float | None = Field(description="Percent, 0 to 200")
    bias: float | None = Field(description="Mean of forecast minus actual")
    coverage: dict[str, float | None] = Field(
        description="Percent of the actual values inside the interval, by its level"
    )


class HorizonAccuracy(Accuracy):
    """Accuracy of one step."""

    horizon: int


class PeriodAccuracy(Accuracy):
    """Accuracy of the targets of a day, week or month."""

    period: str


class Drift(BaseModel):
    """Whether a model does worse than its backtest promised."""

    drifting: bool
    reasons: list[Literal["error", "coverage"]]
    ratio: float | None = Field(description="Mean absolute error against that of the folds")
    judged: bool = Field(description="Whether there are enough points to tell")


class ModelAccuracy(Accuracy):
    """Accuracy of one model, by step and by period, beside its backtest."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    model_name: str
    model_version: str | None
    champion: bool
    backtest: dict[str, Any]
    drift: Drift
    by_horizon: list[HorizonAccuracy]
    by_period: list[PeriodAccuracy]


class Statistics(BaseModel):
    """Forecasts that were answered, and how good they were."""

    since: datetime
    until: datetime | None
    forecasts: int
    by_kind: dict[str, int]
    points: int
    scored: int
    models: list[ModelAccuracy]


# --- batches ---


class Batch(BaseModel):
    """A forecast in bulk: of all series as trained, or from the ends of the observations in a dataset or in `series`."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {"model": "sales@champion", "horizon": 28, "output": "parquet"},
                {"model": "sales@champion", "dataset_id": MODEL, "horizon": 28, "levels": [80, 95], "output": "csv"},
            ]
        },
    )

    model: str = Field(min_length=1, max_length=200, validation_alias=AliasChoices("model", "model_id"))
    dataset_id: str | None = Field(None, max_length=36)
    series: dict[str, Observed] | list[Row] | None = Field(
        None, validation_alias=AliasChoices("series", "rows", "data")
    )
    horizon: int | None = Field(None, ge=1, le=10_000)
    levels: list[Level] | None = Field(None, max_length=20)
    output: Literal["csv", "parquet"] = "csv"


class BatchStarted(BaseModel):
    """A batch that was queued."""

    model_config = ConfigDict(protected_namespaces=())

    job_id: str
    status: str
    model_id: str
    model_version: str


class BatchOut(BatchStarted):
    """Where a batch stands; with its result once it succeeded."""

    progress: float = Field(description="Percent")
    stage: str
    eta_seconds: float | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    files: list[str] = Field(description="What /download?file=NAME gives")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


# --- champions ---


class Promote(BaseModel):
    """Why."""

    reason: str = Field("", max_length=500)


class ChampionOut(BaseModel):
    """The model that answers for a family."""

    model_config = ConfigDict(protected_namespaces=())

    family: str
    model_id: str
    model_name: str
    model_version: str
    previous_id: str | None = Field(description="The champion before")


class Move(BaseModel):
    """One move of the champion."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    previous_id: str | None
    user_id: str
    reason: str
    rollback: bool
    created_at: datetime


class Moves(BaseModel):
    """The moves of a family's champion, the newest first."""

    family: str
    champion: str | None
    items: list[Move]
