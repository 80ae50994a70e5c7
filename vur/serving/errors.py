"""One JSON shape for every error: `detail` in the user's language, `code` for programs, `field` if one is at fault."""

from typing import Any

from starlette.responses import JSONResponse

from vur.errors import VurError, error_body
from vur.text import DEFAULT_LANGUAGE, LANGUAGES

STATUS = {
    "api.unauthenticated": 401,
    "api.credentials": 401,
    "package.unauthenticated": 401,
    "package.no_model": 404,
    "api.forbidden": 403,
    "api.not_yours": 403,
    "api.closed": 403,
    "api.downloads_off": 403,
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
    "api.not_json": 415,
    "api.broken_json": 400,
    "api.unreadable": 400,
    "api.throttled": 429,
    "api.busy": 503,
    "api.stopping": 503,
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
    "forms.media_type": 415,
    "forms.boundary": 415,
    "forms.json": 415,
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
    "overrides.known": 409,
    "overrides.withdrawn": 409,
    "overrides.scored": 409,
    "publications.too_many": 409,
    "tables.no_version": 404,
    "tables.not_trained": 409,
    "tables.busy": 409,
    "tables.input_gone": 410,
    "tables.no_results": 409,
    "tables.no_file": 409,
    "tables.too_many_rows": 413,
    "webhooks.too_many": 409,
    "webhooks.waiting": 409,
    "webhooks.pending": 409,
    "webhooks.off": 409,
    "machines.busy": 409,
    "machines.no_training": 404,
    "machines.no_ranking": 409,
    "machines.no_file": 409,
    "machines.over": 409,
    "machines.answered": 409,
    "machines.delivery_reused": 409,
    "machines.no_secret": 403,
    "machines.signature": 403,
    "machines.header": 403,
    "machines.old": 403,
}
# Families of codes with one status: a file that cannot be read is a client error (400), as the API's documents say.
FAMILIES = {"champions": 409, "upload": 400, "dialect": 400, "source": 400, "forms": 400}
DOCS = "/api/v1/docs"  # where a browser finds the documentation of the service
CODES = {400: "api.unreadable", 404: "api.no_route", 405: "api.method"}


class Stopped(Exception):
    """A body exceeded a limit while it was read."""


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
