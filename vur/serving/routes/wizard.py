"""The wizard over a pipeline: options of its forms, live previews, repairs, code, and a training as it goes."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from vur.serving.dependencies import Analyst, Language, Who
from vur.serving.downloads import attachment
from vur.serving.schemas import wizard as bodies
from vur.serving.schemas.pipelines import StepName
from vur.serving.schemas.texts import ObjectId
from vur.serving.views import wizard as views
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Model, Pipeline
from vur.store.database import reading
from vur.wizard import code
from vur.wizard.options import options

router = APIRouter()
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such pipeline, or none that you may see"}}
UNREACHABLE = MISSING | {409: {"description": "The pipeline has no dataset yet"}}
CHANGING = UNREACHABLE | {403: {"description": "You may view it, not change it"}}
NOTEBOOK: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ipynb+json": {}}}}


@router.get("/pipelines/options", response_model=bodies.Options, summary="Options of the steps", tags=["pipelines"])
def get_options(who: Who, language: Language) -> dict[str, Any]:
    """The fields of each step with texts, bounds, defaults and choices; the countries; the layers of a network.

    The algorithms and their parameters are in `/models/algorithms`.
    """
    return options(language)


@router.post(
    "/pipelines/{pipeline_id}/preview",
    response_model=bodies.Previewed,
    responses=UNREACHABLE,
    summary="Preview a step",
    tags=["pipelines"],
)
def preview(pipeline_id: ObjectId, body: bodies.Look, who: Who, language: Language) -> dict[str, Any]:
    """What a step does to the data, with settings that are not stored.

    `preview`: the audit with repairs, a map of missing values; `split`: the cut and each fold by date;
    `preprocessing`: a series before and after; `features`: what is known when, the first rows of the matrix;
    `model` and `training`: who competes, with each preset, and about how long. Thinned series keep their extremes.
    """
    return views.preview(who, pipeline_id, body.step, body.data, body.series, body.points, language)


@router.post(
    "/pipelines/{pipeline_id}/repairs",
    response_model=bodies.Repaired,
    responses=CHANGING,
    summary="Repair a finding",
    tags=["pipelines"],
)
def repair(pipeline_id: ObjectId, body: bodies.Repair, who: Analyst, language: Language) -> dict[str, Any]:
    """Carry out the repair of a finding: it changes the settings of a step, or makes a new version of the dataset."""
    return views.repair(who, pipeline_id, body.key, language)


@router.delete(
    "/pipelines/{pipeline_id}/repairs",
    response_model=bodies.Repaired,
    responses=CHANGING,
    summary="Undo a repair",
    tags=["pipelines"],
)
def undo(
    pipeline_id: ObjectId,
    who: Analyst,
    language: Language,
    key: Annotated[str, Query(min_length=1, max_length=500, description="Key among the `repairs` of the preview")],
) -> dict[str, Any]:
    """Undo a repair in effect; of the repairs of rows the latest, and no version is lost."""
    return views.undo(who, pipeline_id, key, language)


@router.get(
    "/pipelines/{pipeline_id}/code",
    response_model=bodies.Code,
    responses=UNREACHABLE,
    summary="A step as code",
    tags=["pipelines"],
)
def get_code(
    pipeline_id: ObjectId, request: Request, who: Who, language: Language, step: StepName = "training"
) -> dict[str, str]:
    """The Python, the `vur` command and the curl requests that do the same as the pipeline up to a step."""
    return code.code(_source(pipeline_id, request, who, language), step)


@router.get(
    "/pipelines/{pipeline_id}/notebook",
    response_class=Response,
    responses=UNREACHABLE | NOTEBOOK,
    summary="A pipeline as a notebook",
    tags=["pipelines"],
)
def get_notebook(pipeline_id: ObjectId, request: Request, who: Who, language: Language) -> Response:
    """A notebook that trains with the pipeline's configuration, to open in JupyterLab."""
    import json

    found = _source(pipeline_id, request, who, language)
    return Response(
        json.dumps(code.notebook(found), ensure_ascii=False, indent=1),
        media_type="application/x-ipynb+json",
        headers=attachment(found.name, ".ipynb") | {"X-Content-Type-Options": "nosniff"},
    )


def _source(pipeline_id: str, request: Request, who: Principal, language: str) -> code.Source:
    """What the code of a pipeline is made from, with the address that the client used."""
    base = f"{request.url.scheme}://{request.url.netloc}"
    with reading() as session:
        return views.source(session, fetch(session, Pipeline, pipeline_id, who), who, base, language)


@router.get(
    "/models/{model_id}/training/progress",
    response_model=bodies.TrainingProgress,
    responses={404: {"description": "No such model, or none that you may see"}},
    summary="A training as it goes",
    tags=["training"],
)
def training_progress(
    model_id: ObjectId,
    who: Who,
    language: Language,
    after: Annotated[int, Query(ge=0, description="Only log lines after this id")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Latest log lines")] = 200,
) -> dict[str, Any]:
    """Scores of the candidates so far, losses of networks by epoch, and the log of the latest training of a model."""
    with reading() as session:
        return views.training_progress(session, fetch(session, Model, model_id, who), language, after, limit)
