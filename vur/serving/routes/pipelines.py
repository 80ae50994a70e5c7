"""Pipelines: the seven steps from a dataset to a model."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from vur.serving.dependencies import Analyst, Language, Listed, Version, Who, list_rows, set_etag
from vur.serving.schemas import pipelines as bodies
from vur.serving.schemas.texts import ObjectId
from vur.serving.validation import unreadable
from vur.serving.views import pipelines as views
from vur.store import pipelines
from vur.store.accounts.access import check_version, fetch, visible
from vur.store.catalog import Dataset, Pipeline, new_id
from vur.store.database import reading, writing
from vur.store.events import record_activity
from vur.wizard import steps

router = APIRouter(prefix="/pipelines", tags=["pipelines"])
SORTABLE = {name: getattr(Pipeline, name) for name in ("created_at", "updated_at", "name", "status")}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such pipeline, or none that you may see"}}
CHANGING = MISSING | {
    403: {"description": "You may view it, not change it"},
    412: {"description": "Changed since the version in `If-Match`"},
}
UNREACHABLE = CHANGING | {409: {"description": "Earlier steps are incomplete; the response names them"}}
DOCUMENT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Exported"},
                "examples": {
                    "some choices": {
                        "value": {
                            "name": "Vendas",
                            "config": {"split": {"horizon": 28}, "model": {"algorithms": ["arima", "prophet"]}},
                            "completed": [],
                        }
                    }
                },
            },
            "application/yaml": {"schema": {"type": "object", "description": "A pipeline.yaml"}},
        },
    }
}


@router.get("", response_model=bodies.PipelineList, summary="List pipelines")
def list_pipelines(
    who: Who, asked: Listed, dataset_id: Annotated[str | None, Query(max_length=64, pattern="^[A-Za-z0-9_-]+$")] = None
) -> dict[str, Any]:
    """Your pipelines and those shared with you; `search` matches names and descriptions."""
    query = visible(select(Pipeline), Pipeline, who)
    with reading() as session:
        rows, page = list_rows(
            session,
            query.where(Pipeline.dataset_id == dataset_id) if dataset_id else query,
            asked,
            sortable=SORTABLE,
            searchable=(Pipeline.name, Pipeline.description),
        )
        return {"items": views.listed(session, rows)} | page


@router.post("", status_code=201, response_model=bodies.PipelineDetail, summary="Create a pipeline", responses=MISSING)
def add_pipeline(body: bodies.PipelineNew, who: Analyst, response: Response) -> dict[str, Any]:
    """Create a pipeline; with a dataset, its first step is complete."""
    with writing() as session:
        pipeline = Pipeline(
            id=new_id(),
            owner_id=who.user_id,
            name=body.name,
            description=body.description,
            config={},
            completed=[],
            status="draft",
            step="upload",
        )
        if body.dataset_id:
            pipelines.take_dataset(session, pipeline, fetch(session, Dataset, body.dataset_id, who))
            pipelines.complete(pipeline, "upload", True)
            pipeline.step = "preview"
        session.add(pipeline)
        session.flush()
        record_activity(session, who.user_id, "pipeline_created", about=("pipeline", pipeline.id), name=pipeline.name)
        set_etag(response, pipeline)
        response.headers["Location"] = f"/api/v1{router.prefix}/{pipeline.id}"
        return views.detail(session, pipeline, who)


@router.post(
    "/import", status_code=201, response_model=bodies.Imported, summary="Import a pipeline", openapi_extra=DOCUMENT
)
async def import_pipeline(request: Request, who: Analyst, language: Language) -> dict[str, Any]:
    """Create a pipeline from an export or a `pipeline.yaml`.

    Settings that do not fit here are reported and left open in their step.
    """
    content = await request.body()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(error) from None
    return await run_in_threadpool(views.bring_in, who, text, language)


@router.get("/{pipeline_id}", response_model=bodies.PipelineDetail, summary="One pipeline", responses=MISSING)
def get_pipeline(pipeline_id: ObjectId, who: Who, response: Response) -> dict[str, Any]:
    """A pipeline with the settings of its steps, its dataset and its models."""
    with reading() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who)
        set_etag(response, pipeline)
        return views.detail(session, pipeline, who)


@router.put("/{pipeline_id}", response_model=bodies.PipelineDetail, summary="Rename a pipeline", responses=CHANGING)
def change_pipeline(
    pipeline_id: ObjectId, body: bodies.PipelineChange, who: Analyst, expected: Version, response: Response
) -> dict[str, Any]:
    """Change a pipeline's name or description."""
    with writing() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        check_version(pipeline, expected)
        for name, value in body.model_dump(exclude_none=True).items():
            setattr(pipeline, name, value)
        session.flush()
        set_etag(response, pipeline)
        return views.detail(session, pipeline, who)


@router.delete(
    "/{pipeline_id}",
    status_code=204,
    summary="Delete a pipeline",
    responses=CHANGING | {409: {"description": "One of its models is being trained"}},
)
def delete_pipeline(pipeline_id: ObjectId, who: Analyst, expected: Version) -> None:
    """Delete a pipeline; its models and its dataset stay."""
    with writing() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "own")
        check_version(pipeline, expected)
        pipelines.remove(session, pipeline, who)


@router.get("/{pipeline_id}/state", response_model=bodies.State, summary="Progress of a pipeline", responses=MISSING)
def get_state(pipeline_id: ObjectId, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """The current step, the completed steps with their settings, and the reachable steps."""
    with reading() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who)
        set_etag(response, pipeline)
        return views.state(session, pipeline, who, language)


@router.put(
    "/{pipeline_id}/steps/{step}", response_model=bodies.StepSaved, summary="Complete a step", responses=UNREACHABLE
)
def put_step(
    pipeline_id: ObjectId,
    step: str,
    body: bodies.StepData,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Validate a step's settings against the data and store them.

    Later steps that depend on a change must be confirmed again.
    """
    answer = views.save_step(who, pipeline_id, step, body.data, expected, language, body.confirm)
    response.headers["ETag"] = f'"{answer["version"]}"'
    return answer


@router.post("/{pipeline_id}/navigate", response_model=bodies.State, summary="Go to a step", responses=UNREACHABLE)
def navigate(
    pipeline_id: ObjectId,
    body: bodies.Navigate,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Make a step the current one; an error names the steps that must be completed first."""
    step = pipelines.check_step(body.to)
    with writing() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        check_version(pipeline, expected)
        views.check_reachable(pipeline, step)
        pipeline.step = step
        session.flush()
        set_etag(response, pipeline)
        return views.state(session, pipeline, who, language)


@router.get(
    "/{pipeline_id}/export",
    summary="Export a pipeline",
    responses=MISSING
    | {200: {"model": bodies.Exported, "content": {"application/yaml": {"schema": {"type": "object"}}}}},
)
def export(pipeline_id: ObjectId, who: Who, format: Literal["json", "yaml"] = "json") -> Response:
    """All settings with the data's fingerprint: JSON to import elsewhere, or a `pipeline.yaml` for `vur run`."""
    with reading() as session:
        document, config = views.export(session, fetch(session, Pipeline, pipeline_id, who), who)
    if format == "json":
        return Response(
            bodies.Exported(**document).model_dump_json(indent=1),
            media_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="pipeline.json"'},
        )
    about = document["dataset"]
    notes = [f"VUR {document['vur']}: {document['name']}"] + (
        [f"data: {about['filename']}, SHA-256 {about['fingerprint']}"] if about else []
    )
    return Response(
        steps.to_yaml(config, notes),
        media_type="application/yaml",
        headers={"Content-Disposition": 'attachment; filename="pipeline.yaml"'},
    )


@router.post(
    "/{pipeline_id}/models",
    status_code=201,
    response_model=bodies.ModelMade,
    summary="Create the model of a pipeline",
    responses=UNREACHABLE,
)
def make_model(pipeline_id: ObjectId, who: Analyst, body: bodies.MakeModel | None = None) -> dict[str, Any]:
    """Create a model with exactly the pipeline's settings, ready to train."""
    with writing() as session:
        model = views.make_model(
            session, who, fetch(session, Pipeline, pipeline_id, who, "edit"), body.name if body else None
        )
        session.flush()
        return {
            "model_id": model.id,
            **{
                name: getattr(model, name)
                for name in ("name", "algorithm", "status", "pipeline_id", "dataset_id", "config")
            },
        }
