"""Bodies of the model endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vur.serving.schemas.body import Body
from vur.serving.schemas.forecasting import Horizon, Level
from vur.serving.schemas.texts import Free, Prose, Title

DATASET = "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"


class Parameter(BaseModel):
    """A parameter of an algorithm."""

    type: str
    default: Any = None
    min: float | None = None
    max: float | None = None
    choices: list[Any] | None = None
    length: int | None = Field(None, description="Number of items of a list")
    label: str | None = None
    description: str = ""


class AlgorithmOut(BaseModel):
    """An algorithm and its parameters."""

    id: str
    name: str
    description: str
    scope: str = Field(description="`local`: one model per series; `global`: one model for all series")
    covariates: list[str] = Field(description="Kinds of covariates that it can use")
    tunable: list[str]
    parameters: dict[str, Parameter]


class Algorithms(BaseModel):
    """All algorithms by family."""

    classical: list[AlgorithmOut]
    machine_learning: list[AlgorithmOut]
    deep_learning: list[AlgorithmOut]


class Validation(Body):
    """How models are compared: rolling-origin folds, always split by time."""

    method: str = Field("time_series_split", description="`time_series_split` (expanding training window) or `sliding`")
    n_splits: int | None = Field(None, ge=1, le=100)
    gap: int | None = Field(None, ge=0, le=10_000)


class Optimization(Body):
    """Hyperparameter search on the folds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "method": "bayesian",
                    "iterations": 50,
                    "search_space": {
                        "learning_rate": {"type": "float", "min": 0.0001, "max": 0.1},
                        "batch_size": {"type": "int", "choices": [16, 32, 64, 128]},
                        "hidden_units": {"type": "int", "min": 10, "max": 200},
                    },
                    "objective": "minimize",
                    "metric": "val_rmse",
                }
            ]
        }
    )

    enabled: bool = True
    method: Literal["bayesian", "random", "grid"] = "bayesian"
    iterations: int = Field(50, ge=1, le=10_000)
    metric: str | None = None
    search_space: dict[str, Free] | None = Field(
        None,
        description="Parameters with a range or choices. What the algorithm cannot search is named in `warnings`; 422 "
        "where it can search none of it. With `auto` each algorithm searches what it has of it. Default: the "
        "parameters that the algorithm suggests, without those that are given",
    )
    objective: Literal["minimize", "maximize"] | None = None
    time_limit: float | None = Field(None, gt=0, description="Seconds")


Names = Annotated[Title, Field(min_length=1, max_length=100)]


class Common(Body):
    """Options of a new model besides its algorithm; omitted ones are inferred from the data."""

    dataset_id: str
    pipeline_id: str | None = None
    name: Names | None = None
    horizon: Horizon | None = Field(None, description="Steps to forecast")
    country: str | None = Field(None, max_length=2, description="Country for holidays, such as BR")
    levels: list[Level] | None = Field(
        None, max_length=10, description="Interval levels in percent, such as 80, 97.5, 99.9; `[]` to show no intervals"
    )
    time_budget: float | None = Field(None, gt=0, description="Time limit of the training in seconds")
    seed: int | None = Field(None, ge=0)
    whole: bool | None = Field(
        None, description="Forecasts in whole numbers that keep the sum of each series within a half"
    )
    effects: Literal["auto", "always", "never"] | None = Field(
        None,
        description="Whether models forecast what known-future columns leave, their effects being put back afterwards; "
        "`auto`: where that lowers errors out of fold",
    )


class Configure(Common):
    """A model to be trained."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dataset_id": DATASET,
                    "algorithm": "arima",
                    "hyperparameters": {"p": 1, "d": 1, "q": 1},
                    "validation": {"method": "time_series_split", "n_splits": 5},
                    "optimization": {"enabled": True, "method": "bayesian", "iterations": 50, "metric": "rmse"},
                    "metrics": ["rmse", "mae", "mape", "r2"],
                }
            ]
        }
    )

    algorithm: str | None = Field(
        None,
        max_length=64,
        description="An id of GET /models/algorithms, or `auto`: compare suitable algorithms and keep the best. "
        "Default: the pipeline's choice, else `auto`",
    )
    preset: Literal["fast", "balanced", "best"] | None = Field(None, description="How many models `auto` tries")
    hyperparameters: Free = Field(default_factory=dict)
    validation: Validation | None = None
    optimization: Optimization | None = None
    metrics: list[str] = Field(
        default_factory=list, max_length=20, description="The first metric ranks the models; all are computed"
    )


class Custom(Common):
    """A custom neural network, layer by layer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dataset_id": DATASET,
                    "architecture": {
                        "layers": [
                            {"type": "lstm", "units": 50, "return_sequences": True, "dropout": 0.2},
                            {"type": "dense", "units": 25, "activation": "relu"},
                            {"type": "dense", "units": 1, "activation": "linear"},
                        ]
                    },
                    "compilation": {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]},
                    "training": {
                        "epochs": 100,
                        "batch_size": 32,
                        "validation_split": 0.2,
                        "early_stopping": {"enabled": True, "patience": 10, "monitor": "val_loss"},
                    },
                }
            ]
        }
    )

    architecture: Free
    compilation: Free = Field(default_factory=dict)
    training: Free = Field(default_factory=dict)
    window: int | None = Field(None, ge=2, le=2000, description="Input window of the network in steps")


class ModelChange(Body):
    """Changes to a model's name and description."""

    name: Names | None = Field(None, examples=["loja-diaria"])
    description: Annotated[Prose, Field(max_length=2000)] | None = None


class Save(Body):
    """Save a trained model, optionally under a new name."""

    name: Names | None = Field(None, examples=["loja-diaria-2025"])
    description: Annotated[Prose, Field(max_length=2000)] | None = None


class Load(Body):
    """The saved model to load, by id or exact tag."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tag": "vendas:3f2a9c1b7e42"}]})

    model_id: str | None = None
    tag: str | None = None


class ModelOut(BaseModel):
    """A model."""

    model_id: str
    name: str
    description: str
    algorithm: str
    status: str = Field(description="configured, queued, training, trained, failed or cancelled")
    dataset_id: str | None
    pipeline_id: str | None
    family: str = Field(
        description="Models of one family are interchangeable; an alias such as `champion` points to one of them"
    )
    champion: bool
    tag: str | None = Field(description="Name and version in the model store")
    run_id: str | None = Field(description="The run whose notebook produced it")
    metrics: dict[str, Any]
    facts: dict[str, Any]
    saved: bool
    owner_id: str
    version: int
    created_at: datetime
    updated_at: datetime
    trained_at: datetime | None


class ModelDetail(ModelOut):
    """A model with its whole configuration."""

    config: dict[str, Any]
    warnings: list[str] = Field(
        default_factory=list, description="What of the request is not used as it was sent, and why"
    )


class ModelList(BaseModel):
    """A page of models."""

    items: list[ModelOut]
    total: int
    page: int
    limit: int
    pages: int


class Metrics(BaseModel):
    """Metrics of a model: on the folds, on the held-out test part, by step of the horizon."""

    model_id: str
    algorithm: str
    metrics: dict[str, Any]
    test: dict[str, Any] | None = Field(
        description="On the held-out test part, not used for model selection; null if the data is too short for one"
    )
    by_horizon: list[dict[str, Any]]
    leaderboard: list[dict[str, Any]]
    run_id: str | None


class Started(BaseModel):
    """A job that was started."""

    job_id: str
    model_id: str
    status: str
    warnings: list[str] = Field(
        default_factory=list, description="What of the request is not used as it was sent, and why"
    )
