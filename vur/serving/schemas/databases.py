"""Bodies of the endpoints for sources of new rows."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from vur.serving.schemas.body import Body
from vur.serving.schemas.texts import Title, Words
from vur.store.feeds.kinds import KINDS

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[*KINDS]
FOLDERS = ", ".join(f"`{name}`" for name, kind in KINDS.items() if kind.reads_folders)
URLS = [kind.url_form for kind in KINDS.values() if kind.is_url]
Name = Annotated[Title, Field(min_length=1, max_length=200)]
Column = Annotated[Words, Field(min_length=1, max_length=200)]
Source = Annotated[Words, Field(min_length=1, max_length=4096)]


class SourceColumns(Body):
    """Roles of the table's columns."""

    date: Column = Field(description="Date, timestamp or integer step of a row")
    target: Column = Field(description="The value to forecast; rows without it are future rows")
    series: list[Column] = Field(
        [], max_length=8, description="Columns that together identify a row's series, in the order of the training data"
    )
    covariates: list[Column] = Field(
        [], max_length=200, description="Further columns of the training data, under the same names"
    )


class DatabaseNew(Body):
    """A source of new rows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Shop",
                    "kind": "sqlite",
                    "source": "shop.sqlite",
                    "table": "sales",
                    "columns": {"date": "day", "target": "sold", "series": ["store"]},
                }
            ]
        },
    )
    name: Name
    kind: Kind
    source: Source = Field(
        description=f"A file (for {FOLDERS} also a folder) inside the allowed folders, or {' or '.join(URLS)}"
    )
    table: Annotated[Words, Field(max_length=200)] = Field(
        "", description="Table or view, qualified by its schema if there are several; none for Parquet"
    )
    columns: SourceColumns

    @model_validator(mode="after")
    def _table(self) -> "DatabaseNew":
        if KINDS[self.kind].has_tables and not self.table:
            raise PydanticCustomError("no_table", "table is required")
        return self


class DatabaseChange(Body):
    """Fields to change; omitted fields stay, including the source and its password."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"table": "sales_2025"}]})
    name: Name | None = None
    source: Source | None = None
    table: Annotated[Words, Field(max_length=200)] | None = None
    columns: SourceColumns | None = None


class Configuration(BaseModel):
    """The configuration of a source."""

    source: str = Field(description="Its address, with the password masked")
    table: str
    columns: SourceColumns


class DatabaseOut(BaseModel):
    """A source of new rows: its status and configuration."""

    id: str
    name: str
    kind: Kind
    status: Literal["connected", "error", "unknown"] = Field(description="Result of the last read")
    error: str | None
    checked_at: datetime | None
    configuration: Configuration
    owner_id: str
    created_at: datetime
    updated_at: datetime
    version: int


class DatabaseList(BaseModel):
    """A page of sources."""

    items: list[DatabaseOut]
    total: int
    page: int
    limit: int
    pages: int


class DatabaseTest(BaseModel):
    """Result of testing a source."""

    ok: bool
    status: Literal["connected", "error"]
    milliseconds: float
    detail: str | None = Field(None, description="Why it cannot be read")
    code: str | None = None
    tables: list[str] = Field([], description="Readable tables and views")
    columns: dict[str, str] = Field({}, description="Columns of the table with their types")
    newest: Any = Field(None, description="Largest value of the date column")


class SourceColumn(BaseModel):
    """A column of a source."""

    name: str
    type: str
    role: Literal["date", "target", "series", "covariate"] | None


class DatabasePreview(BaseModel):
    """The last rows of a source."""

    columns: list[SourceColumn]
    rows: list[dict[str, Any]]
