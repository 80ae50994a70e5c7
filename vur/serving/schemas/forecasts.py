"""Bodies of the endpoints about a model's forecasts: history, vintages, reasons, what-if, overrides, publications."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vur.languages import LanguageCode
from vur.serving.schemas.body import Body
from vur.serving.schemas.forecasting import Horizon
from vur.serving.schemas.predictions import Interval
from vur.serving.schemas.texts import Line, Title

Stamp = str | int
Values = list[int | float | None]


class Curve(BaseModel):
    """Values by date, fewer than all where there are many: every extreme that a chart can show is kept."""

    timestamps: list[Stamp]
    values: Values
    count: int = Field(description="Values in the range, the missing ones included")
    missing: int
    thinned: bool = Field(description="Whether values were left out")


class ObservedCurve(Curve):
    """The values that a model was trained on."""

    first: Stamp | None = Field(description="First date of all values, whatever range was asked for")
    last: Stamp | None = Field(description="Last date of all values")


class Outlook(BaseModel):
    """The current forecast: of the model, or a later one of the ledger."""

    source: Literal["model", "ledger"]
    forecast_id: str | None
    created_at: datetime | None
    origin: Stamp | None = Field(description="The last observed date, where the forecast starts")
    timestamps: list[Stamp]
    forecast: Values = Field(description="The value of the model")
    intervals: dict[str, Interval] = Field(description="Bounds by level in percent; none for a sum of series")
    override: Values = Field(description="The value that a person put in its place; null where nobody did")
    official: Values = Field(description="The override where there is one, else the value of the model")


class History(BaseModel):
    """Observed values and current forecast of one series, or of the sum of all."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    model_name: str
    model_version: str
    algorithm: str
    series: str | None = Field(description="null for the sum of all series")
    n_series: int
    target: str
    freq: str
    timezone: str | None
    season: int
    horizon: int
    levels: list[float]
    point: Literal["mean", "median"]
    whole: bool
    history: ObservedCurve
    later: Curve = Field(description="Values that came after the end of the training data")
    forecast: Outlook | None = Field(description="null if none can be made: see `warnings`")
    warnings: list[str]


class Errors(BaseModel):
    """Errors of past forecasts where the actual value is known."""

    n: int
    mae: float | None
    bias: float | None = Field(description="Mean of forecast minus actual")
    coverage: float | None = Field(description="Percent of the actual values inside the interval")


class Issue(Errors):
    """One past forecast of the series and what came."""

    model_config = ConfigDict(protected_namespaces=())

    source: Literal["ledger", "backtest"] = Field(description="`backtest`: a fold of the training")
    forecast_id: str | None
    model_version: str
    issued_at: datetime | None
    origin: Stamp | None
    timestamps: list[Stamp]
    forecast: Values
    lo: Values
    hi: Values
    actual: Values


class Ahead(Errors):
    """What was forecast a fixed number of steps ahead, by date."""

    lead: int
    timestamps: list[Stamp]
    forecast: Values
    lo: Values
    hi: Values
    actual: Values
    source: list[Literal["ledger", "backtest"]]


class LeadErrors(Errors):
    """Errors of the listed issues at one step ahead."""

    source: Literal["ledger", "backtest"]
    lead: int


class Vintages(BaseModel):
    """Past forecasts of a series against what came later."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    series: str | None
    freq: str
    horizon: int
    level: float | None = Field(description="Level of the interval `lo`, `hi`")
    issues: list[Issue] = Field(description="Newest first")
    lead: Ahead | None
    by_lead: list[LeadErrors]


class SeriesErrors(BaseModel):
    """One series of a model and its errors; null where they are unknown."""

    series: str
    n: int = Field(description="Values forecast over the folds")
    mae: float | None
    wape: float | None = Field(description="Absolute errors in percent of the actual values")
    bias: float | None
    skill: float | None = Field(description="1 minus the error relative to that of the naive reference of the training")
    share: float | None = Field(description="Percent of the absolute errors of all series, sums left out")
    level: float | None = Field(description="Mean size of the actual values over the folds")
    live_n: int = Field(description="Answered forecasts with a known actual value")
    live_mae: float | None
    live_bias: float | None
    overrides: int = Field(description="Dates with an override in force")


class SeriesList(BaseModel):
    """A page of the series of a model."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    items: list[SeriesErrors]
    total: int
    page: int
    limit: int
    pages: int


class Part(BaseModel):
    """What one part adds to the usual level of the series."""

    label: str
    contribution: float


class Member(BaseModel):
    """One algorithm of an ensemble."""

    algorithm: str
    value: float
    weight: float


class Why(BaseModel):
    """One forecast and its parts: the usual level and all contributions add up to it."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    series: str
    timestamp: Stamp
    step: int
    algorithm: str
    forecast: float
    baseline: float = Field(description="The usual level of the series: the mean of its last season")
    digits: int
    parts: list[Part]
    members: list[Member] = Field(description="Of an ensemble")
    sentences: list[str] = Field(description="The same in words")
    method: list[str] = Field(description="Where the parts come from, for readers who know the methods")


# --- what if ---


class FutureColumn(BaseModel):
    """A column whose values are known for the future."""

    name: str
    kind: Literal["number", "text"]
    used: bool = Field(description="Whether forecasts of this model depend on it")
    unclear: str | None = Field(description="Why they do not: `chance`, `constant`, `unused` …")
    low: float | None = Field(description="Lowest value in training")
    high: float | None
    levels: list[str] = Field(description="The texts that training held")
    values: list[Any] = Field(description="Its values over the horizon, null where unknown")


class FutureColumns(BaseModel):
    """The known-future columns of a model over its horizon."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    series: str | None
    horizon: int
    timestamps: list[Stamp]
    columns: list[FutureColumn]


Change = str | float | list[float | str] | dict[str, Any]


class WhatIf(Body):
    """Changes of known-future columns."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"series": "store-1", "changes": {"price": "-10%", "promotion": 1}},
                {"changes": {"price": {"change": "*1.2", "start": "2024-01-03", "end": "2024-01-05"}}},
            ]
        }
    )

    series: str | None = Field(None, max_length=500, description="One series; the sum of all by default")
    horizon: Horizon | None = None
    changes: dict[Annotated[str, Field(max_length=500)], Change] = Field(
        min_length=1,
        max_length=100,
        description="By column: a value, `=3`, `+5`, `-5`, `*1.2`, `+10%`, `-10%`, a list with a value for each step, "
        "or an object with `change` and `start`, `end`",
    )


class WhatIfOut(BaseModel):
    """The forecast with the changes and without."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    series: str | None
    horizon: int
    timestamps: list[Stamp]
    baseline: Values
    forecast: Values
    intervals: dict[str, Interval]
    baseline_total: float
    total: float
    difference: float
    percent: float | None
    warnings: list[str] = Field(description="Why the difference may be other than the true one")


# --- overrides ---


class OverrideIn(Body):
    """A value, or a factor, in place of a forecast."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "series": "store-1",
                    "start": "2024-01-03",
                    "end": "2024-01-05",
                    "factor": 1.2,
                    "reason": "The street festival is not in the data",
                },
                {"series": "store-1", "start": "2024-01-03", "value": 150, "reason": "Order of a large customer"},
            ]
        }
    )

    series: str | None = Field(None, max_length=500, description="Needed where the model has several")
    start: Annotated[Line, Field(min_length=1, max_length=40)] = Field(description="First date")
    end: Annotated[Line, Field(min_length=1, max_length=40)] | None = Field(None, description="Last date")
    value: float | None = Field(None, ge=-1e300, le=1e300)
    factor: float | None = Field(None, ge=0, le=1_000)
    reason: Annotated[Title, Field(min_length=3, max_length=500)]


class Withdraw(Body):
    """Why a change is withdrawn."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The festival was cancelled"}]})

    reason: Annotated[Line, Field(max_length=500)] = ""


class OverridePoint(BaseModel):
    """One date of a change."""

    timestamp: Stamp
    forecast: float = Field(description="The value of the model when it was overridden")
    override: float
    actual: float | None
    in_force: bool = Field(description="Whether it counts: neither withdrawn nor replaced by a newer one")


class OverrideOut(BaseModel):
    """A change of a forecast by a person."""

    model_config = ConfigDict(protected_namespaces=())

    override_id: str
    model_id: str
    series: str
    state: Literal["active", "withdrawn", "replaced"]
    author_id: str
    author: str
    created_at: datetime
    reason: str
    value: float | None
    factor: float | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    withdrawn_reason: str | None
    points: list[OverridePoint]


class ValueAdded(BaseModel):
    """What overrides in force were worth where the actual value is known."""

    model_config = ConfigDict(protected_namespaces=())

    n: int = Field(description="Dates with an actual value")
    model_mae: float | None = Field(description="Mean absolute error of the model")
    override_mae: float | None = Field(description="Mean absolute error of the person")
    value_added: float | None = Field(description="By how much the person's error is smaller; negative if larger")
    percent: float | None = Field(description="The same in percent of the model's error")
    better: int
    worse: int
    enough: bool = Field(description="Whether there are enough dates to judge")


class NamedValue(ValueAdded):
    """The same for one author or series."""

    name: str


class TotalValue(ValueAdded):
    """The same for all, with its parts."""

    by_author: list[NamedValue]
    by_series: list[NamedValue]


class OverrideList(BaseModel):
    """A page of the changes of a family's forecasts, newest first."""

    items: list[OverrideOut]
    total: int
    page: int
    limit: int
    pages: int
    value_added: TotalValue


# --- publications ---


class Publish(Body):
    """What is published, and for how long."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"days": 7, "series": ["store-1", "store-2"], "language": "en", "title": "Sales of the next weeks"}
            ]
        }
    )

    days: int = Field(7, strict=True, ge=1, le=365, description="Days until the link expires")
    series: list[Annotated[str, Field(max_length=500)]] | None = Field(
        None, min_length=1, max_length=20, description="The only series, or the sum of all, by default"
    )
    language: LanguageCode | None = Field(None, description="Your language by default; readers can change it")
    title: Annotated[Title, Field(max_length=200)] | None = Field(None, description="The name of the model by default")


class PublicationOut(BaseModel):
    """A published forecast."""

    model_config = ConfigDict(protected_namespaces=())

    publication_id: str
    model_id: str
    title: str
    language: str
    series: list[str | None]
    state: Literal["active", "expired", "revoked"]
    owner_id: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    views: int
    viewed_at: datetime | None


class Published(PublicationOut):
    """A new publication with its link, which cannot be shown again."""

    path: str = Field(description="Path of the page at the service")
    url: str = Field(description="The link, at the address that this request was sent to")


class PublicationList(BaseModel):
    """The publications of a model, newest first."""

    items: list[PublicationOut]
    total: int
