"""Bodies of the endpoints that preview, validate and split data."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.datasets import ColumnType
from vur.serving.schemas.forecasting import Horizon
from vur.serving.schemas.texts import Words


class Preview(BaseModel):
    """A page of rows."""

    dataset_id: str
    data_version: int
    columns: list[str]
    types: dict[str, ColumnType]
    items: list[dict[str, Any]]
    total: int
    page: int
    limit: int
    pages: int


class ColumnStatistics(BaseModel):
    """Statistics of a column. Quartiles are estimates; `top` is the most frequent value of a non-numeric column."""

    column: str
    type: ColumnType
    rows: int
    missing: int
    share_missing: float
    unique: int
    min: float | str | None
    max: float | str | None
    mean: float | None
    std: float | None
    q25: float | None
    median: float | None
    q75: float | None
    zeros: int | None
    top: str | None
    top_count: int | None


class SeriesStatistics(BaseModel):
    """The series of a dataset; `items` contains the first hundred."""

    series: int
    freq: str
    freq_text: str
    start: Any
    end: Any
    horizon: int
    known_steps: int | None
    roles: dict[str, str]
    items: list[dict[str, Any]]


class Statistics(BaseModel):
    """Descriptive statistics of a dataset."""

    dataset_id: str
    data_version: int
    rows_count: int
    columns: list[ColumnStatistics]
    series: SeriesStatistics | None = Field(
        description="null without a date and a target, if no series can be built, and for large tables unless requested"
    )
    series_error: dict[str, Any] | None = None


class Problem(BaseModel):
    """The reason why something cannot be done."""

    code: str
    detail: str


class FindingOut(BaseModel):
    """A finding of the audit, with code that fixes it."""

    code: str
    severity: Literal["error", "warning", "info"]
    series: str | None
    message: str
    count: int
    rows: list[Any]
    repair: str


class Validated(BaseModel):
    """Errors and anomalies in the data, most severe first."""

    dataset_id: str
    data_version: int
    valid: bool = Field(description="Whether no finding is an error and models can be compared")
    can_forecast: bool
    reason: Problem | None = Field(description="Why models cannot be compared on this data")
    counts: dict[str, int]
    total: int
    findings: list[FindingOut] = Field(description="The first 200")
    summary: list[dict[str, Any]] = Field(description="One entry per kind of finding")
    series: int
    freq: str | None
    freq_text: str | None
    start: Any
    end: Any
    horizon: int | None
    known_steps: int | None = Field(
        description="Future steps for which all known-future columns have values; null without such columns"
    )
    roles: dict[str, str] = {}


class Split(Body):
    """How to split the data, always by time. Sizes are shares (0.15) or steps (30)."""

    model_config = example(
        {"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15, "method": "time_series", "shuffle": False},
        {"horizon": 28, "folds": 5},
    )
    train_size: int | float | None = None
    validation_size: int | float | None = None
    test_size: int | float | None = None
    method: Literal["time_series", "time_series_split", "rolling_origin", "expanding", "sliding"] = "time_series"
    shuffle: bool = False
    horizon: Horizon | None = None
    folds: int | None = Field(None, ge=1, le=100)
    step: int | None = Field(None, ge=1)
    gap: int | None = Field(None, ge=0)
    max_train: int | None = Field(None, ge=1)
    validation_start: Annotated[Words, Field(max_length=40)] | int | None = None
    test_start: Annotated[Words, Field(max_length=40)] | int | None = None


class Span(BaseModel):
    """One part of the data."""

    start: Any
    end: Any
    rows: int


class FoldOut(BaseModel):
    """A rolling-origin fold: its training part and its scored part."""

    fold: int
    series: int
    training_rows: int
    training_start: Any
    cutoff: Any
    scored_rows: int
    scored_start: Any
    scored_end: Any


class SplitOut(BaseModel):
    """The split of the data."""

    dataset_id: str
    data_version: int
    method: str
    train: Span
    validation: Span | None
    test: Span | None
    horizon: int
    gap: int
    window: str
    alignment: str = Field(
        description="`calendar`: one cutoff date for all series; `per_series`: equally many steps at each series' end"
    )
    folds: list[FoldOut]
    test_fold: FoldOut | None
    notes: list[str]
    config: dict[str, Any] = Field(description="The `split` section for training models of this dataset")
    version: int


class Curve(BaseModel):
    """A series for a chart: `stamps` and `values` of equal length; a null value is a gap.

    `stamps` are milliseconds since 1970-01-01 on the clock of `timezone` (no clock: of the file), or integers. `rows`
    and what follows it are exact: they count all rows in the range, not only the points sent.
    """

    series: str | None = Field(description="null: the sum of all series")
    stamps: list[int]
    values: list[float | None] = Field(description="Nine significant digits")
    rows: int
    missing: int = Field(description="Rows without a value")
    min: float | None
    max: float | None
    first: int | None
    last: int | None


class Chart(BaseModel):
    """Series for a chart, thinned so that the lowest and the highest value of every stretch stay."""

    dataset_id: str
    data_version: int
    column: str
    date_column: str
    time: Literal["datetime", "integer"]
    timezone: str | None
    items: list[Curve]
    series_names: list[str] = Field(description="Names to choose from, at most 1,000")
    series_count: int
    columns: list[str] = Field(description="Columns that can be drawn")
