"""Predictions: at once, in batches, and the ledger of all that were answered."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from vur.serving.deps import language, principal
from vur.serving.errors import status_of
from vur.serving.predicting import REAL_TIME, Asked, NothingForecast, predict_soon
from vur.serving.rendering import describe
from vur.serving.schemas.predictions import Answered, Forecasting, Prediction

router = APIRouter(prefix="/predictions", tags=["predictions"])
model_router = APIRouter(prefix="/models", tags=["predictions"])

ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such model, or none that you may see"},
    409: {"description": "The model is not trained, its family has no champion, or its files were changed"},
    422: {"description": "No series could be forecast: the reason of the first, and of each one under `errors`"},
    507: {"description": "The ledger could not be written"}}


async def answered(request: Request, model: str, body: Forecasting, kind: str) -> Response:
    """Forecast, keep and answer. The JSON is written by hand: to check it again would take longer than to make it."""
    series = body.series
    if isinstance(series, dict):
        series = {id: {name: values for name, values in block} for id, block in series.items()}
    asked = Asked(body.horizon, body.levels, series, body.future, kind, request.scope.get("vur.request_id"))
    who = principal(request)
    try:
        answer = await predict_soon(who, model, asked)
    except NothingForecast as error:
        reader = language(request)
        errors = {id: describe(one, reader) for id, one in error.errors.items()}
        return JSONResponse(describe(error, reader) | {"errors": errors}, status_of(error.code))
    return Response(answer.json(language(request) if answer.errors else "en"), media_type="application/json")


@router.post("/predict", response_model=Answered, responses=ERRORS, summary="Forecast now")
async def post_predict(body: Prediction, request: Request) -> Response:
    """Forecast with a saved model, without training; the answer is in the ledger before it is sent."""
    return await answered(request, body.model, body, "predict")


@router.post("/real-time", response_model=Answered, responses=ERRORS, summary="Forecast now, and tell live clients")
async def post_real_time(body: Prediction, request: Request) -> Response:
    """The same, told to live clients as a message `prediction`."""
    return await answered(request, body.model, body, REAL_TIME)


@model_router.post("/{model_id}/predict", response_model=Answered, responses=ERRORS, summary="Forecast with this model")
async def post_model_predict(model_id: str, body: Forecasting, request: Request) -> Response:
    """Forecast with one model, by its id."""
    return await answered(request, model_id, body, "predict")
