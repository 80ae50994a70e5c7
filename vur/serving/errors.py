"""One JSON shape for every error: `detail` in the user's language, `code` for programs, `field` if one is at fault."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

from vur.errors import VurError, error_body
from vur.text import DEFAULT_LANGUAGE, LANGUAGES

STATUS = {
    "api.unauthenticated": 401,
    "api.credentials": 401,
    "api.forbidden": 403,
    "api.not_yours": 403,
    "api.closed": 403,
    "api.not_found": 404,
    "api.no_route": 404,
    "api.method": 405,
    "api.conflict": 409,
    "api.taken": 409,
    "api.state": 409,
    "api.running": 409,
    "api.version": 412,
    "models.champion": 409,
    "models.not_trained": 409,
    "models.no_results": 409,
    "api.too_large": 413,
    "api.quota": 413,
    "api.media_type": 415,
    "api.throttled": 429,
    "api.busy": 503,
    "api.internal": 500,
    "api.database": 503,
    "api.in_progress": 409,
    "users.last_admin": 409,
    "users.ended": 401,
    "users.key": 403,
    "users.keys": 409,
    "jobs.no_retry": 409,
    "jobs.over": 409,
    "jobs.no_dataset": 409,
    "jobs.nothing": 404,
    "jobs.no_file": 404,
    "datasets.no_version": 404,
    "pipelines.step": 404,
    "pipelines.unreachable": 409,
    "pipelines.in_use": 409,
    "datasets.gone": 410,
    "datasets.in_use": 409,
    "uploads.busy": 409,
    "uploads.offset": 409,
    "uploads.state": 409,
    "uploads.longer": 413,
    "uploads.aborted": 409,
    "forms.stalled": 408,
    "api.disk": 507,
    "store.no_model": 404,
    "ledger.full": 507,
    "ledger.busy": 503,
    "predictions.not_ready": 409,
    "predictions.input_gone": 410,
    "store.tampered": 409,
    "connections.in_use": 409,
    "monitors.exists": 409,
    "live.limit": 429,
}
# Families of codes with one status: a file that cannot be read is a client error (400), as the API's documents say.
FAMILIES = {"champions": 409, "upload": 400, "dialect": 400, "source": 400, "forms": 400}
NO_DATABASE = (
    OperationalError,
    InterfaceError,
    NoConnection,
)  # it does not respond, or the connection pool is exhausted
CODES = {
    401: "api.unauthenticated",
    404: "api.no_route",
    405: "api.method",
    413: "api.too_large",
    415: "api.media_type",
}


def status_of(code: str) -> int:
    """Return the HTTP status of a `VurError` code; 422 for data and choices that cannot be used."""
    return STATUS.get(code) or FAMILIES.get(code.split(".")[0], 422)


def language_of(headers: Any, preferred: str | None = None) -> str:
    """Return the response language: `Accept-Language` if supported, else the user's own."""
    for part in (headers.get("accept-language") or "").split(","):
        wanted = part.split(";")[0].strip().lower()
        for language in LANGUAGES:
            if wanted and (wanted == language.lower() or wanted.split("-")[0] == language.lower().split("-")[0]):
                return language
    return preferred or DEFAULT_LANGUAGE


def error_response(error: VurError, language: str) -> JSONResponse:
    """Return the response to a request that failed with `error`."""
    headers = {}
    if (status := status_of(error.code)) == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if seconds := error.data.get("seconds"):
        headers["Retry-After"] = str(seconds)
    return JSONResponse(error_body(error, language), status, headers)


def _reader(request: Request) -> str:
    principal = request.scope.get("vur.principal")
    return language_of(request.headers, principal.language if principal else None)


async def _vur_error(request: Request, error: VurError) -> JSONResponse:
    return error_response(error, _reader(request))


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = [
        {"field": ".".join(str(part) for part in one["loc"] if part != "body") or "body", "detail": one["msg"]}
        for one in error.errors()
    ]
    first = problems[0]
    body = error_body(VurError("api.invalid", field=first["field"], reason=first["detail"]), _reader(request))
    return JSONResponse(body | {"problems": problems}, 422)


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    code = CODES.get(error.status_code)
    if code is None:
        return JSONResponse(
            {"detail": str(error.detail), "code": "api.http", "field": None}, error.status_code, error.headers
        )
    answer = error_response(
        VurError(code, path=request.url.path, method=request.method, limit="", seconds=""), _reader(request)
    )
    answer.headers.update(error.headers or {})
    return answer


async def _stale(request: Request, error: StaleDataError) -> JSONResponse:
    return error_response(VurError("api.conflict"), _reader(request))


async def _internal(request: Request, error: Exception) -> JSONResponse:
    return error_response(VurError("api.internal", id=request.scope.get("vur.request_id", "-")), _reader(request))


async def _no_database(request: Request, error: SQLAlchemyError) -> JSONResponse:
    return error_response(VurError("api.database", seconds=5), _reader(request))


async def _no_value(request: Request, error: DataError) -> JSONResponse:
    return error_response(
        VurError("api.invalid", field="request", reason=str(error.orig).strip().splitlines()[0]), _reader(request)
    )


def add_handlers(app: FastAPI) -> None:
    """Answer every error of `app` in the common shape."""
    app.exception_handler(Exception)(_internal)
    for unavailable in NO_DATABASE:
        app.exception_handler(unavailable)(_no_database)
    app.exception_handler(DataError)(_no_value)
    app.exception_handler(VurError)(_vur_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(StaleDataError)(_stale)
