"""Predictions: single requests, batches, the ledger of answered forecasts, and champions."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.models.moving import unused_columns, unused_sentence
from vur.predictions.answer import describe
from vur.predictions.open_models import open_model
from vur.predictions.predict import REAL_TIME, NothingForecast, PredictionRequest, actuals, predict_async
from vur.serving.dependencies import (
    NO_DOWNLOADS,
    Analyst,
    Downloader,
    Language,
    Listed,
    Who,
    language,
    list_rows,
    principal,
)
from vur.serving.downloads import attachment
from vur.serving.errors import status_of
from vur.serving.middleware.metrics import predicted
from vur.serving.schemas import predictions as bodies
from vur.serving.schemas.texts import Moment
from vur.serving.views import batches, ledger
from vur.store.accounts.access import fetch
from vur.store.catalog import Alias, Forecast, Model, Promotion
from vur.store.database import reading, writing
from vur.store.home import folder
from vur.store.models import champions
from vur.text import phrase

router = APIRouter(prefix="/predictions", tags=["predictions"])
model_router = APIRouter(prefix="/models", tags=["predictions"])
champion_router = APIRouter(prefix="/models", tags=["models"])

MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such object, or none that you may see"}}
ERRORS = MISSING | {
    409: {"description": "The model is not trained, its family has no champion, or its files were modified"},
    422: {"description": "No series could be forecast; `detail` gives the first reason, `errors` each one"},
    507: {"description": "The ledger could not be written"},
}
SORTABLE = {
    "created_at": Forecast.created_at,
    "horizon": Forecast.horizon,
    "n_series": Forecast.n_series,
    "kind": Forecast.kind,
    "seconds": Forecast.seconds,
}
MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "model"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "Observations since the end of the training data, in any dataset format",
                        },
                        "model": {
                            "type": "string",
                            "description": "A model's id, its exact tag, a family, or `family@champion`",
                        },
                        "horizon": {"type": "integer", "minimum": 1, "maximum": 10_000},
                        "levels": {"type": "string", "examples": ["80,95"]},
                        "whole": {"type": "boolean"},
                        "output": {"type": "string", "enum": ["csv", "parquet"], "default": "csv"},
                        "decimal": {"type": "string"},
                        "delimiter": {"type": "string"},
                        "date_order": {"type": "string"},
                        "sentinels": {"type": "string", "enum": ["missing", "keep"]},
                        "encoding": {"type": "string"},
                    },
                }
            }
        },
    }
}


# --- single requests ---


async def answered(request: Request, model: str, body: bodies.Forecasting, kind: str) -> Response:
    """Forecast, write the ledger and respond. Validating the JSON again would take longer than producing it."""
    asked = PredictionRequest(
        body.horizon,
        body.levels,
        bodies.plain(body.series),
        body.future,
        kind,
        request.scope.get("vur.request_id"),
        body.whole,
    )
    who = principal(request)
    try:
        answer = await predict_async(who, model, asked)
    except NothingForecast as error:
        reader = language(request)
        errors = {id: describe(one, reader) for id, one in error.errors.items()}
        return JSONResponse(describe(error, reader) | {"errors": errors}, status_of(error.code))
    predicted("request", answer.values)
    said = answer.errors or answer.strange or answer.unused  # nothing else depends on the reader's language
    return Response(answer.json(language(request) if said else who.language), media_type="application/json")


@router.post("/predict", response_model=bodies.Answered, responses=ERRORS, summary="Forecast now")
async def post_predict(body: bodies.Prediction, request: Request) -> Response:
    """Forecast with a saved model, without training; the ledger entry is written before the response is sent."""
    return await answered(request, body.model, body, "predict")


@router.post(
    "/real-time", response_model=bodies.Answered, responses=ERRORS, summary="Forecast now and notify live clients"
)
async def post_real_time(body: bodies.Prediction, request: Request) -> Response:
    """Forecast and send the result to live clients as a message `prediction`."""
    return await answered(request, body.model, body, REAL_TIME)


@model_router.post(
    "/{model_id}/predict", response_model=bodies.Answered, responses=ERRORS, summary="Forecast with this model"
)
async def post_model_predict(model_id: str, body: bodies.Forecasting, request: Request) -> Response:
    """Forecast with one model, by its id."""
    return await answered(request, model_id, body, "predict")


# --- batches ---


@router.post("/batch", status_code=202, response_model=bodies.BatchQueued, responses=ERRORS, summary="Batch forecast")
def post_batch(body: bodies.Batch, who: Analyst, reader: Language, response: Response) -> dict[str, Any]:
    """Queue a forecast of many series, as trained or from the end of the observations in a dataset or in the body."""
    rows = batches.rows_of(bodies.plain(body.series))
    if body.dataset_id and rows is not None:
        raise VurError("predictions.one_source", field="dataset_id")
    params = {
        "horizon": body.horizon,
        "levels": body.levels,
        "whole": body.whole,
        "output": body.output,
        "language": reader,
    }
    if rows is not None:
        job, served = batches.submit_rows(who, body.model, params, rows)
        unused = unused_columns(open_model(served).saved, rows)
        return started(response, job, served) | {"warnings": [unused_sentence(one, reader) for one in unused]}
    return started(response, *batches.submit(who, body.model, params, dataset_id=body.dataset_id))


@router.post(
    "/batch/upload",
    status_code=202,
    response_model=bodies.BatchStarted,
    openapi_extra=FORM,
    summary="Batch forecast from a file",
    responses=ERRORS | {413: {"description": "Larger than your storage quota"}},
)
async def post_batch_upload(request: Request, who: Analyst, reader: Language, response: Response) -> dict[str, Any]:
    """Queue a forecast from a file of observations, which is read as strictly as a dataset's file."""
    return started(response, *await batches.submit_form(request, who, reader))


File = Annotated[str | None, Query(max_length=40, description="One of the batch's `files`; the forecast by default")]


def started(response: Response, job: Any, served: champions.Served) -> dict[str, Any]:
    """Return the queued batch and set its `Location`."""
    response.headers["Location"] = f"/api/v1/predictions/batch/{job.id}"
    return {"job_id": job.id, "status": job.state, "model_id": served.id, "model_version": served.tag}


@router.get("/batch/{job_id}", response_model=bodies.BatchOut, responses=MISSING, summary="Status of a batch")
def get_batch(job_id: str, who: Who, reader: Language) -> dict[str, Any]:
    """State and progress of a batch; once it has succeeded, its result and files."""
    with reading() as session:
        job = batches.find_batch(session, job_id, who)
        tag = session.scalar(select(Model.tag).where(Model.id == job.model_id))
    return batches.batch_shown(job, tag, reader)


@router.get(
    "/batch/{job_id}/download",
    response_class=FileResponse,
    summary="Download the result of a batch",
    responses=MISSING
    | NO_DOWNLOADS
    | {
        200: {"content": dict.fromkeys(MEDIA.values(), {})},
        409: {"description": "The batch has not succeeded, or has no such file"},
    },
)
def download_batch(job_id: str, who: Downloader, file: File = None) -> FileResponse:
    """The batch's file of forecasts, errors or rejected rows."""
    with reading() as session:
        job = batches.find_batch(session, job_id, who)
    files = batches.files_of(job)
    name = file or next(iter(files), "")
    if name not in files:
        raise VurError("predictions.not_ready", job=job_id, status=job.state)
    return FileResponse(
        folder("results", job_id) / name,
        media_type=MEDIA[name.rpartition(".")[2]],
        headers=attachment(f"{job_id[:8]}-{name}"),
    )


# --- the ledger ---

Model_ = Annotated[str | None, Query(alias="model", max_length=200, description="A model's id, its tag, or a family")]
Kind = Annotated[
    Literal["predict", "real_time", "batch", "monitor"] | None, Query(description="How the forecast was requested")
]
Since = Annotated[Moment | None, Query(description="Answered at this moment or later; UTC if it has no offset")]
Until = Annotated[Moment | None, Query(description="Answered before this moment")]
Series = Annotated[str | None, Query(max_length=500, description="Only forecasts of this series")]


@router.get("", response_model=bodies.ForecastList, summary="List answered forecasts")
def list_forecasts(
    who: Who,
    asked: Listed,
    model: Model_ = None,
    kind: Kind = None,
    since: Since = None,
    until: Until = None,
    series: Series = None,
) -> dict[str, Any]:
    """Forecasts that you requested; `search` matches tags."""
    chosen = ledger.chosen(who, model=model, kind=kind, since=utc(since), until=utc(until), series=series)
    with reading() as session:
        rows, page = list_rows(session, chosen, asked, sortable=SORTABLE, searchable=(Forecast.tag,))
    return {"items": [ledger.head_shown(row) for row in rows]} | page


router.get("/history", response_model=bodies.ForecastList, summary="List answered forecasts")(list_forecasts)


@router.get("/stats", response_model=bodies.Statistics, summary="Forecast accuracy")
def get_stats(
    who: Who,
    model: Model_ = None,
    kind: Kind = None,
    since: Since = None,
    until: Until = None,
    series: Series = None,
    period: Annotated[Literal["day", "week", "month"], Query(description="Period of the target dates")] = "month",
) -> dict[str, Any]:
    """Counts, and errors and coverage by model, step and period for known actual values; default: the last 30 days.

    Accuracy covers your forecasts and all forecasts of your own models, at most the newest 50,000 values with a known
    actual.
    """
    with reading() as session:
        return ledger.statistics(
            session, who, model=model, since=utc(since), until=utc(until), series=series, kind=kind, period=period
        )


@router.post("/actuals", response_model=bodies.ScoredOut, responses=MISSING, summary="Send actual values")
def post_actuals(body: bodies.Actuals, who: Analyst, reader: Language) -> dict[str, Any]:
    """Match actual values with the forecasts made for them by all models of the family.

    All forecasts of your own models are scored; of other models, only those that you requested.
    """
    rows = batches.rows_of(bodies.plain(body.series))
    if bool(body.dataset_id) == (rows is not None):
        raise VurError("api.invalid", field="series", reason=phrase("api.reason.series_or_dataset"))
    return actuals(who, body.model, rows, body.dataset_id, reader)


@router.get("/{forecast_id}", response_model=bodies.ForecastDetail, responses=MISSING, summary="One forecast")
def get_forecast(
    forecast_id: str,
    who: Who,
    series: Series = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1000, description="Series per page")] = 100,
) -> dict[str, Any]:
    """A forecast with its points and the actual values."""
    with reading() as session:
        return ledger.forecast_shown(session, fetch(session, Forecast, forecast_id, who), series, page, limit)


def utc(moment: datetime | None) -> datetime | None:
    """Return a moment with its time zone, UTC by default."""
    from datetime import UTC

    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


# --- champions ---

Why = Annotated[
    bodies.Promote | None, Body(openapi_examples={"why": {"value": {"reason": "lower error on the last quarter"}}})
]


@champion_router.post(
    "/{model_id}/promote",
    response_model=bodies.ChampionOut,
    responses=MISSING | {409: {"description": "Not trained"}},
    summary="Make a model the champion",
)
def post_promote(model_id: str, who: Analyst, body: Why = None) -> dict[str, Any]:
    """Make the model answer for its family, from the next request on and without a restart."""
    with writing(durable=True) as session:
        model = fetch(session, Model, model_id, who, "edit")
        held = alias_of(session, model)
        before = held.model_id if held else None
        champions.promote(session, model, who.user_id, body.reason if body else "")
        return moved(model, before)


@champion_router.post(
    "/{model_id}/rollback",
    response_model=bodies.ChampionOut,
    summary="Undo a promotion",
    responses=MISSING | {409: {"description": "The family has no champion, or no previous one"}},
)
def post_rollback(model_id: str, who: Analyst) -> dict[str, Any]:
    """Restore the previous champion of the model's family."""
    with writing(durable=True) as session:
        model = fetch(session, Model, model_id, who, "edit")
        held = alias_of(session, model)
        before = held.model_id if held else None
        return moved(champions.rollback(session, model.owner_id, model.family, who.user_id), before)


@champion_router.get(
    "/{model_id}/promotions", response_model=bodies.Moves, responses=MISSING, summary="Champion history"
)
def get_promotions(model_id: str, who: Who) -> dict[str, Any]:
    """Champion changes of the model's family, newest first."""
    with reading() as session:
        model = fetch(session, Model, model_id, who)
        alias = alias_of(session, model)
        newest = (
            select(Promotion).where(Promotion.alias_id == alias.id).order_by(Promotion.created_at.desc()).limit(200)
            if alias
            else None
        )
        moves = [] if newest is None else session.scalars(newest).all()
        keys = ("model_id", "previous_id", "user_id", "reason", "rollback", "created_at")
        items = [{key: getattr(move, key) for key in keys} for move in moves]
        return {"family": model.family, "champion": alias.model_id if alias else None, "items": items}


def alias_of(session: Session, model: Model) -> Alias | None:
    """Return the alias `champion` of the model's family."""
    own = (Alias.owner_id == model.owner_id, Alias.family == model.family, Alias.name == champions.CHAMPION)
    return session.scalar(select(Alias).where(*own))


def moved(model: Model, before: str | None) -> dict[str, Any]:
    """Return the champion after a change and the previous one."""
    return {
        "family": model.family,
        "model_id": model.id,
        "model_name": model.name,
        "model_version": model.tag,
        "previous_id": before if before != model.id else None,
    }
