"""Bodies of the endpoint that prepares data."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.datasets import Columns
from vur.serving.schemas.texts import Words
from vur.stages.preprocess.cleaning import MISSING

METHODS = [*((method.names or (key,))[0] for key, method in MISSING.items()), "mode"]


class MissingValues(Body):
    """Treatment of missing values."""

    method: Words = Field("auto", description=f"`{', '.join(METHODS)}`")
    columns: Columns | None = Field(None, description="null: the target")


class Outliers(Body):
    """Detection and treatment of outliers."""

    method: Words = Field("iqr", description="`iqr, zscore, hampel, none`")
    threshold: float | None = Field(None, gt=0)
    treatment: Words | None = Field(
        None, description="`clip` (default), `replace` (treat as missing) or `flag` (count only)"
    )
    columns: Columns | None = None


class Normalization(Body):
    """Scaling of the target for the models."""

    method: Words = Field("standard", description="`minmax, standard, robust, log1p, box_cox, none`")
    columns: Columns | None = None


class LagFeatures(Body):
    """Lags of the target."""

    enabled: bool = True
    lags: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=200)] | None = None


class RollingFeatures(Body):
    """Rolling-window statistics of the target."""

    enabled: bool = True
    windows: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=50)] | None = None
    functions: Annotated[list[Words], Field(max_length=10)] | None = Field(
        None, description="`mean, std, min, max, median`"
    )


class SeasonalFeatures(Body):
    """Calendar features of the date."""

    enabled: bool = True
    extract: Annotated[list[Words], Field(max_length=20)] | None = Field(
        None, description="`month, quarter, day_of_week, day, week_of_year, hour, …`"
    )


class Holidays(Body):
    """Public holidays of a country or of one of its states."""

    enabled: bool = True
    country: Annotated[Words, Field(max_length=8)] | None = None
    state: Annotated[Words, Field(max_length=16)] | None = None


class FeatureEngineering(Body):
    """Features from the target's past and from the calendar."""

    lag_features: LagFeatures | None = None
    rolling_features: RollingFeatures | None = None
    seasonal_features: SeasonalFeatures | None = None
    holidays: Holidays | None = None


class Duplicates(Body):
    """`drop` removes fully duplicate rows; `sum, mean, first, last` combine several rows of one series and date."""

    method: Words = "drop"


class DateRange(Body):
    """Keep only rows from `start` to `end`, both inclusive."""

    start: Annotated[Words, Field(max_length=40)] | int | None = None
    end: Annotated[Words, Field(max_length=40)] | int | None = None


class Preprocess(Body):
    """Preparation steps. Omitted steps keep their current settings."""

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
    absent: Literal["auto", "zero", "missing"] | None = Field(
        None, description="Absent rows are zeros, unknown, or what the evidence says (see the audit)"
    )
    ended: Literal["auto", "omit", "forecast"] | None = Field(
        None, description="Series that ended long before the others: left out (as with `auto`) or forecast"
    )
    date_range: DateRange | None = None
    drop_columns: Columns | None = None


class Step(BaseModel):
    """An operation applied to the rows (`data`) or by the pipeline in each fold (`pipeline`)."""

    where: Literal["data", "pipeline"]
    text: str


class BeforeAfter(BaseModel):
    """The first changed rows."""

    before: list[dict[str, Any]]
    after: list[dict[str, Any]]


class Preprocessed(BaseModel):
    """Result of the preparation."""

    dataset_id: str
    version: int = Field(description="Number of the current data version")
    new_version: bool = Field(description="Whether rows changed and a new data version was created")
    steps: list[Step]
    counts: dict[str, int]
    warnings: list[str]
    preview: BeforeAfter
    target_preview: BeforeAfter = Field(description="The target after preprocessing, as models see it")
    features: dict[str, Any] | None = Field(
        description="Features for the models: `columns`, `rows` (the last five of one series) and `spec`"
    )
    config: dict[str, Any] = Field(
        description="The `preprocess` and `features` sections for training models of this dataset"
    )
    explanation: str
