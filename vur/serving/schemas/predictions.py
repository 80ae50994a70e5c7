"""Bodies of the prediction endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

MODEL = "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"
Level = Annotated[float, Field(gt=0, lt=100)]


class Observed(BaseModel):
    """Observations of one series; further lists of the same length are covariates by column name."""

    model_config = ConfigDict(extra="allow")

    timestamps: list[str | int]
    values: list[float | None]

    __pydantic_extra__: dict[str, list[Any]]


Row = dict[str, Any]
Series = dict[str, Observed] | list[str] | list[Row]


class Forecasting(BaseModel):
    """What to forecast, with the model that the path names."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"horizon": 12, "levels": [80, 95]},
        {"horizon": 7, "series": {"store-1": {"timestamps": ["2024-01-01", "2024-01-02"], "values": [120.0, 118.5]}}},
        {"series": ["store-1", "store-2"], "future": [{"date": "2024-01-03", "store": "store-1", "price": 9.9}]}]})

    horizon: int | None = Field(None, ge=1, le=10_000, description="Steps ahead; as trained by default")
    levels: list[Level] | None = Field(None, max_length=20, description="Prediction intervals in percent; as trained by default, `[]` for none")
    series: Series | None = Field(None, description="Names of series, or all observations since the end of the training data: rows with the "
                                                    "column names of those data, or lists by series. All series by default")
    future: list[Row] | None = Field(None, description="Coming values of known-future columns: one row a series and step, with the column names of the training data")


class Prediction(Forecasting):
    """What to forecast, and with which model."""

    model_config = ConfigDict(protected_namespaces=(), json_schema_extra={"examples": [
        {"model": "sales@champion", "horizon": 12, "levels": [80, 95]},
        {"model": MODEL, "horizon": 7, "series": {"store-1": {"timestamps": ["2024-01-01", "2024-01-02"], "values": [120.0, 118.5]}}},
        {"model": "sales:2c2c23614db7-1", "series": ["store-1"], "future": [{"date": "2024-01-03", "store": "store-1", "price": 9.9}]}]})

    model: str = Field(min_length=1, max_length=200, validation_alias=AliasChoices("model", "model_id"),
                       description="A model's id, its exact tag, a family, or `family@champion`")


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
    data_version: str | None = Field(description="Fingerprint of the training data, and the number of the dataset's version")
    freq: str
    horizon: int
    levels: list[float]
    origin: str | int | None = Field(description="The latest origin of all series")
    created_at: datetime
    forecasts: dict[str, SeriesForecast]
    errors: dict[str, SeriesError] = Field(description="Series that could not be forecast")
