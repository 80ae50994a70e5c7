"""Bodies of the dataset endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.texts import Free, Prose, Title, Words

Name = Annotated[Title, Field(min_length=1, max_length=200)]
Column = Annotated[Words, Field(min_length=1, max_length=500)]
Columns = Annotated[list[Column], Field(max_length=2000)]
Role = Literal["static", "known_future", "past_only", "exclude"]
ColumnType = Literal["datetime", "numeric", "categorical", "boolean", "text", "id"]
GivenType = Literal["datetime", "numeric", "boolean", "text"]


# --- datasets ---


class Suggestions(BaseModel):
    """Suggested column roles, and why."""

    date_column: str | None
    target_column: str | None
    numeric_columns: list[str]
    series_columns: list[str]
    feature_columns: list[str]
    reasons: dict[str, str] = Field(description="Reasons by column, in the user's language")


class ColumnOut(BaseModel):
    """A column as the upload found it. `unique` is an estimate above two million rows."""

    name: str
    type: ColumnType
    missing: int
    unique: int
    example: str
    format: str = Field(description="Format in the file, such as `decimal comma` or `DD/MM/YYYY`")
    reason: str = Field(description="Why it has this type")


class ColumnChoice(BaseModel):
    """Chosen column roles; null means the suggestion applies."""

    date_column: str | None = None
    target_column: str | None = None
    series_columns: list[str] | None = None
    feature_columns: list[str] | None = None
    exclude_columns: list[str] = []
    freq: str | None = None
    timezone: str | None = None
    roles: dict[str, str] = {}
    duplicates: str = "refuse"
    absent: str = "auto"
    ended: str = "auto"
    trust: list[str] = []


class DatasetOut(BaseModel):
    """A dataset in a list. `version` is for `If-Match` of changes to it; `data_version` numbers the data."""

    dataset_id: str
    name: str
    description: str
    filename: str
    size: int = Field(description="Bytes of the uploaded file")
    rows_count: int
    columns: list[str]
    data_version: int
    config: ColumnChoice
    owner_id: str
    version: int
    created_at: datetime
    updated_at: datetime


class DatasetDetail(DatasetOut):
    """A dataset with everything that its upload detected."""

    detected_types: dict[str, ColumnType]
    given_types: dict[str, GivenType] = Field(description="Types that a user gave to columns")
    suggestions: Suggestions
    rejected_rows: int = Field(description="Rows of the file that could not be read; see `/rejects`")
    notes: list[str] = Field(description="Decisions about the file's format, in the user's language")
    warnings: list[str] = Field(description="Warnings to review before the data is used")
    details: list[ColumnOut]
    fingerprint: str = Field(description="SHA-256 of the current version's file")
    file: dict[str, Any] = Field(
        description="Format of the file: kind, compression, encoding, delimiter, decimal separator"
    )
    split: dict[str, Any]
    preprocess: dict[str, Any]
    features: dict[str, Any]


class UsageOut(BaseModel):
    """Storage used by the user."""

    datasets: int
    rows: int
    total_bytes: int
    quota_bytes: int | None = Field(description="null: no limit")
    remaining_bytes: int | None
    uploads_in_progress: int
    updates_this_week: int
    last_upload_at: datetime | None
    deleted: int = Field(description="Deleted datasets that can be restored")
    deleted_bytes: int = Field(description="Their part of `total_bytes`")


class DatasetChange(Body):
    """Changes to a dataset's name and description."""

    model_config = example({"name": "Vendas 2024", "description": "Loja física e online"})
    name: Name | None = None
    description: Annotated[Prose, Field(max_length=5000)] | None = None


class Types(Body):
    """Types of columns; those that are not named are detected."""

    model_config = example({"types": {"code": "text", "promotion": "boolean"}})
    types: dict[Column, GivenType] = Field(max_length=2000)


class Configure(Body):
    """Column roles.

    Omitted roles return to the suggestion; every column without a role may be a feature.
    """

    model_config = example(
        {
            "date_column": "date",
            "target_column": "sales",
            "feature_columns": ["region", "category"],
            "exclude_columns": ["id"],
        }
    )
    date_column: Column | None = None
    target_column: Column | None = None
    feature_columns: Columns | None = Field(None, description="Only these columns are features; null: all that can be")
    exclude_columns: Columns = []
    series_columns: Columns | None = Field(
        None,
        max_length=10,
        description="Columns that identify the series; [] for a single series, null for the suggestion",
    )
    freq: Annotated[Words, Field(max_length=128)] | None = Field(
        None, description="`D`, `W-SAT`, `MS`, `h`, `monthly`, `h[MON-FRI 10-16]` (open hours), …; null: from the dates"
    )
    timezone: Annotated[Words, Field(max_length=64)] | None = Field(
        None, description="IANA name, such as `America/Sao_Paulo`"
    )
    roles: dict[Column, Role] = {}
    duplicates: Literal["refuse", "sum", "mean", "first", "last"] = Field(
        "refuse", description="How to combine several rows of one series and date"
    )
    absent: Literal["auto", "zero", "missing"] = Field(
        "auto", description="Absent rows are zeros, unknown, or what the evidence says (see the audit)"
    )
    ended: Literal["auto", "omit", "forecast"] = Field(
        "auto", description="Series that ended long before the others: left out (as with `auto`) or forecast"
    )
    trust: Columns = Field(
        [], description="Columns known in advance that are used although they look like copies of the target"
    )


class Configured(DatasetDetail):
    """A dataset after its column roles were set."""

    remarks: list[str] = Field(description="Chosen columns that will not be used, and why")


# --- uploads ---


class Uploaded(DatasetDetail):
    """A new dataset."""


class UploadStart(Body):
    """A chunked upload. The options say how to read the file if detection fails."""

    model_config = example({"filename": "vendas.csv", "size": 2048576, "name": "Vendas"})
    filename: Annotated[Title, Field(min_length=1, max_length=1000)]
    size: int = Field(ge=1, description="Bytes of the whole file")
    name: Name | None = None
    description: Annotated[Prose, Field(max_length=5000)] = ""
    dataset_id: Annotated[Words, Field(max_length=64)] | None = Field(
        None, description="Make the file the next version of this dataset"
    )
    options: Free = Field(
        {},
        description="`encoding, delimiter, quote, decimal, date_order, header, sheet, member, na_values, sentinels`, "
        "`types`",
    )


class UploadOut(BaseModel):
    """Progress of an upload."""

    upload_id: str
    filename: str
    state: Literal["receiving", "converting", "done", "failed"]
    size: int | None
    offset: int = Field(description="Bytes received, which is the offset of the next chunk")
    progress: float = Field(description="Completed share of the current state: of the bytes, then of the conversion")
    dataset_id: str | None
    error: dict[str, Any] | None = Field(description="`detail, code, field, values` of a failed upload")
    created_at: datetime
    updated_at: datetime


class UploadList(BaseModel):
    """The user's recent uploads."""

    items: list[UploadOut]
    total: int
    page: int
    limit: int
    pages: int


class VersionOut(BaseModel):
    """A data version, which is immutable."""

    number: int
    kind: Literal["upload", "preprocess"]
    current: bool
    rows_count: int
    size: int
    fingerprint: str
    steps: list[str]
    created_at: datetime


class VersionList(BaseModel):
    """All data versions, newest first."""

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
