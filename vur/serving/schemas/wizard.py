"""Bodies of the wizard's endpoints: live previews, repairs, options of forms, code, and a training as it goes."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.inspection import FindingOut
from vur.serving.schemas.pipelines import State, StepName
from vur.serving.schemas.texts import Free, Words

PreviewedStep = Literal["preview", "split", "preprocessing", "features", "model", "training"]


class Look(Body):
    """What to preview: a step with settings that are not stored; without `data`, those that are."""

    model_config = example(
        {"step": "split", "data": {"horizon": 14, "folds": 3}, "series": "EWR"},
        {"step": "preprocessing", "data": {"outliers": {"method": "hampel", "treatment": "replace"}}},
    )
    step: PreviewedStep
    data: Free | None = None
    series: Annotated[Words, Field(max_length=500)] | None = Field(None, description="null: the first series")
    points: int = Field(1000, ge=4, le=5000, description="Most points of a series")


class Previewed(BaseModel):
    """The effect of a step on the data. Which keys it has depends on the step."""

    model_config = ConfigDict(extra="allow")

    step: PreviewedStep
    section: dict[str, Any] = Field(description="The settings as they would be stored")
    names: list[str] = Field([], description="Series to choose from, the first 500")
    shown: str | None = Field(None, description="The series of `points`")


class RepairFinding(FindingOut):
    """A finding with the repair of one click, if there is one."""

    key: str
    title: str
    action: str | None
    action_step: Literal["preview", "preprocessing", "data"] | None
    handled: str | None


class Repair(Body):
    """The finding to repair."""

    model_config = example({"key": "c06143c60745"})
    key: Annotated[Words, Field(min_length=1, max_length=64)]


class Repaired(State):
    """The state after a repair or its undoing."""

    text: str = Field(description="What was done")
    undone_steps: list[StepName] = Field(description="Later steps that must be confirmed again")
    dataset_version: int


class Choice(BaseModel):
    """One value of a field."""

    value: Any
    label: str


class FieldOut(BaseModel):
    """A field of a form."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="Key in the step's section; a dot leads into an object")
    type: str
    label: str
    help: str = ""
    default: Any = None
    choices: list[Choice] | None = None
    min: float | None = None
    max: float | None = None


class Layer(BaseModel):
    """A kind of layer of a network."""

    type: str
    label: str
    fields: list[FieldOut]


class NetworkOut(BaseModel):
    """What a network may be made of."""

    layers: list[Layer]
    sections: dict[str, list[FieldOut]]
    metrics: list[str]
    document: dict[str, Any]


class Options(BaseModel):
    """The forms of the wizard."""

    steps: dict[str, list[FieldOut]]
    countries: dict[str, list[str]] = Field(description="States of each country with known holidays")
    states: dict[str, dict[str, str]] = Field(description="Names of the states of a country by their codes")
    network: NetworkOut


class Code(BaseModel):
    """A step as code."""

    step: StepName
    python: str
    command: str = Field(description="For a POSIX shell")
    http: str = Field(description="curl; the token is in `VUR_TOKEN`")
    file: str = Field(description="The file of the data, which the code reads from the working folder")
    download: str = Field(description="curl that fetches that file")


class Scored(BaseModel):
    """A candidate of a training that has been compared."""

    algorithm: str
    name: str
    metric: str
    value: float
    seconds: float | None
    best: bool


class Losses(BaseModel):
    """The losses of a network by epoch, in one fold or fit."""

    algorithm: str
    name: str
    fold: int | None
    epochs: int | None
    epoch: list[int]
    loss: list[float | None]
    val_loss: list[float | None]


class ProgressLine(BaseModel):
    """A line of the log."""

    id: int
    at: datetime
    level: str
    text: str


class TrainingProgress(BaseModel):
    """A training as it goes, from what the service stored."""

    model_id: str
    job_id: str | None
    status: str
    scores: list[Scored] = Field(description="Best first")
    losses: list[Losses] = Field(description="The latest ones, oldest first")
    log: list[ProgressLine]
    next: int = Field(description="Pass it as `after` for the following lines")
