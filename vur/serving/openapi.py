"""OpenAPI parts that FastAPI cannot derive from the endpoints: authentication and the common error shape."""

from typing import Any

from fastapi import FastAPI

from vur.languages import LANGUAGES
from vur.serving.middleware.guard import API, OPEN

ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["detail", "code", "field"],
    "description": "Every error: a sentence in the user's language, a code for programs, and any field at fault.",
    "properties": {
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["api.not_found"]},
        "field": {"type": ["string", "null"]},
        "values": {"type": "object", "description": "Values that fill the sentence"},
        "problems": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": {"type": "string"}, "detail": {"type": "string"}}},
        },
    },
}
SCHEMES = {
    "login": {
        "type": "oauth2",
        "flows": {"password": {"tokenUrl": f"{API}/auth/login", "refreshUrl": f"{API}/auth/refresh", "scopes": {}}},
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, or a personal key that starts with `vur_`",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A personal key"},
}
ABOUT = """
Time series: from a file of dated measurements to forecasts you can trust.

**Start here**: `POST /auth/login` returns an access token; press *Authorize* and paste it under *bearer*. Then
`POST /datasets/upload`, `POST /models/train`, `GET /models/{model_id}/training/status` and
`POST /models/{model_id}/predict`. Live messages (training progress, forecasts, alerts) are sent over the WebSocket
`/ws`.

Every error has the same shape: `detail` in your language (`Accept-Language`: {languages}), `code` for programs,
`field` if one is at fault. Lists take `page`, `limit`, `sort` and `search`. Changes take the object's version in
`If-Match`; uploads and training requests take an `Idempotency-Key`, so that they can be retried safely.
""".replace("{languages}", ", ".join(LANGUAGES))
USUAL = {401: "No valid token", 422: "A value is missing or invalid", 429: "Too many requests; see `Retry-After`"}
METHODS = ("get", "head", "put", "post", "delete", "patch", "options")


def describe(app: FastAPI) -> None:
    """Add authentication and errors to the OpenAPI document of `app`."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        made = app.openapi_schema is None
        found = plain()
        if made:
            _complete(found)
        return found

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _complete(document: dict[str, Any]) -> None:
    document["info"]["description"] = ABOUT.strip()
    components = document.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    schemas = components.setdefault("schemas", {})
    schemas["Error"] = ERROR
    for path, methods in document.get("paths", {}).items():
        for method in METHODS:
            if method in methods:
                _complete_operation(methods[method], path in OPEN)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _complete_operation(operation: dict[str, Any], open: bool) -> None:
    operation["security"] = [] if open else [{name: []} for name in SCHEMES]
    answers = operation.setdefault("responses", {})
    answers.pop("422", None)
    for status, description in USUAL.items():
        if status != 401 or not open:
            answers.setdefault(str(status), {"description": description})
    if "requestBody" in operation:
        answers.setdefault("408", {"description": "The body stopped arriving"})
    for status, answer in answers.items():
        if status >= "400" and "content" not in answer:
            answer["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
