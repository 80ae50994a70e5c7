"""Bodies of the prediction endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from vur.serving.schemas.body import Body
from vur.serving.schemas.forecasting import Horizon, Level
from vur.serving.schemas.texts import Line

MODEL = "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"
Cell = str | bool | int | float | None


class Observed(Body):
    """Observations of one series; additional lists of the same length are covariates by column name."""

    model_config = ConfigDict(extra="allow")

    timestamps: list[str | int]
    values: list[float | None]

    __pydantic_extra__: dict[str, list[Cell]]


Row = dict[str, Cell]
Names = Annotated[list[str], Field(max_length=10_000)]
Series = dict[str, Observed] | Names | list[Row]


def plain(series: Any) -> Any:
    """Return blocks of observations as plain lists."""
    return {id: dict(block) for id, block in series.items()} if isinstance(series, dict) else series


class Forecasting(Body):
    """A forecast request for the model in the path."""

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

    horizon: Horizon | None = Field(None, description="Steps ahead; as trained by default")
    levels: list[Level] | None = Field(
        None, max_length=20, description="Prediction intervals in percent; as trained by default, `[]` for none"
    )
    whole: bool | None = Field(
        None, description="Whole numbers that keep the sum of each series within a half; as trained by default"
    )
    series: Series | None = Field(
        None,
        description="Series names, or all observations since the end of the training data: rows with the "
        "column names of that data, or lists by series. All series by default",
    )
    future: list[Row] | None = Field(
        None,
        description="Future values of known-future columns: one row per series and step, with the column names "
        "of the training data",
    )


class Prediction(Forecasting):
    """A forecast request with its model."""

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
    """Bounds of a prediction interval, one per step."""

    lo: list[float | None]
    hi: list[float | None]


class SeriesForecast(BaseModel):
    """The forecast of one series."""

    origin: str | int = Field(description="The last observed timestamp, where the forecast starts")
    timestamps: list[str | int]
    forecast: list[float] = Field(description="The value of each step: see `point`")
    intervals: dict[str, Interval] = Field(description="Bounds by level in percent")


class SeriesError(BaseModel):
    """The reason why a series has no forecast."""

    detail: str
    code: str
    field: str | None = None
    values: dict[str, Any] = {}


class Answered(BaseModel):
    """A forecast, stored in the ledger as `forecast_id`."""

    model_config = ConfigDict(protected_namespaces=())

    forecast_id: str
    kind: str
    model_id: str
    model_name: str
    model_version: str = Field(description="The exact tag of the model that answered")
    family: str
    run_id: str | None = Field(description="The run whose executed notebook produced the model")
    data_version: str | None = Field(
        description="Fingerprint of the training data, and the number of the dataset's version"
    )
    freq: str
    horizon: int
    levels: list[float]
    point: Literal["mean", "median"] = Field(
        description="What `forecast` is: the expected value, so that its sums are, too; a median only where parameters "
        "of the model ask for an absolute error"
    )
    whole: bool = Field(description="Whether the forecasts are shown as whole numbers")
    origin: str | int | None = Field(description="The latest origin of all series")
    created_at: datetime
    forecasts: dict[str, SeriesForecast]
    errors: dict[str, SeriesError] = Field(description="Series that could not be forecast")
    warnings: list[str] = Field(
        default_factory=list, description="What to know of the forecast, such as a level that training never held"
    )


# --- the ledger ---


class ForecastOut(BaseModel):
    """Summary of an answered forecast."""

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
    seconds: float | None = Field(description="Seconds to compute it; 0 if an equal forecast was cached")
    created_at: datetime


class ForecastList(BaseModel):
    """A page of the ledger."""

    items: list[ForecastOut]
    total: int
    page: int
    limit: int
    pages: int


class LedgerSeries(BaseModel):
    """A forecast in the ledger, with actual values."""

    origin: str | int | None
    timestamps: list[str | int]
    forecast: list[float]
    intervals: dict[str, Interval] = Field(description="Bounds by level in percent")
    actual: list[float | None] = Field(description="Actual values, null if unknown")


class ForecastDetail(ForecastOut):
    """An answered forecast with its points."""

    forecasts: dict[str, LedgerSeries]
    errors: dict[str, Any]
    total_series: int = Field(
        description="Number of series that match the filter; `forecasts` contains one page of them"
    )
    page: int
    limit: int


class Actuals(Body):
    """Actual values: rows with the column names of the training data, lists by series, or a dataset."""

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
    """Result of sending actual values."""

    points: int = Field(description="Forecast values matched with an actual value")
    matched: int = Field(description="Actual values with a matching forecast")
    unmatched: int = Field(description="Actual values without a matching forecast")
    drifting: list[str] = Field(description="Models that perform worse than in their backtest")
    warnings: list[str] = Field(default_factory=list, description="Names in the rows that are no column of the model")


class Accuracy(BaseModel):
    """Forecast errors against actual values."""

    n: int = Field(description="Forecast values with an actual value; duplicate forecasts count once")
    paths: int = Field(description="Number of single-series forecasts they come from")
    mae: float | None
    rmse: float | None
    smape: float | None = Field(description="Percent, 0 to 200")
    bias: float | None = Field(description="Mean of forecast minus actual")
    naive_points: int = Field(description="Values for which the seasonal naive forecast is known, too")
    naive_mae: float | None = Field(description="Mean absolute error of the seasonal naive forecast on those values")
    skill: float | None = Field(description="1 minus the error over the naive one on those values: above 0 is better")
    coverage: dict[str, float | None] = Field(description="Percent of the actual values inside the interval, by level")


class HorizonAccuracy(Accuracy):
    """Accuracy at one step of the horizon."""

    horizon: int


class PeriodAccuracy(Accuracy):
    """Accuracy for target dates in one day, week or month."""

    period: str


class Drift(BaseModel):
    """Whether a model performs worse than in its backtest."""

    drifting: bool
    reasons: list[Literal["error", "coverage"]]
    ratio: float | None = Field(description="Mean absolute error relative to that of the folds")
    judged: bool = Field(description="Whether there are enough points to judge")


class ModelAccuracy(Accuracy):
    """Accuracy of one model by step and by period, compared with its backtest."""

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
    """Answered forecasts and their accuracy."""

    since: datetime
    until: datetime | None
    forecasts: int
    by_kind: dict[str, int]
    points: int
    scored: int
    models: list[ModelAccuracy]


# --- batches ---


class Batch(Body):
    """A batch forecast of all series, as trained or from the end of the observations in a dataset or in `series`."""

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
    horizon: Horizon | None = None
    levels: list[Level] | None = Field(None, max_length=20)
    whole: bool | None = Field(
        None, description="Whole numbers that keep the sum of each series within a half; as trained by default"
    )
    output: Literal["csv", "parquet"] = "csv"


class BatchStarted(BaseModel):
    """A queued batch."""

    model_config = ConfigDict(protected_namespaces=())

    job_id: str
    status: str
    model_id: str
    model_version: str


class BatchQueued(BatchStarted):
    """A queued batch, and what to know of its rows."""

    warnings: list[str] = Field(default_factory=list, description="Names in the rows that are no column of the model")


class BatchOut(BatchStarted):
    """Status of a batch; with its result once it has succeeded."""

    progress: float = Field(description="Percent")
    stage: str
    eta_seconds: float | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    files: list[str] = Field(description="Files for /download?file=NAME")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


# --- champions ---


class Promote(Body):
    """Why."""

    reason: Annotated[Line, Field(max_length=500)] = ""


class ChampionOut(BaseModel):
    """The champion, which is the model that answers for a family."""

    model_config = ConfigDict(protected_namespaces=())

    family: str
    model_id: str
    model_name: str
    model_version: str
    previous_id: str | None = Field(description="The previous champion")


class Move(BaseModel):
    """One change of the champion."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    previous_id: str | None
    user_id: str
    reason: str
    rollback: bool
    created_at: datetime


class Moves(BaseModel):
    """Changes of a family's champion, newest first."""

    family: str
    champion: str | None
    items: list[Move]
