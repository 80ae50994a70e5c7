"""Bodies of storage: who uses a dataset, deleted ones, disk usage, and two versions compared."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.datasets import DatasetOut, UsageOut


class Standing(BaseModel):
    """Who owns and who uses a dataset, and what the caller may do with it."""

    owner: str = Field(description="Full name or user name")
    right: Literal["own", "edit", "view"] = Field(description="What you may do; `own` also deletes and shares")
    versions: int
    stored_bytes: int = Field(description="The uploaded file and the tables of all versions, as the quota counts them")
    models: int = Field(description="Models that were made from it, of all users")
    pipelines: int
    shares: int | None = Field(description="People with a right to it; null where it is not yours")
    last_used_at: datetime | None = Field(description="Newest job or model; null before the first")


class DatasetRow(DatasetOut, Standing):
    """A dataset in the list."""


class DatasetList(BaseModel):
    """A page of datasets, and the user's storage."""

    items: list[DatasetRow]
    total: int
    page: int
    limit: int
    pages: int
    usage: UsageOut


class UsingModel(BaseModel):
    """A model that was made from a dataset."""

    model_id: str
    name: str
    algorithm: str
    status: str
    dataset_version: int | None
    created_at: datetime


class UsingPipeline(BaseModel):
    """A pipeline over a dataset."""

    pipeline_id: str
    name: str
    status: str
    step: str
    updated_at: datetime


class DatasetUse(Standing):
    """Who owns and uses a dataset; the lists hold what you may see, at most the newest hundred."""

    dataset_id: str
    used_by_models: list[UsingModel]
    used_by_pipelines: list[UsingPipeline]


class DeletedDataset(BaseModel):
    """A deleted dataset that can be restored until `forgotten_at`."""

    dataset_id: str
    name: str
    filename: str
    rows_count: int
    stored_bytes: int
    owner: str
    owner_id: str
    version: int
    deleted_at: datetime
    forgotten_at: datetime = Field(description="After this its files are deleted for ever")


class DeletedList(BaseModel):
    """A page of deleted datasets."""

    items: list[DeletedDataset]
    total: int
    page: int
    limit: int
    pages: int


class StoredDataset(BaseModel):
    """The disk that a dataset takes."""

    dataset_id: str
    name: str
    versions: int
    stored_bytes: int
    deleted_at: datetime | None = Field(description="A deleted dataset counts until it is forgotten")


class StoredUser(BaseModel):
    """The disk that a user's datasets take."""

    user_id: str
    email: str
    datasets: int
    total_bytes: int
    quota_bytes: int | None


class DataHome(BaseModel):
    """The disk of the data home."""

    total_bytes: int
    free_bytes: int
    parts: dict[str, int] = Field(description="Bytes by part: datasets, results, models (`bentoml`), cache, …")
    measured_at: datetime = Field(description="The files are looked at once a minute")


class Storage(BaseModel):
    """Disk usage: yours, by dataset, and for administrators of all users and of the data home."""

    usage: UsageOut
    datasets: list[StoredDataset] = Field(description="Your hundred largest, the largest first")
    users: list[StoredUser] | None = Field(description="null unless you are an administrator")
    home: DataHome | None = Field(description="null unless you are an administrator")
    keep_deleted_days: int = Field(description="Days in which a deleted dataset can be restored; 0: it never can")
    max_upload_bytes: int = Field(description="Size of the largest file that is taken")


# --- two versions ---


class ChangedRows(BaseModel):
    """How many rows changed, and how many there are in either version."""

    added: int
    removed: int
    changed: int
    unchanged: int
    rows_old: int
    rows_new: int


class Totals(BaseModel):
    """A column of one version; sum and mean of numbers."""

    missing: int
    sum: float | None
    mean: float | None


class ChangedColumn(BaseModel):
    """A column that both versions have."""

    column: str
    old_type: str
    new_type: str
    changed: int = Field(description="Rows whose cell changed")
    old: Totals
    new: Totals


class Range(BaseModel):
    """The first and the last date of a version; null without a date column."""

    first: str | float | None
    last: str | float | None


class Ranges(BaseModel):
    """The range of dates of either version."""

    old: Range
    new: Range


class ChangedRow(BaseModel):
    """A row that changed: its key, and the cells before and after; of a changed row only those that differ."""

    change: Literal["added", "removed", "changed"]
    key: dict[str, Any]
    old: dict[str, Any] | None
    new: dict[str, Any] | None


class Comparison(BaseModel):
    """What changed between two versions."""

    dataset_id: str
    from_version: int
    to_version: int
    keys: list[str] = Field(description="Columns that identify a row: date and series; empty: whole rows are compared")
    counts: ChangedRows
    columns_added: list[str]
    columns_removed: list[str]
    columns_not_compared: int = Field(description="Common columns beyond the first 200, whose cells were not compared")
    columns: list[ChangedColumn]
    range: Ranges
    rows: list[ChangedRow] = Field(description="The first ones of each kind")
