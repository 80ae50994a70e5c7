"""Monitoring: pipelines, models, databases, continuous predictions, system."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.serving.dependencies import Analyst, Language, Listed, Operator, Who, list_rows, set_etag
from vur.serving.routes import databases
from vur.serving.schemas import monitoring as bodies
from vur.serving.schemas.health import Ready
from vur.serving.schemas.texts import ObjectId
from vur.serving.views.health import health as health_of
from vur.serving.views.health import thresholds_shown, verdict_shown
from vur.serving.views.streams import stream
from vur.store.accounts.access import Principal, fetch, visible
from vur.store.catalog import Model, Monitor, Pipeline, now
from vur.store.database import reading, writing
from vur.store.feeds import monitors
from vur.store.feeds.connections import Columns, open_source
from vur.store.feeds.connections import find as find_source
from vur.store.models import standing, thresholds
from vur.store.models.champions import check_trained
from vur.store.operations import health, machine

router = APIRouter(prefix="/monitoring", tags=["monitoring"])
router.include_router(databases.router)
PIPELINES = {name: getattr(Pipeline, name) for name in ("created_at", "updated_at", "name", "status")}
MODELS = {name: getattr(Model, name) for name in ("created_at", "trained_at", "name", "algorithm", "family")}
MONITORS = {name: getattr(Monitor, name) for name in ("created_at", "last_run_at", "state", "interval_seconds")}
ModelQuery = Annotated[
    str | None, Query(max_length=64, pattern="^[A-Za-z0-9_-]+$", description="Id of a model; default: all your models")
]
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
def get_models(who: Who, asked: Listed, language: Language) -> dict[str, Any]:
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
        found = standing.model_rows(session, who, rows)
        return {
            "items": [
                one | {"verdict": verdict_shown(one["verdict"], one["name"], language, one["evidence"])}
                for one in found
            ]
        } | page


@router.get(
    "/models/{model_id}/health",
    response_model=bodies.ModelHealth,
    summary="Is the model still good?",
    responses=MISSING | {409: {"description": "The model is not trained"}},
)
def get_health_of_model(model_id: ObjectId, who: Who, language: Language) -> dict[str, Any]:
    """Should it be retrained, in words and numbers.

    Live accuracy from the ledger against that of its training and the seasonal naive forecast, coverage of intervals,
    drift of inputs, age, and data since.
    """
    with reading() as session:
        model = fetch(session, Model, model_id, who)
        check_trained(model)
        return health_of(session, model, language)


# --- thresholds of alerts ---


@router.get("/thresholds", response_model=bodies.Thresholds, summary="Thresholds of alerts", responses=MISSING)
def get_thresholds(who: Who, language: Language, model_id: ModelQuery = None) -> dict[str, Any]:
    """From which values on alerts are raised: for all your models, or with `model_id` for one of them."""
    with reading() as session:
        owner, of = _place(session, who, model_id, "view")
        return {"model_id": model_id, "items": thresholds_shown(session, owner, of, language)}


@router.put("/thresholds", response_model=bodies.Thresholds, summary="Set thresholds of alerts", responses=CHANGING)
def put_thresholds(body: bodies.ThresholdsNew, who: Analyst, language: Language) -> dict[str, Any]:
    """Set from which values on alerts are raised: for all your models, or for one that you may change."""
    with writing() as session:
        owner, of = _place(session, who, body.model_id, "edit")
        thresholds.put(session, owner, body.values, of)
        return {"model_id": body.model_id, "items": thresholds_shown(session, owner, of, language)}


@router.delete("/thresholds", status_code=204, summary="Forget thresholds of alerts", responses=CHANGING)
def delete_thresholds(
    who: Analyst,
    model_id: ModelQuery = None,
    kind: Annotated[list[str] | None, Query(max_length=20, description="Repeatable; default: all kinds")] = None,
) -> None:
    """Forget thresholds: those of the user count again for a model, and the usual ones for a user."""
    with writing() as session:
        owner, of = _place(session, who, model_id, "edit")
        thresholds.reset(session, owner, kind or list(thresholds.KINDS), of)


def _place(session: Session, who: Principal, model_id: str | None, right: str) -> tuple[str, str]:
    """Return the owner of thresholds and the model that they are of, empty for all."""
    if model_id is None:
        return who.user_id, thresholds.ALL
    model = fetch(session, Model, model_id, who, right)
    return model.owner_id, model.id


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


@router.get(
    "/predictions/{monitor_id}/points",
    response_model=bodies.Stream,
    summary="Points of continuous predictions",
    responses=MISSING,
)
def get_points(
    monitor_id: ObjectId,
    who: Who,
    series: Annotated[str | None, Query(max_length=500, description="Name of a series; default: the first")] = None,
    points: Annotated[int, Query(ge=2, le=1000, description="Most stamps, the last ones")] = 120,
) -> dict[str, Any]:
    """What was forecast for a series with its intervals, what came, and what is forecast now, for a chart."""
    with reading() as session:
        return stream(session, fetch(session, Monitor, monitor_id, who), series, points)


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


@router.get("/system/history", response_model=bodies.SystemHistory, summary="The machine's load over time")
def get_system_history(
    who: Who,
    hours: Annotated[float, Query(gt=0, le=48, description="How far back")] = 3,
    points: Annotated[int, Query(ge=2, le=1000, description="Most points; more are averaged")] = 120,
) -> dict[str, Any]:
    """CPU, memory, disk, network and jobs, as a worker samples them every half minute; two days are kept."""
    with reading() as session:
        return machine.samples(session, now() - timedelta(hours=hours), points)


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
    search: Annotated[str | None, Query(max_length=200, description="Only records that contain this text")] = None,
    reads: Annotated[bool, Query(description="Also successful requests that only read")] = True,
) -> dict[str, Any]:
    """Log records of all processes of the service, newest first, with secrets redacted.

    For administrators, and for a collector with the key of the setting `metrics_key`.
    """
    from vur.serving.middleware.logs import recent

    return {"logs": recent(level, limit, request_id, search, reads)}
