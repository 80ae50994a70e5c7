"""Models: algorithms, configuration, hyperparameter search, metrics, saving and loading."""

import csv
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.serving.dependencies import Analyst, Language, Listed, Version, Who, list_rows, set_etag
from vur.serving.schemas.models import (
    Algorithms,
    Configure,
    Custom,
    Load,
    Metrics,
    ModelChange,
    ModelDetail,
    ModelList,
    ModelOut,
    Optimization,
    Save,
    Started,
)
from vur.serving.views.configure import (
    NETWORK,
    catalogue,
    configured,
    planned_split,
    said,
    search,
    split_section,
    successor,
)
from vur.stages.model.search_space import Remark
from vur.store.accounts.access import Principal, check_version, fetch, visible
from vur.store.catalog import Model
from vur.store.database import reading, writing
from vur.store.events import record_activity
from vur.store.models import registry

router = APIRouter(prefix="/models", tags=["models"])
SORTABLE = {
    "created_at": Model.created_at,
    "updated_at": Model.updated_at,
    "trained_at": Model.trained_at,
    "name": Model.name,
    "algorithm": Model.algorithm,
    "status": Model.status,
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such model, or none that you may see"}}


def shown(model: Model, champion: bool) -> dict[str, Any]:
    """Return a model as the API shows it."""
    keys = (
        "name",
        "description",
        "algorithm",
        "status",
        "dataset_id",
        "pipeline_id",
        "family",
        "tag",
        "run_id",
        "metrics",
        "facts",
        "saved",
        "owner_id",
        "version",
        "created_at",
        "updated_at",
        "trained_at",
        "config",
    )
    return {"model_id": model.id, "champion": champion} | {key: getattr(model, key) for key in keys}


def _one(session: Session, model: Model, response: Response, language: str) -> dict[str, Any]:
    session.flush()
    set_etag(response, model)
    return shown(model, registry.has_champion_alias(session, model)) | {"warnings": said(model, language)}


@router.get(
    "/algorithms",
    response_model=Algorithms,
    response_model_exclude_none=True,
    summary="Algorithms and their parameters",
)
def get_algorithms(who: Who, language: Language) -> dict[str, Any]:
    """All algorithms by family, with their parameters, ranges and defaults, and the covariates they can use."""
    return catalogue(language)


@router.post("/configure", status_code=201, response_model=ModelDetail, summary="Configure a model")
def configure(body: Configure, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Validate the configuration against the data and store it as a model ready to train."""
    validation = body.validation.model_dump(exclude_none=True, exclude_unset=True) if body.validation else None
    plan = planned_split(who, body.dataset_id, body.pipeline_id, split_section(validation, body.horizon), language)
    with writing() as session:
        model = configured(
            session,
            who,
            plan=plan,
            algorithm=body.algorithm,
            hyperparameters=body.hyperparameters,
            metrics=body.metrics,
            preset=body.preset,
            optimization=body.optimization.model_dump(exclude_none=True) if body.optimization else None,
            **_common(body),
        )
        record_activity(
            session,
            who.user_id,
            "model_configured",
            about=("model", model.id),
            name=model.name,
            algorithm=model.algorithm,
        )
        return _one(session, model, response, language)


@router.post("/custom", status_code=201, response_model=ModelDetail, summary="Configure a custom neural network")
def custom(body: Custom, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Validate a network layer by layer and store it as a model ready to train; an error names the layer at fault."""
    network: dict[str, Any] = {
        "architecture": body.architecture,
        "compilation": body.compilation,
        "training": body.training,
    }
    network |= {"window": body.window} if body.window else {}
    plan = planned_split(who, body.dataset_id, body.pipeline_id, split_section(None, body.horizon), language)
    with writing() as session:
        model = configured(session, who, network=network, plan=plan, **_common(body))
        record_activity(
            session, who.user_id, "model_configured", about=("model", model.id), name=model.name, algorithm=NETWORK
        )
        return _one(session, model, response, language)


def _common(body: Configure | Custom) -> dict[str, Any]:
    shared = {"dataset_id", "pipeline_id", "name", "horizon", "country", "levels", "time_budget", "seed"}
    return body.model_dump(include={*shared, "whole", "effects"})


@router.post(
    "/load",
    response_model=ModelDetail,
    responses=MISSING | {409: {"description": "Not trained, or its files were modified"}},
    summary="Load a saved model",
)
def load(body: Load, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """Verify the files of a trained model and load it for predictions.

    Administrators may also load a tag that `vur run` saved.
    """
    from vur.predictions.open_models import open_model
    from vur.store.models.champions import find_served
    from vur.store.models.models import model_folder

    if not body.model_id and not body.tag:
        raise VurError("models.which", field="model_id")
    with writing() as session:
        if body.model_id:
            model = fetch(session, Model, body.model_id, who)
        else:
            model = _tagged(session, body.tag or "", who)
        answer = _one(session, model, response, language)
    if not answer["tag"]:
        raise VurError("models.not_trained", id=answer["model_id"], status=answer["status"])
    model_folder(answer["tag"])
    with reading() as session:
        served = find_served(session, who, answer["model_id"])
    open_model(served)
    return answer


def _tagged(session: Session, tag: str, who: Principal) -> Model:
    """Return the model with the exact `tag`; an administrator adopts one that `vur run` saved."""
    model = session.scalar(visible(select(Model).where(Model.tag == tag), Model, who))
    if model is not None:
        return model
    if not who.is_admin:
        raise VurError("api.not_found", kind="model", id=tag)
    model = registry.adopt(session, tag, who.user_id)
    record_activity(session, who.user_id, "model_adopted", about=("model", model.id), name=model.name)
    return model


@router.get("", response_model=ModelList, summary="List models")
def list_models(
    who: Who,
    asked: Listed,
    status: str | None = None,
    algorithm: str | None = None,
    dataset_id: str | None = None,
    pipeline_id: str | None = None,
    family: str | None = None,
    saved: Annotated[bool | None, Query(description="Only saved models, or only unsaved ones")] = None,
) -> dict[str, Any]:
    """Models that you may see; `search` matches names and tags."""
    statement = visible(select(Model), Model, who)
    wanted = {
        Model.status: status,
        Model.algorithm: algorithm,
        Model.dataset_id: dataset_id,
        Model.pipeline_id: pipeline_id,
        Model.family: family,
        Model.saved: saved,
    }
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(column == value)
    with reading() as session:
        rows, page = list_rows(session, statement, asked, sortable=SORTABLE, searchable=(Model.name, Model.tag))
        champions = registry.with_champion_alias(session, [row.id for row in rows])
        return {"items": [shown(row, row.id in champions) for row in rows]} | page


@router.get("/{model_id}", response_model=ModelDetail, responses=MISSING, summary="One model")
def get_model(model_id: str, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """A model with its whole configuration."""
    with reading() as session:
        return _one(session, fetch(session, Model, model_id, who), response, language)


@router.put(
    "/{model_id}",
    response_model=ModelOut,
    responses=MISSING | {412: {"description": "Changed since the version in `If-Match`"}},
    summary="Rename or describe a model",
)
def change(
    model_id: str, body: ModelChange, who: Analyst, language: Language, version: Version, response: Response
) -> dict[str, Any]:
    """Change a model's name or description."""
    with writing() as session:
        model = fetch(session, Model, model_id, who, "edit")
        check_version(model, version)
        for key, value in body.model_dump(exclude_none=True).items():
            setattr(model, key, value)
        return _one(session, model, response, language)


@router.delete(
    "/{model_id}",
    status_code=204,
    responses=MISSING | {409: {"description": "In training, or champion of its family"}},
    summary="Delete a model",
)
def delete_model(model_id: str, who: Analyst) -> None:
    """Delete a model and its files; its forecasts stay in the ledger."""
    from vur.store.data.datasets import collect
    from vur.store.models.models import delete_model as delete_files

    with writing(durable=True) as session:
        model = fetch(session, Model, model_id, who, "own")
        record_activity(
            session, model.owner_id, "model_deleted", user_id=who.user_id, about=("model", model.id), name=model.name
        )
        tag = registry.remove(session, model, who)
        fingerprint = model.facts.get("fingerprint")
    if tag:
        delete_files(tag)
    if fingerprint:
        collect([fingerprint])


@router.post(
    "/{model_id}/save",
    response_model=ModelOut,
    responses=MISSING | {409: {"description": "Not trained"}},
    summary="Save a trained model",
)
def save(
    model_id: str, who: Analyst, language: Language, response: Response, body: Save | None = None
) -> dict[str, Any]:
    """Save a trained model permanently, optionally under a new name."""
    with writing() as session:
        model = fetch(session, Model, model_id, who, "edit")
        if not model.tag:
            raise VurError("models.not_trained", id=model.id, status=model.status)
        for key, value in (body.model_dump(exclude_none=True) if body else {}).items():
            setattr(model, key, value)
        model.saved = True
        record_activity(
            session, model.owner_id, "model_saved", user_id=who.user_id, about=("model", model.id), name=model.name
        )
        return _one(session, model, response, language)


@router.post(
    "/{model_id}/optimize",
    status_code=202,
    response_model=Started,
    responses=MISSING | {409: {"description": "Already in training"}},
    summary="Optimize hyperparameters",
)
def optimize(model_id: str, body: Optimization, who: Analyst, language: Language) -> dict[str, Any]:
    """Start a training that tunes hyperparameters on the folds; follow it like any other training.

    A model that is already trained gets a successor in its family, whose id is `model_id` in the response.
    """
    from vur.jobs.queue import submit

    with writing() as session:
        model = fetch(session, Model, model_id, who, "edit")
        if (busy := registry.active_job(session, model.id)) is not None:
            raise VurError("api.running", kind="model", id=model.id, job=busy.id)
        wanted, remarks = search_section(model, body.model_dump(exclude_none=True))
        if model.tag:
            model = successor(model, who)
            session.add(model)
        model.config = model.config | {"model": model.config["model"] | {"optimize": wanted}}
        model.options = model.options | {"warnings": (model.options.get("warnings") or {}) | {"search": remarks}}
        session.flush()
        target, dataset_id, warnings = model.id, model.dataset_id, said(model, language)
    job = submit("train", who.user_id, {}, model_id=target, dataset_id=dataset_id)
    return {"job_id": job.id, "model_id": target, "status": job.state, "warnings": warnings}


def search_section(model: Model, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[Remark]]:
    """Return the `optimize` section for an existing model, and remarks on what is not searched.

    `VurError` if the configuration is invalid.
    """
    from vur.runs.config import Config
    from vur.stages.model import own_network

    section = model.config["model"]
    document = next(iter(section["networks"].values()), None) if model.algorithm == NETWORK else None
    given = own_network(document) if document else section["parameters"].get(model.algorithm, {})
    found, remarks = search(model.algorithm, wanted, given)
    Config.from_dict(model.config | {"model": section | {"optimize": found}})
    return found, remarks


@router.get(
    "/{model_id}/metrics",
    response_model=Metrics,
    responses=MISSING | {409: {"description": "Not trained"}},
    summary="Metrics of a model",
)
def metrics(model_id: str, who: Who) -> dict[str, Any]:
    """Errors over the folds, on the held-out test part and by step of the horizon, as its run recorded them."""
    with reading() as session:
        model = fetch(session, Model, model_id, who)
        if not model.tag:
            raise VurError("models.not_trained", id=model.id, status=model.status)
        folder = registry.run_folder(session, model)
        answer = {"model_id": model.id, "algorithm": model.algorithm, "metrics": model.metrics, "run_id": model.run_id}
    board = read_table(folder / "leaderboard.csv")
    chosen = [row for row in board if row.get("chosen") == "True"] or board
    winner = chosen[0]["algorithm"] if board else None
    test = [row for row in read_table(folder / "test_scores.csv") if row["algorithm"] == winner]
    steps = [row for row in read_table(folder / "by_step.csv") if row["algorithm"] == winner]
    return answer | {"test": test[0] if test else None, "by_horizon": steps, "leaderboard": board}


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read a CSV of a run: numbers as numbers, empty cells as None."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    if text in ("", "nan", "inf", "-inf"):
        return None
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text
