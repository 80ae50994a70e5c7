"""Bodies of the dataset endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vur.serving.schemas.texts import Free, Words

Name = Annotated[Words, Field(min_length=1, max_length=200)]
Column = Annotated[Words, Field(min_length=1, max_length=500)]
Columns = Annotated[list[Column], Field(max_length=2000)]
Role = Literal["static", "known_future", "past_only", "exclude"]
ColumnType = Literal["datetime", "numeric", "categorical", "boolean", "text", "id"]


class Strict(BaseModel):
    """A request: a key that is not known is an error, not a wish that is silently not granted."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def example(*contents: dict[str, Any]) -> ConfigDict:
    """The settings of a request with examples."""
    return ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_extra={"examples": list(contents)})


# --- what a dataset looks like ---

class Suggestions(BaseModel):
    """What the columns seem to be, and why."""

    date_column: str | None
    target_column: str | None
    numeric_columns: list[str]
    series_columns: list[str]
    feature_columns: list[str]
    reasons: dict[str, str] = Field(description="Why, by column, in the reader's language")


class ColumnOut(BaseModel):
    """A column as the upload found it. `unique` is an estimate above two million rows."""

    name: str
    type: ColumnType
    missing: int
    unique: int
    example: str
    format: str = Field(description="How the file writes it, such as `decimal comma` or `DD/MM/YYYY`")
    reason: str = Field(description="Why it has this type")


class ColumnChoice(BaseModel):
    """Which columns mean what; null where the suggestion holds."""

    date_column: str | None = None
    target_column: str | None = None
    series_columns: list[str] | None = None
    feature_columns: list[str] | None = None
    exclude_columns: list[str] = []
    freq: str | None = None
    timezone: str | None = None
    roles: dict[str, str] = {}
    duplicates: str = "refuse"


class DatasetOut(BaseModel):
    """A dataset in a list. `version` guards changes of the row (If-Match); `data_version` numbers the data."""

    dataset_id: str
    name: str
    description: str
    filename: str
    size: int = Field(description="Bytes of the file as it was sent")
    rows_count: int
    columns: list[str]
    data_version: int
    config: ColumnChoice
    owner_id: str
    version: int
    created_at: datetime
    updated_at: datetime


class DatasetDetail(DatasetOut):
    """A dataset with everything that its upload found."""

    detected_types: dict[str, ColumnType]
    suggestions: Suggestions
    rejected_rows: int = Field(description="Rows of the file that could not be read; see `/rejects`")
    notes: list[str] = Field(description="What was decided about the file, in the reader's language")
    warnings: list[str] = Field(description="What wants a look before the data are used")
    details: list[ColumnOut]
    fingerprint: str = Field(description="SHA-256 of the file of the present version")
    file: dict[str, Any] = Field(description="How the file is written: kind, compression, encoding, delimiter, decimal sign")
    split: dict[str, Any]
    preprocess: dict[str, Any]
    features: dict[str, Any]


class UsageOut(BaseModel):
    """What the user stores."""

    datasets: int
    rows: int
    total_bytes: int
    quota_bytes: int | None = Field(description="null: no limit")
    remaining_bytes: int | None
    uploads_in_progress: int
    updates_this_week: int
    last_upload_at: datetime | None


class DatasetList(BaseModel):
    """A page of datasets, and what the user stores."""

    items: list[DatasetOut]
    total: int
    page: int
    limit: int
    pages: int
    usage: UsageOut


class DatasetChange(Strict):
    """What may be changed of a dataset itself."""

    model_config = example({"name": "Vendas 2024", "description": "Loja física e online"})
    name: Name | None = None
    description: Annotated[Words, Field(max_length=5000)] | None = None


class Configure(Strict):
    """Which columns mean what. What is left out goes back to the suggestion; every column that is not named may be a feature."""

    model_config = example({"date_column": "date", "target_column": "sales", "feature_columns": ["region", "category"], "exclude_columns": ["id"]})
    date_column: Column | None = None
    target_column: Column | None = None
    feature_columns: Columns | None = Field(None, description="Only these are features; null: all that can be")
    exclude_columns: Columns = []
    series_columns: Columns | None = Field(None, max_length=10, description="Columns that name the series; [] for a single one, null for the suggestion")
    freq: Annotated[Words, Field(max_length=32)] | None = Field(None, description="`D`, `W-SAT`, `MS`, `h`, `monthly`, …; null: from the dates")
    timezone: Annotated[Words, Field(max_length=64)] | None = Field(None, description="IANA name, such as `America/Sao_Paulo`")
    roles: dict[Column, Role] = {}
    duplicates: Literal["refuse", "sum", "mean", "first", "last"] = Field("refuse", description="What becomes of several rows of one series and date")


class Configured(DatasetDetail):
    """A dataset after its columns were chosen."""

    remarks: list[str] = Field(description="Chosen columns that will not be used, and why")


# --- uploads ---

class Uploaded(DatasetDetail):
    """A new dataset."""


class UploadStart(Strict):
    """An upload in pieces. The options say how to read the file where detection would fail."""

    model_config = example({"filename": "vendas.csv", "size": 2048576, "name": "Vendas"})
    filename: Annotated[Words, Field(min_length=1, max_length=1000)]
    size: int = Field(ge=1, description="Bytes of the whole file")
    name: Name | None = None
    description: Annotated[Words, Field(max_length=5000)] = ""
    dataset_id: Annotated[Words, Field(max_length=64)] | None = Field(None, description="Make the file the next version of this dataset")
    options: Free = Field({}, description="`encoding, delimiter, quote, decimal, date_order, header, sheet, member, na_values`")


class UploadOut(BaseModel):
    """How far an upload is."""

    upload_id: str
    filename: str
    state: Literal["receiving", "converting", "done", "failed"]
    size: int | None
    offset: int = Field(description="Bytes that have arrived: where the next piece begins")
    progress: float = Field(description="Share of the present state that is done: of the bytes, then of the conversion")
    dataset_id: str | None
    error: dict[str, Any] | None = Field(description="`detail, code, field, values` of a failed one")
    created_at: datetime
    updated_at: datetime


class UploadList(BaseModel):
    """The user's uploads of the last days."""

    items: list[UploadOut]
    total: int
    page: int
    limit: int
    pages: int


# --- looking at the data ---

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
    series: SeriesStatistics | None = Field(description="null without a date and a target, where no series can be made, and for large tables unless asked for")
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
    known_steps: int | None = Field(description="Steps ahead for which all columns known in the future have values; null without such columns")
    roles: dict[str, str] = {}


class Split(Strict):
    """Where to cut the data, always by time. Sizes are shares (0.15) or steps (30)."""

    model_config = example({"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15, "method": "time_series", "shuffle": False}, {"horizon": 28, "folds": 5})
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
    alignment: str = Field(description="`calendar`: one cutoff date for all series; `per_series`: the same number of steps before each one's end")
    folds: list[FoldOut]
    test_fold: FoldOut | None
    notes: list[str]
    config: dict[str, Any] = Field(description="The `split` section that models of this dataset will be trained with")
    version: int


# --- preparation ---

class MissingValues(Strict):
    """How gaps are filled."""

    method: Words = Field("auto", description="`auto, forward_fill, backward_fill, interpolate, seasonal, mean, median, zero, drop, mode`")
    columns: Columns | None = Field(None, description="null: the target")


class Outliers(Strict):
    """Which values are outliers, and what becomes of them."""

    method: Words = Field("iqr", description="`iqr, zscore, hampel, none`")
    threshold: float | None = Field(None, gt=0)
    treatment: Words | None = Field(None, description="`clip` (default), `replace` (as if missing) or `flag` (count only)")
    columns: Columns | None = None


class Normalization(Strict):
    """The scale that models see the target in."""

    method: Words = Field("standard", description="`minmax, standard, robust, log1p, box_cox, none`")
    columns: Columns | None = None


class LagFeatures(Strict):
    """The target some steps back."""

    enabled: bool = True
    lags: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=200)] | None = None


class RollingFeatures(Strict):
    """Functions of windows of the target."""

    enabled: bool = True
    windows: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=50)] | None = None
    functions: Annotated[list[Words], Field(max_length=10)] | None = Field(None, description="`mean, std, min, max, median`")


class SeasonalFeatures(Strict):
    """Parts of the date."""

    enabled: bool = True
    extract: Annotated[list[Words], Field(max_length=20)] | None = Field(None, description="`month, quarter, day_of_week, day, week_of_year, hour, …`")


class Holidays(Strict):
    """Public holidays of a country, or of a state of it."""

    enabled: bool = True
    country: Annotated[Words, Field(max_length=8)] | None = None
    state: Annotated[Words, Field(max_length=16)] | None = None


class FeatureEngineering(Strict):
    """Columns made from the target's past and from the calendar."""

    lag_features: LagFeatures | None = None
    rolling_features: RollingFeatures | None = None
    seasonal_features: SeasonalFeatures | None = None
    holidays: Holidays | None = None


class Duplicates(Strict):
    """`drop` deletes rows that repeat entirely; `sum, mean, first, last` say what becomes of several rows of one series and date."""

    method: Words = "drop"


class DateRange(Strict):
    """Only rows from `start` to `end`, both included."""

    start: Annotated[Words, Field(max_length=40)] | int | None = None
    end: Annotated[Words, Field(max_length=40)] | int | None = None


class Preprocess(Strict):
    """What to do. What is not mentioned stays as it was."""

    model_config = example({
        "missing_values": {"method": "forward_fill", "columns": ["sales"]}, "outliers": {"method": "iqr", "threshold": 1.5, "columns": ["sales"]},
        "normalization": {"method": "minmax", "columns": ["sales"]},
        "feature_engineering": {"lag_features": {"enabled": True, "lags": [1, 7, 30]},
                                "rolling_features": {"enabled": True, "windows": [7, 30], "functions": ["mean", "std"]},
                                "seasonal_features": {"enabled": True, "extract": ["month", "quarter", "day_of_week"]}}})
    missing_values: MissingValues | None = None
    outliers: Outliers | None = None
    normalization: Normalization | None = None
    feature_engineering: FeatureEngineering | None = None
    duplicates: Duplicates | None = None
    date_range: DateRange | None = None
    drop_columns: Columns | None = None


class Step(BaseModel):
    """Something that was done to rows (`data`), or that each fold's pipeline does (`pipeline`)."""

    where: Literal["data", "pipeline"]
    text: str


class BeforeAfter(BaseModel):
    """The first rows that change."""

    before: list[dict[str, Any]]
    after: list[dict[str, Any]]


class Preprocessed(BaseModel):
    """What was done, and what it changes."""

    dataset_id: str
    version: int = Field(description="Number of the data's present version")
    new_version: bool = Field(description="Whether rows changed, so that there is a new version")
    steps: list[Step]
    counts: dict[str, int]
    warnings: list[str]
    preview: BeforeAfter
    target_preview: BeforeAfter = Field(description="The target as models will see it")
    features: dict[str, Any] | None = Field(description="The features that models will get: `columns`, `rows` (the last five of one series) and `spec`")
    config: dict[str, Any] = Field(description="The `preprocess` and `features` sections that models of this dataset will be trained with")
    explanation: str


class VersionOut(BaseModel):
    """A version of the data; none is ever changed."""

    number: int
    kind: Literal["upload", "preprocess"]
    current: bool
    rows_count: int
    size: int
    fingerprint: str
    steps: list[str]
    created_at: datetime


class VersionList(BaseModel):
    """All versions, the newest first."""

    items: list[VersionOut]
    total: int


class Reject(BaseModel):
    """A row of the file that could not be read."""

    line: int
    cause: str
    text: str


class RejectList(BaseModel):
    """A page of rejected rows."""

    items: list[Reject]
    total: int
    page: int
    limit: int
    pages: int
