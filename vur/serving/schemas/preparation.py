"""What the endpoint that prepares data takes and gives."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.datasets import Columns, Strict, example
from vur.serving.schemas.texts import Words
from vur.stages.preprocess.cleaning import MISSING

METHODS = [*((method.names or (key,))[0] for key, method in MISSING.items()), "mode"]


class MissingValues(Strict):
    """How gaps are filled."""

    method: Words = Field("auto", description=f"`{', '.join(METHODS)}`")
    columns: Columns | None = Field(None, description="null: the target")


class Outliers(Strict):
    """Which values are outliers, and what becomes of them."""

    method: Words = Field("iqr", description="`iqr, zscore, hampel, none`")
    threshold: float | None = Field(None, gt=0)
    treatment: Words | None = Field(
        None, description="`clip` (default), `replace` (as if missing) or `flag` (count only)"
    )
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
    functions: Annotated[list[Words], Field(max_length=10)] | None = Field(
        None, description="`mean, std, min, max, median`"
    )


class SeasonalFeatures(Strict):
    """Parts of the date."""

    enabled: bool = True
    extract: Annotated[list[Words], Field(max_length=20)] | None = Field(
        None, description="`month, quarter, day_of_week, day, week_of_year, hour, …`"
    )


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

    model_config = example(
        {
            "missing_values": {"method": "forward_fill", "columns": ["sales"]},
            "outliers": {"method": "iqr", "threshold": 1.5, "columns": ["sales"]},
            "normalization": {"method": "minmax", "columns": ["sales"]},
            "feature_engineering": {
                "lag_features": {"enabled": True, "lags": [1, 7, 30]},
                "rolling_features": {"enabled": True, "windows": [7, 30], "functions": ["mean", "std"]},
                "seasonal_features": {"enabled": True, "extract": ["month", "quarter", "day_of_week"]},
            },
        }
    )
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
    features: dict[str, Any] | None = Field(
        description="The features that models will get: `columns`, `rows` (the last five of one series) and `spec`"
    )
    config: dict[str, Any] = Field(
        description="The `preprocess` and `features` sections that models of this dataset will be trained with"
    )
    explanation: str
