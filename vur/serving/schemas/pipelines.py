"""Bodies of the pipeline endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from vur.serving.schemas.body import Body, example
from vur.serving.schemas.datasets import Name
from vur.serving.schemas.texts import Free, Prose, Words

StepName = Literal["upload", "preview", "split", "preprocessing", "features", "model", "training"]


class PipelineNew(Body):
    """A new pipeline, optionally with its dataset."""

    model_config = example(
        {
            "name": "Previsão de vendas",
            "description": "Loja física",
            "dataset_id": "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a",
        }
    )
    name: Name
    description: Annotated[Prose, Field(max_length=5000)] = ""
    dataset_id: Annotated[Words, Field(max_length=64)] | None = None


class PipelineChange(Body):
    """Changes to a pipeline's name and description; its steps have their own endpoint."""

    model_config = example({"name": "Previsão de vendas 2025"})
    name: Name | None = None
    description: Annotated[Prose, Field(max_length=5000)] | None = None


class DatasetRef(BaseModel):
    """The dataset of a pipeline, if the user may see it."""

    dataset_id: str
    name: str
    filename: str
    rows_count: int
    data_version: int


class ModelRef(BaseModel):
    """A model of a pipeline."""

    model_id: str
    name: str
    algorithm: str
    status: str
    created_at: datetime
    trained_at: datetime | None


class PipelineOut(BaseModel):
    """A pipeline in a list."""

    pipeline_id: str
    name: str
    description: str
    status: str = Field(
        description="`draft`, `ready` (all steps complete), or its newest model's state: `training, trained, failed`"
    )
    dataset_id: str | None
    current_step: StepName
    completed_steps: list[StepName]
    progress: int = Field(description="Completed steps in percent")
    owner_id: str
    version: int
    created_at: datetime
    updated_at: datetime


class PipelineList(BaseModel):
    """A page of pipelines."""

    items: list[PipelineOut]
    total: int
    page: int
    limit: int
    pages: int


class PipelineDetail(PipelineOut):
    """A pipeline with the settings of its steps, as sections of a `pipeline.yaml`."""

    config: dict[str, Any]
    dataset: DatasetRef | None
    models: list[ModelRef]


class StepOut(BaseModel):
    """One of the seven steps."""

    step: StepName
    number: int
    title: str
    completed: bool
    current: bool
    reachable: bool
    missing: list[StepName] = Field(description="Earlier steps that are incomplete")
    data: dict[str, Any]


class State(PipelineOut):
    """Progress through the steps."""

    steps: list[StepOut]
    next_step: StepName | None
    can_train: bool
    dataset: DatasetRef | None
    model: ModelRef | None = Field(None, description="Its newest model")
    outdated: bool = Field(False, description="Whether settings or data have changed since that model was made")
    champion: ModelRef | None = Field(None, description="Its champion")


class StepData(Body):
    """Settings of a step: a section of `pipeline.yaml`, or the body of the matching dataset or model endpoint."""

    model_config = example(
        {"data": {"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15}},
        {"data": {"dataset_id": "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"}},
        {"data": {"algorithms": ["arima", "prophet"], "metric": "mase"}},
    )
    data: Free = {}
    confirm: bool = Field(
        True, description="`false` keeps the settings as a draft: checked and stored, but the step is not completed"
    )


class StepSaved(State):
    """The state after a step."""

    undone: list[StepName] = Field(description="Later steps that must be confirmed again")
    facts: dict[str, Any] = Field(
        description="Effect of the settings on the data: frequency and series, cutoff dates, features, …"
    )


class Navigate(Body):
    """The step to go to."""

    model_config = example({"to": "split"})
    to: Annotated[Words, Field(max_length=50)]


class ExportedColumn(BaseModel):
    """A column of the exported pipeline's dataset."""

    name: str
    type: str


class ExportedDataset(BaseModel):
    """Identification of the data that a pipeline was built on, without the data."""

    fingerprint: str
    name: str
    filename: str
    rows_count: int
    columns: list[ExportedColumn]


class Exported(BaseModel):
    """A pipeline as a document that another installation can import."""

    format: int
    vur: str
    name: str
    description: str
    completed: list[str]
    dataset: ExportedDataset | None
    config: dict[str, Any]


class ImportProblem(BaseModel):
    """A setting of an imported pipeline that does not fit here."""

    section: str
    severity: Literal["error", "warning", "info"]
    code: str
    text: str


class Imported(State):
    """An imported pipeline, and the settings that did not fit."""

    problems: list[ImportProblem]


class MakeModel(Body):
    """The name of the model to create from a pipeline."""

    model_config = example({"name": "Vendas diárias"})
    name: Name | None = None


class ModelMade(BaseModel):
    """A configured model: train it with `POST /models/{model_id}/train`."""

    model_id: str
    name: str
    algorithm: str
    status: str
    pipeline_id: str
    dataset_id: str
    config: dict[str, Any]
