"""Bodies of the tables, from whose rows a number is predicted."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.models import Parameter
from vur.serving.schemas.monitoring import Page
from vur.serving.schemas.texts import Free, Prose, Title, Words
from vur.serving.schemas.training import Failure

TABLE = "4b1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"
MOST_ROWS = 10_000
Name = Annotated[Words, Field(min_length=1, max_length=500)]
Level = Annotated[float, Field(gt=0, lt=100)]


class TableAlgorithmOut(BaseModel):
    """An algorithm and its hyperparameters."""

    id: str
    name: str
    baseline: bool = Field(description="It ignores the columns; it always takes part, as what others are measured by")
    most_rows: int | None = Field(description="`auto` tries it up to this number of rows; null for any")
    parameters: dict[str, Parameter]


class TableAlgorithms(BaseModel):
    """All algorithms for tables, simplest first."""

    items: list[TableAlgorithmOut]


class Choices(Body):
    """How a table is fitted; what is left out is chosen."""

    algorithms: list[Name] | None = Field(None, max_length=50, description="Ids, or `auto` (default)")
    hyperparameters: dict[str, Free] | None = Field(None, description="By algorithm, then by name")
    folds: int | None = Field(None, ge=2, le=20)
    group: Name | None = Field(None, description="Column whose rows stay in one fold, such as the id of a house")
    time: Name | None = Field(None, description="Column by which later rows are predicted from earlier ones")
    features: list[Name] | None = Field(None, min_length=1, max_length=5_000, description="Default: all other columns")
    trust: list[Name] | None = Field(
        None, max_length=5_000, description="Columns to use although they look like ids or copies of the target"
    )
    metric: Literal["rmse", "mae"] | None = Field(None, description="What the choice is made on; default `rmse`")
    levels: list[Level] | None = Field(None, max_length=10, description="Of the intervals, in percent")
    seed: int | None = Field(None, ge=0, le=2**31 - 1)


class TableNew(Choices):
    """A table to be fitted on a stored dataset."""

    model_config = example(
        {
            "dataset_id": "2c1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
            "target": "price",
            "name": "Flats",
            "algorithms": ["linear", "ridge", "boosting"],
            "hyperparameters": {"boosting": {"rounds": 400}},
        }
    )
    dataset_id: Annotated[Words, Field(min_length=1, max_length=64)]
    dataset_number: int | None = Field(None, ge=1, le=2**31 - 1, description="Default: the current version")
    target: Name = Field(description="Column of numbers to predict")
    name: Annotated[Title, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Default: the dataset's"
    )
    description: Annotated[Prose, Field(max_length=5000)] = ""


class VersionNew(Choices):
    """The next version of a table, fitted on a stored dataset; choices that are left out are those of the last one."""

    model_config = example({"dataset_id": "2c1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a", "folds": 10})
    dataset_id: Annotated[Words, Field(min_length=1, max_length=64)]
    dataset_number: int | None = Field(None, ge=1, le=2**31 - 1)
    target: Name | None = None


class TableChange(Body):
    """Changes to a table: its name, its description, or which version predicts."""

    model_config = example({"name": "Flats in the centre", "number": 1})
    name: Annotated[Title, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Prose, Field(max_length=5000)] | None = None
    number: int | None = Field(None, ge=1, le=2**31 - 1, description="A trained version, which predicts from now on")


class VersionOut(BaseModel):
    """A version of a table."""

    table_id: str
    number: int
    state: str = Field(description="queued, training, trained, failed, cancelled")
    target: str
    source: str = Field(description="Name of the file, empty for a stored dataset")
    dataset_id: str | None
    dataset_number: int | None
    config: dict[str, Any]
    fingerprint: str | None = Field(description="SHA-256 of the data")
    tag: str | None = Field(description="In the model store")
    run_id: str | None
    job_id: str | None
    progress: float = Field(description="Percent")
    eta_seconds: float | None
    stage_name: str
    algorithm: str | None = Field(description="The candidate that was chosen")
    metrics: dict[str, float] | None
    error: Failure | None
    user_id: str
    created_at: datetime
    started_at: datetime | None
    trained_at: datetime | None
    links: dict[str, str]


class VersionList(Page):
    """A page of versions."""

    items: list[VersionOut]


class TableOut(BaseModel):
    """A table with its newest version."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"table_id": TABLE, "name": "Flats", "target": "price"}]})
    table_id: str
    name: str
    description: str
    target: str
    number: int | None = Field(description="The version that predicts; null as long as none is trained")
    newest: VersionOut | None
    owner_id: str
    version: int = Field(description="Of the object, for If-Match")
    created_at: datetime
    updated_at: datetime


class TableList(Page):
    """A page of tables."""

    items: list[TableOut]


class Worded(BaseModel):
    """A column that was set aside, or something to know, in words and as data."""

    model_config = ConfigDict(extra="allow")
    text: str


class ColumnOut(BaseModel):
    """A column that the model needs."""

    name: str
    kind: str = Field(description="number, boolean, category, date")
    levels: list[str] = Field(description="Values of a category, the most frequent first")
    low: float | None = Field(description="Least value in training; of a date in days since 1970")
    high: float | None
    typical: float | None
    missing: int = Field(description="Empty cells in training")


class VersionDetail(VersionOut):
    """A version with all that is known of its fit."""

    logs: list[str] = Field(description="The latest log lines of its job, oldest first")
    says: list[str] = Field(description="What the fit says, in the reader's language")
    columns: list[ColumnOut]
    aside: list[Worded] = Field(description="Columns that are not used, and why")
    notes: list[Worded]
    document: dict[str, Any] | None


class Candidate(BaseModel):
    """A candidate of the comparison."""

    model_config = ConfigDict(extra="allow")
    candidate: str
    algorithm: str
    log: bool = Field(description="It learns the logarithm of the target")
    chosen: bool
    rmse: float
    mae: float
    r2: float | None
    mape: float | None
    skill: float | None = Field(description="Share of the baseline's error that it saves")
    skill_low: float | None = Field(description="With `skill_high`, a 90% interval")
    skill_high: float | None


class TableMetrics(BaseModel):
    """How good a version is, out of fold."""

    table_id: str
    number: int
    target: str
    chosen: str
    verdict: str = Field(description="clear, unsure (it may be chance), none (nothing predicts)")
    metrics: dict[str, float] = Field(description="Of the chosen candidate over the folds")
    held_out: dict[str, float] = Field(description="Choosing anew without each fold that is scored: what to expect")
    coverage: dict[str, float] = Field(description="Percent of the rows inside the intervals of each level")
    leaderboard: list[Candidate]
    importances: list[dict[str, Any]]
    says: list[str]


class FoldOut(BaseModel):
    """A fold of the cross-validation."""

    fold: int
    rows: int
    errors: dict[str, float] = Field(description="Of each candidate, in the metric of the choice")


class RowOut(BaseModel):
    """A row of the training data, predicted by a model that had not seen it."""

    row: int = Field(description="In the source, from 1")
    fold: int
    actual: float
    predictions: dict[str, float] = Field(description="By candidate")


class CrossValidation(Page):
    """The folds, and a page of the predictions out of fold."""

    table_id: str
    number: int
    kind: str = Field(description="content (equal rows together), group, time")
    column: str | None
    metric: str
    folds: list[FoldOut]
    items: list[RowOut]


class TableFigure(BaseModel):
    """A figure as Plotly draws it."""

    table_id: str
    number: int
    kind: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


class PredictRows(Body):
    """Rows to predict."""

    model_config = example({"rows": [{"area": 82.5, "rooms": 3, "district": "Sul", "garage": True}], "levels": [80]})
    rows: list[Free] = Field(min_length=1, max_length=MOST_ROWS)
    levels: list[Level] | None = Field(None, max_length=10, description="Of the intervals; `[]` for none")
    number: int | None = Field(None, ge=1, le=2**31 - 1, description="Version; default: the one that predicts")


class PredictionOut(BaseModel):
    """An answered prediction."""

    prediction_id: str
    table_id: str
    number: int
    kind: str = Field(description="`rows` or `file`")
    source: str
    n_rows: int
    lowest: float
    mean: float
    highest: float
    seconds: float | None
    owner_id: str = Field(description="Who asked")
    request_id: str | None
    created_at: datetime


class Answered(PredictionOut):
    """The answer: one object a row, with `prediction` and the bounds of its intervals."""

    target: str
    predictions: list[dict[str, float]] = Field(description="Of a file, the first 1,000 rows")
    notes: list[Worded] = Field(description="What the model has not seen: new levels, values outside its range")
    links: dict[str, str]


class PredictionDetail(PredictionOut):
    """A prediction of the history, with its first rows."""

    rows: list[dict[str, Any]] = Field(description="`given` and `answer` of the first 1,000 rows")
    notes: list[Worded]


class PredictionList(Page):
    """A page of predictions."""

    items: list[PredictionOut]


class VersionUsage(BaseModel):
    """How a version was used."""

    number: int
    requests: int
    rows: int
    seconds: float | None = Field(description="Mean time of an answer")
    last_at: datetime


class Usage(BaseModel):
    """How a table was used, by version."""

    table_id: str
    requests: int
    rows: int
    items: list[VersionUsage]
