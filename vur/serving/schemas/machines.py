"""Bodies of the machines: those of the interface without version, and those under /api/v1/machines."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.monitoring import Page
from vur.serving.schemas.texts import Line, Prose, Title, Words
from vur.serving.schemas.training import Failure

NAME, MOST_VARIABLES = 200, 2000
RANKED: JsonValue = {
    "rank": 1,
    "rank_low": 1,
    "rank_high": 2,
    "variable": "temp_forno",
    "importance": 0.41,
    "z": 8.3,
    "p_value": 0.0001,
    "significant": True,
    "direction": "up",
    "lag": 3,
}


def _named(name: str) -> str:
    if not name.strip():
        raise PydanticCustomError("api.blank", "nothing of the text can be seen")
    if len(name) > NAME:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": NAME})
    return name.strip()


# --- the interface without version ---


class MachineCreate(BaseModel):
    """A new machine."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"machine_name": "Extrusora 3"}]})
    machine_name: Annotated[Title, AfterValidator(_named)]


class Machine(BaseModel):
    """A machine: `status` is `criada, treinando, pronta` or `erro`; `model_id` is the number of its model."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"machine_name": "Extrusora 3", "id": 1, "status": "criada", "model_id": 1}]},
        protected_namespaces=(),
    )
    machine_name: str
    id: int
    status: str
    model_id: int


class MachineDeleted(BaseModel):
    """The machine that is gone."""

    machine_id: int
    machine_name: str
    deleted: Literal[True]
    detail: str


class TrainingQueued(BaseModel):
    """What a client needs to follow a training."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "machine_id": 1,
                    "model_id": 1,
                    "status": "treinando",
                    "training": 1,
                    "target_column": "producao",
                    "job_id": "8f1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
                    "links": {
                        "training": "/api/v1/machines/1/trainings/1",
                        "ranking": "/ranking/?machine_id=1",
                        "job": "/api/v1/jobs/8f1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
                    },
                }
            ]
        },
    )
    machine_id: int
    model_id: int
    status: str
    training: int = Field(description="Number of the training within its machine, from 1")
    target_column: str
    job_id: str
    links: dict[str, str]


class RankedVariable(BaseModel):
    """A variable, or several that move together and are ranked as one."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [RANKED]})
    rank: int
    rank_low: int | None = Field(None, description="With `rank_high`, the confidence set of the rank")
    rank_high: int | None = None
    variable: str = Field(description="The names of a group are joined by ` + `")
    importance: float | None = Field(None, description="Share of the target's variance that it alone explains")
    significant: bool | None = Field(None, description="Whether it adds to the prediction beyond chance")


class MachineRanking(BaseModel):
    """The newest ranking of a machine: empty as long as there is none, or if nothing predicts the target."""

    model_config = ConfigDict(protected_namespaces=())
    machine_id: int
    machine_name: str
    model_id: int
    status: str
    training: int | None = Field(description="Number of the training; null as long as none finished")
    target: str | None
    origin: str | None = Field(description="`vur` or `outside`")
    trained_at: datetime | None
    ranking: list[RankedVariable]
    says: list[str] = Field(description="What the ranking says, in the reader's language")
    error: Failure | None = Field(description="Why the last training failed; the ranking is then an older one")


class DeliveredVariable(Body):
    """A variable of a ranking that an outside service made."""

    variable: Annotated[Line, Field(min_length=1, max_length=500)]
    importance: float
    rank: int | None = Field(None, ge=1, le=MOST_VARIABLES)
    rank_low: int | None = Field(None, ge=1, le=MOST_VARIABLES)
    rank_high: int | None = Field(None, ge=1, le=MOST_VARIABLES)
    z: float | None = None
    p_value: float | None = Field(None, ge=0, le=1)
    significant: bool | None = None
    effect: float | None = None
    direction: Literal["up", "down", ""] | None = None
    lag: int | None = Field(None, ge=0, le=100_000)
    best_low: float | None = None
    best_high: float | None = None


class Delivery(Body):
    """The answer of an outside service to a training."""

    model_config = example(
        {
            "machine_id": 1,
            "training": 1,
            "status": "pronta",
            "target": "producao",
            "ranking": [
                {"variable": "temp_forno", "importance": 0.41, "rank": 1},
                {"variable": "umidade", "importance": 0.12, "rank": 2},
            ],
        },
        {"machine_id": 1, "training": 2, "status": "erro", "error": "the column producao is constant"},
    )
    machine_id: int | None = Field(None, ge=1, le=2**63 - 1)
    model_id: int | None = Field(None, ge=1, le=2**63 - 1)
    training: int | None = Field(None, ge=1, le=2**31 - 1, description="As `POST {url}/train/` got it")
    status: Literal["pronta", "erro"]
    target: Annotated[Line, Field(min_length=1, max_length=500)] | None = None
    ranking: list[DeliveredVariable] | None = Field(None, max_length=MOST_VARIABLES)
    error: Annotated[Prose, Field(min_length=1, max_length=2000)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.machine_id is None and self.model_id is None:
            raise PydanticCustomError("machines_machine", "machine_id or model_id")
        if self.status == "pronta" and not self.ranking:
            raise PydanticCustomError("machines_ranking", "a ranking")
        if self.status == "erro" and not self.error:
            raise PydanticCustomError("machines_error", "an error")
        return self


class Received(BaseModel):
    """What became of a delivery."""

    machine_id: int
    training: int
    status: str = Field(description="That of the machine now")
    delivery: str


# --- under /api/v1/machines ---


class MachineNew(Body):
    """A new machine."""

    model_config = example({"machine_name": "Extrusora 3", "description": "Linha 2, sensores a cada minuto"})
    machine_name: Annotated[Title, Field(min_length=1, max_length=NAME), AfterValidator(_named)]
    description: Annotated[Prose, Field(max_length=5000)] = ""


class MachineChange(Body):
    """Changes to a machine."""

    model_config = example({"machine_name": "Extrusora 3, linha 2"})
    machine_name: Annotated[Title, Field(min_length=1, max_length=NAME), AfterValidator(_named)] | None = None
    description: Annotated[Prose, Field(max_length=5000)] | None = None


class MachineOut(Machine):
    """A machine with its last training."""

    description: str
    owner_id: str
    trainings: int = Field(description="How many it has had")
    target: str | None = Field(description="That of the newest finished training")
    ranked_at: datetime | None = Field(description="When the newest ranking was made")
    first: str | None = Field(description="The first variable of the newest ranking")
    active_training: int | None = Field(description="Number of the training that is not over")
    error: Failure | None = Field(description="Why the last training failed")
    owner: str = Field(description="Name of its owner")
    right: str = Field(description="What you may do with it: `own` (all), `edit` or `view`")
    created_at: datetime
    updated_at: datetime
    version: int


class MachineList(Page):
    """A page of machines."""

    items: list[MachineOut]


class TrainDataset(Body):
    """A training on a stored dataset."""

    model_config = example(
        {"dataset_id": "2c1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a", "target": "producao", "time": "data_hora", "lags": 12}
    )
    dataset_id: Annotated[Words, Field(min_length=1, max_length=64)]
    dataset_number: int | None = Field(None, ge=1, le=2**31 - 1, description="Default: the current version")
    target: Annotated[Words, Field(min_length=1, max_length=500)]
    time: Annotated[Words, Field(min_length=1, max_length=500)] | None = None
    lags: int | None = Field(None, ge=0, le=500)
    goal: Literal["max", "min"] | None = None
    level: float | None = Field(None, gt=0, lt=1)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    exclude: list[Annotated[Words, Field(min_length=1, max_length=500)]] | None = Field(
        None, max_length=MOST_VARIABLES, description="Columns to leave out, such as other results of the process"
    )


class Training(BaseModel):
    """A training of a machine."""

    machine_id: int
    training: int
    state: str = Field(description="queued, training, waiting (for an outside service), finished, failed, cancelled")
    origin: str = Field(description="`vur` or `outside`")
    target: str
    source: str = Field(description="Name of the file, empty for a stored dataset")
    dataset_id: str | None
    dataset_number: int | None
    settings: dict[str, Any]
    fingerprint: str | None = Field(description="SHA-256 of the data")
    run_id: str | None
    job_id: str | None
    progress: float = Field(description="Percent")
    eta_seconds: float | None
    stage_name: str
    error: Failure | None
    user_id: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


class TrainingList(Page):
    """A page of trainings."""

    items: list[Training]


class Worded(BaseModel):
    """A column that was set aside, or what was assumed, in words and as data."""

    model_config = ConfigDict(extra="allow")
    text: str


class TrainingDetail(Training):
    """A training with everything that is known of its ranking."""

    logs: list[str] = Field(description="The latest log lines of its job, oldest first")
    says: list[str] = Field(description="What the ranking says, in the reader's language")
    aside: list[Worded] = Field(description="Columns that were not ranked, and why")
    notes: list[Worded] = Field(description="What was changed or assumed")
    ranking: list[dict[str, Any]] = Field(
        description="The ranking with words: `shape_text, lag_text, ranks_text, best_text`"
    )
    members: list[dict[str, Any]] = Field(description="The variables of groups, each alone, with the same words")
    document: dict[str, Any] | None = Field(description="The ranking with effects, curves, pairs and ranges")


class RankingDetail(MachineRanking):
    """The newest ranking of a machine, with effects, curves and words."""

    aside: list[Worded]
    notes: list[Worded]
    document: dict[str, Any]
    links: dict[str, str]


class Place(BaseModel):
    """The place of a variable in one training."""

    rank: int | None
    rank_low: int | None
    rank_high: int | None
    importance: float | None
    significant: bool | None
    group: str | None = Field(description="The group that it was ranked with")


class Moved(BaseModel):
    """How the place of a variable moved."""

    variable: str
    places: list[Place | None] = Field(description="One for each of `trainings`; null where it was not ranked")
    moved: int | None = Field(description="Places gained in the last training; negative for lost ones")
    change: Literal["first", "new", "gone", "up", "down", "same"]
    clear: bool = Field(description="The confidence sets of the last two ranks do not overlap")


class Step(BaseModel):
    """A training of the history."""

    training: int
    finished_at: datetime | None
    origin: str
    source: str


class Movement(BaseModel):
    """How a machine's ranking moved from training to training, the oldest first."""

    machine_id: int
    target: str | None
    trainings: list[Step]
    variables: list[Moved]


class WhatIfMachine(Body):
    """Values at which variables are held."""

    model_config = example({"values": {"temp_forno": 182.5, "receita": "B"}})
    values: dict[
        Annotated[Words, Field(max_length=500)],
        Annotated[float, Field(strict=True)] | Annotated[Words, Field(max_length=500)],
    ] = Field(min_length=1, max_length=500)
    training: int | None = Field(None, ge=1, le=2**31 - 1, description="Default: the newest finished one")


class WhatIfAnswer(BaseModel):
    """What the models of the ranking predict on average, as observed and with the values held."""

    machine_id: int
    training: int
    target: str
    before: float
    after: float
    low: float
    high: float
    support: float = Field(
        description="Share of the observed rows that hold all the values, numbers to a tenth of their range"
    )
