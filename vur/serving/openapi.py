"""OpenAPI parts that FastAPI cannot derive from the endpoints: authentication and the common error shape."""

from typing import Any

from fastapi import FastAPI

from vur.languages import LANGUAGES
from vur.serving.middleware.guard import API, is_open
from vur.serving.schemas.machines import Delivery
from vur.serving.unversioned import SCHEMAS, is_unversioned

ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["detail", "code", "field", "values"],
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
READ = ("get", "head")
FALLBACK = {  # what an answer means where its operation does not say more
    400: "The body cannot be read, or is not valid JSON",
    401: "No valid token",
    403: "Your role, or your permission on the object, does not allow this",
    404: "There is no such object, or you may not see it",
    405: "Another method of this path; `Allow` lists those that it has",
    408: "The body stopped arriving",
    409: "The state of the object does not allow this now, or a request with the same key is in progress",
    412: "`If-Match` names another version than the current one",
    413: "The body is larger than its limit",
    415: "The body has another content type",
    422: "A value is missing or invalid",
    429: "Too many requests; see `Retry-After`",
    503: "The service cannot answer now; see `Retry-After`",
    507: "The disk is full",
}
WRONG = {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}}
ALLOW = {"Allow": {"description": "The methods of this path", "schema": {"type": "string"}}}
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
    schemas |= {"Error": ERROR} | SCHEMAS | _signed()
    for path, methods in document.get("paths", {}).items():
        for method in METHODS:
            if method in methods:
                answers = methods[method].setdefault("responses", {})
                if is_unversioned(path):
                    answers.setdefault("422", {"description": FALLBACK[422]})["content"] = WRONG
                else:
                    answers.pop("422", None)
                _complete_operation(methods[method], method, is_open(path), schemas)


def _signed() -> dict[str, Any]:
    """The schemas of a body that is read by hand, because its signature is over its bytes."""
    found = Delivery.model_json_schema(ref_template="#/components/schemas/{model}")
    return found.pop("$defs") | {"Delivery": found}


def _complete_operation(operation: dict[str, Any], method: str, open: bool, schemas: dict[str, Any]) -> None:
    operation["security"] = [] if open else [{name: []} for name in SCHEMES]
    answers = operation.setdefault("responses", {})
    for status in sorted(usual_statuses(operation, method, open, schemas)):
        answers.setdefault(str(status), {"description": FALLBACK[status]})
    answers["405"]["headers"] = ALLOW
    for status, answer in answers.items():
        if status >= "400" and "content" not in answer:
            answer["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


def usual_statuses(operation: dict[str, Any], method: str, open: bool, schemas: dict[str, Any]) -> set[int]:
    """Return the statuses of errors that follow from the form of an operation: its method, its body, its parameters."""
    found = {405, 422, 429, 503}
    kinds = (operation.get("requestBody") or {}).get("content", {})
    places = {(one["in"], one["name"].lower()) for one in operation.get("parameters", ())}
    if not open:
        found |= {401} if method in READ else {401, 403, 409, 507}
    if kinds:
        found |= {400, 408, 413, 415}
    if any(place == "path" for place, _ in places) or any(_names_objects(one, schemas) for one in kinds.values()):
        found.add(404)
    if ("header", "if-match") in places:
        found.add(412)
    return found


def _names_objects(content: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Whether a body names an object by its id, which may be unknown."""
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    names = set(schema.get("properties", ()))
    return "model" in names or any(name.endswith("_id") for name in names)
