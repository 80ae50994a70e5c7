"""What the endpoints that look at data, check and cut them take and give."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.datasets import ColumnType, Strict, example
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
    """A column in numbers. Quartiles are estimates; `top` is the most frequent value of what is no number."""

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
    """The series of a dataset; `items` has the first hundred."""

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
        description="null without a date and a target, where no series can be made, and for large tables unless asked for"
    )
    series_error: dict[str, Any] | None = None


class Problem(BaseModel):
    """Why something cannot be done."""

    code: str
    detail: str


class FindingOut(BaseModel):
    """Something that the audit found, with the code that repairs it."""

    code: str
    severity: Literal["error", "warning", "info"]
    series: str | None
    message: str
    count: int
    rows: list[Any]
    repair: str


class Validated(BaseModel):
    """What is wrong or odd about the data, the gravest first."""

    dataset_id: str
    data_version: int
    valid: bool = Field(description="No finding is an error and models can be compared")
    can_forecast: bool
    reason: Problem | None = Field(description="Why models cannot be compared on these data")
    counts: dict[str, int]
    total: int
    findings: list[FindingOut] = Field(description="The first 200")
    summary: list[dict[str, Any]] = Field(description="One entry a kind of finding")
    series: int
    freq: str | None
    freq_text: str | None
    start: Any
    end: Any
    horizon: int | None
    known_steps: int | None = Field(
        description="Steps ahead for which all columns known in the future have values; null without such columns"
    )
    roles: dict[str, str] = {}


class Split(Strict):
    """Where to cut the data, always by time. Sizes are shares (0.15) or steps (30)."""

    model_config = example(
        {"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15, "method": "time_series", "shuffle": False},
        {"horizon": 28, "folds": 5},
    )
    train_size: int | float | None = None
    validation_size: int | float | None = None
    test_size: int | float | None = None
    method: Literal["time_series", "time_series_split", "rolling_origin", "expanding", "sliding"] = "time_series"
    shuffle: bool = False
    horizon: int | None = Field(None, ge=1, le=100_000)
    folds: int | None = Field(None, ge=1, le=100)
    step: int | None = Field(None, ge=1)
    gap: int | None = Field(None, ge=0)
    max_train: int | None = Field(None, ge=1)
    validation_start: Annotated[Words, Field(max_length=40)] | int | None = None
    test_start: Annotated[Words, Field(max_length=40)] | int | None = None


class Span(BaseModel):
    """A part of the data."""

    start: Any
    end: Any
    rows: int


class FoldOut(BaseModel):
    """One rolling origin: what trains, and what is scored."""

    fold: int
    series: int
    training_rows: int
    training_start: Any
    cutoff: Any
    scored_rows: int
    scored_start: Any
    scored_end: Any


class SplitOut(BaseModel):
    """Where the data are cut."""

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
        description="`calendar`: one cutoff date for all series; `per_series`: the same number of steps before each one's end"
    )
    folds: list[FoldOut]
    test_fold: FoldOut | None
    notes: list[str]
    config: dict[str, Any] = Field(description="The `split` section that models of this dataset will be trained with")
    version: int
