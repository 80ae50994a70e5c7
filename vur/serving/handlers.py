"""What FastAPI does with an exception: every error gets the one shape of `vur.serving.errors`."""

import re
from functools import cache
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from vur.errors import VurError, error_body, sendable
from vur.serving.errors import CODES, DOCS, error_response, language_of, status_of
from vur.serving.unversioned import WRONG, is_unversioned
from vur.serving.unversioned import refusal as unversioned_refusal
from vur.serving.validation import refusal, unreadable
from vur.store.full_disk import disk_error, is_full

NO_DATABASE = (
    OperationalError,
    InterfaceError,
    NoConnection,
)  # it does not respond, or the connection pool is exhausted
MOST_PROBLEMS = 100  # of one body that an answer lists
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def _reader(request: Request) -> str:
    principal = request.scope.get("vur.principal")
    return language_of(request.headers, principal.language if principal else None)


async def _vur_error(request: Request, error: VurError) -> JSONResponse:
    if is_unversioned(request.url.path) and status_of(error.code) in WRONG:
        return unversioned_refusal(error, _reader(request), request.url.path)
    return error_response(error, _reader(request))


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    if isinstance(error.body, bytes):  # it was not read, as its content type is not JSON
        found = request.headers.get("content-type") or "-"
        return await _vur_error(request, VurError("api.not_json", found=found[:100]))
    cause, reasons = refusal(error.errors()[:MOST_PROBLEMS])
    language = _reader(request)
    if is_unversioned(request.url.path):
        told = [{"loc": one["loc"], "type": one["type"]} for one in error.errors()[:MOST_PROBLEMS]]
        said = [one | {"msg": reason.text(language)} for one, (_, reason) in zip(told, reasons, strict=True)]
        return unversioned_refusal(cause, language, request.url.path, said)
    problems = [{"field": field, "detail": reason.text(language)} for field, reason in reasons]
    return JSONResponse(error_body(cause, language) | {"problems": sendable(problems)}, status_of(cause.code))


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    code, headers = CODES.get(error.status_code, "api.http"), dict(error.headers or {})
    values: dict[str, Any] = {}
    if code in ("api.no_route", "api.method"):
        values = {"path": request.url.path, "method": request.method, "docs": DOCS}
    if code == "api.method":
        headers["Allow"] = values["allowed"] = ", ".join(allowed_methods(request.app, request.scope))
    elif code == "api.unreadable":
        values = unreadable(error.__cause__ or error).data
    elif code == "api.http":
        values = {"status": error.status_code, "reason": str(error.detail)}
    body = error_body(VurError(code, **values), _reader(request))
    return JSONResponse(body, error.status_code, headers)


def allowed_methods(app: FastAPI, scope: Scope) -> list[str]:
    """Return the methods of the path of `scope`, as documented: several routes may share a path.

    `/models/configure` is itself, although it could also be read as an id in `/models/{model_id}`.
    """
    documented = app.openapi()["paths"]
    fitting = [template for template in documented if _pattern(template).fullmatch(scope["path"])]
    if fitting:
        methods = documented[min(fitting, key=lambda template: template.count("{"))]
        return sorted(method.upper() for method in methods if method.upper() in METHODS)
    asked = {method: dict(scope) | {"method": method} for method in METHODS}
    return [name for name, one in asked.items() if any(route.matches(one)[0] is Match.FULL for route in app.routes)]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)))


async def _stale(request: Request, error: StaleDataError) -> JSONResponse:
    return error_response(VurError("api.conflict"), _reader(request))


async def _internal(request: Request, error: Exception) -> JSONResponse:
    if is_full(error):
        return error_response(disk_error(), _reader(request))
    return error_response(VurError("api.internal", id=request.scope.get("vur.request_id", "-")), _reader(request))


async def _no_database(request: Request, error: SQLAlchemyError) -> JSONResponse:
    return error_response(unavailable(error), _reader(request))


def unavailable(error: Exception) -> VurError:
    """The error to answer where the database failed: of the disk if that is full."""
    return disk_error() if is_full(error) else VurError("api.database", seconds=5)


async def _of_disk(request: Request, error: OSError) -> JSONResponse:
    if not is_full(error):
        raise error
    return error_response(disk_error(), _reader(request))


async def _no_value(request: Request, error: DataError) -> JSONResponse:
    return error_response(
        VurError("api.invalid", field="request", reason=str(error.orig).strip().splitlines()[0]), _reader(request)
    )


def add_handlers(app: FastAPI) -> None:
    """Answer every error of `app` in the common shape."""
    app.exception_handler(Exception)(_internal)
    for kind in NO_DATABASE:
        app.exception_handler(kind)(_no_database)
    app.exception_handler(OSError)(_of_disk)
    app.exception_handler(DataError)(_no_value)
    app.exception_handler(VurError)(_vur_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(StaleDataError)(_stale)
