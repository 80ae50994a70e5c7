"""Monitoring: pipelines, models, databases, continuous predictions, system."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy import select

from vur.errors import VurError
from vur.serving.dependencies import Analyst, Language, Listed, Operator, Who, list_rows, set_etag
from vur.serving.routes import databases
from vur.serving.schemas import monitoring as bodies
from vur.serving.schemas.health import Ready
from vur.serving.schemas.texts import ObjectId
from vur.store.accounts.access import fetch, visible
from vur.store.catalog import Model, Monitor, Pipeline
from vur.store.database import reading, writing
from vur.store.feeds import monitors
from vur.store.feeds.connections import Columns, open_source
from vur.store.feeds.connections import find as find_source
from vur.store.models import standing
from vur.store.operations import health

router = APIRouter(prefix="/monitoring", tags=["monitoring"])
router.include_router(databases.router)
PIPELINES = {name: getattr(Pipeline, name) for name in ("created_at", "updated_at", "name", "status")}
MODELS = {name: getattr(Model, name) for name in ("created_at", "trained_at", "name", "algorithm", "family")}
MONITORS = {name: getattr(Monitor, name) for name in ("created_at", "last_run_at", "state", "interval_seconds")}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such object, or none that you may see"}}
CHANGING = MISSING | {403: {"description": "You may view it, not change it"}}
MISFIT: dict[int | str, dict[str, Any]] = {
    409: {"description": "The model is not trained, or already follows this source"},
    422: {"description": "The source does not fit the model"},
}


@router.get("/pipelines", response_model=bodies.PipelineStatusList, summary="Pipelines and their activity")
def get_pipelines(who: Who, asked: Listed) -> dict[str, Any]:
    """Your pipelines and those shared with you: step, models, training jobs and monitors."""
    with reading() as session:
        rows, page = list_rows(
            session,
            visible(select(Pipeline), Pipeline, who),
            asked,
            sortable=PIPELINES,
            searchable=(Pipeline.name, Pipeline.description),
        )
        return {"items": standing.pipeline_rows(session, rows)} | page


@router.get("/models", response_model=bodies.ModelStatusList, summary="Trained models and their performance")
def get_models(who: Who, asked: Listed) -> dict[str, Any]:
    """Trained models: metrics, champions, retraining advice, and forecasts compared with the actual values."""
    with reading() as session:
        trained = visible(select(Model), Model, who).where(Model.tag.is_not(None))
        rows, page = list_rows(
            session,
            trained,
            asked,
            sortable=MODELS,
            searchable=(Model.name, Model.algorithm, Model.family),
            default="-trained_at",
        )
        return {"items": standing.model_rows(session, who, rows)} | page


# --- continuous predictions ---


def _told(problem: dict[str, Any] | None, language: str) -> dict[str, Any] | None:
    """Return a problem in the user's language."""
    if problem is None:
        return None
    series = {id: _sentence(one, language) for id, one in problem["series"].items()} if "series" in problem else None
    return problem | {"detail": _sentence(problem, language), "series": series}


def _sentence(problem: dict[str, Any], language: str) -> str:
    try:
        return monitors.sentence(VurError(problem["code"], **problem["data"]), language)
    except KeyError:  # stored by another version, whose texts differed
        return problem["detail"]


def _one(session: Any, monitor: Monitor, language: str) -> dict[str, Any]:
    shown = monitors.shown(session, [monitor])[0]
    return shown | {"error": _told(shown["error"], language)}


@router.post(
    "/predictions/start",
    status_code=201,
    response_model=bodies.MonitorOut,
    summary="Start continuous predictions",
    responses=CHANGING | MISFIT,
)
def start_predictions(
    body: bodies.MonitorStart, who: Analyst, language: Language, response: Response
) -> dict[str, Any]:
    """Every `interval_seconds`: read new rows of a source, score earlier forecasts, forecast, notify live clients."""
    with reading() as session:
        source = find_source(session, who, body.database_id)
        fetch(session, Model, body.model_id, who)
    with open_source(source) as reader:
        reader.check(source.table, Columns.of(source).names)
    with writing() as session:
        monitor = monitors.start(
            session, who, body.model_id, body.database_id, body.interval_seconds, body.pipeline_id, body.follow
        )
        set_etag(response, monitor)
        return _one(session, monitor, language)


@router.post(
    "/predictions/stop", response_model=bodies.MonitorOut, summary="Stop continuous predictions", responses=CHANGING
)
def stop_predictions(body: bodies.MonitorStop, who: Analyst, language: Language) -> dict[str, Any]:
    """Stop a monitor; started again for the same model and source, it resumes where it stopped."""
    with writing() as session:
        return _one(session, monitors.stop(session, who, body.monitor_id), language)


@router.get("/predictions", response_model=bodies.MonitorList, summary="List continuous predictions")
def list_predictions(who: Who, asked: Listed, language: Language) -> dict[str, Any]:
    """Your monitors and those shared with you: status, position, result of the last round, and problems."""
    with reading() as session:
        rows, page = list_rows(session, visible(select(Monitor), Monitor, who), asked, sortable=MONITORS)
        return {
            "items": [one | {"error": _told(one["error"], language)} for one in monitors.shown(session, rows)]
        } | page


@router.get("/predictions/{monitor_id}", response_model=bodies.MonitorOut, summary="One monitor", responses=MISSING)
def get_prediction(monitor_id: ObjectId, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """A monitor's status, position, result of the last round, and problems."""
    with reading() as session:
        monitor = fetch(session, Monitor, monitor_id, who)
        set_etag(response, monitor)
        return _one(session, monitor, language)


@router.delete("/predictions/{monitor_id}", status_code=204, summary="Remove a monitor", responses=CHANGING)
def delete_prediction(monitor_id: ObjectId, who: Analyst) -> None:
    """Stop and delete a monitor; its forecasts stay in the ledger."""
    with writing() as session:
        monitors.remove(session, who, monitor_id)


# --- the service itself ---


@router.get("/system", response_model=bodies.System, summary="Machine and queue metrics")
def get_system(who: Who) -> dict[str, Any]:
    """CPU, memory, disk, network, this process, and the length and age of the job queue."""
    from vur.serving.views.system import measure

    return measure()


@router.get(
    "/health",
    response_model=Ready,
    summary="Readiness",
    responses={503: {"model": Ready, "description": "A component is unhealthy"}},
)
async def get_health() -> JSONResponse:
    """State of database, disk space, model store and worker: `ok`, or what is wrong in a word. Needs no token."""
    from vur.serving.routes.health import readiness

    components = await readiness()
    good = all(state == health.OK for state in components.values())
    return JSONResponse({"status": "ok" if good else "unavailable", "components": components}, 200 if good else 503)


@router.get(
    "/logs",
    response_model=bodies.Logs,
    summary="The latest log records",
    responses={403: {"description": "For administrators, and the key of the setting `metrics_key`"}},
)
def get_logs(
    who: Operator,
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"] | None, Query(description="Lowest level to return")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    request_id: Annotated[
        str | None, Query(max_length=64, description="Only records of one request, by its X-Request-ID")
    ] = None,
) -> dict[str, Any]:
    """Log records of all processes of the service, newest first, with secrets redacted.

    For administrators, and for a collector with the key of the setting `metrics_key`.
    """
    from vur.serving.middleware.logs import recent

    return {"logs": recent(level, limit, request_id)}
