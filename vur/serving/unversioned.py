"""The interface for factories without version: its paths, and the shape that its clients expect of a wrong request."""

import re
from typing import Any

from fastapi.responses import JSONResponse

from vur.errors import VurError, error_body, sendable

WEBHOOK = "/webhook/treinamento/"
PATHS = re.compile(r"/(machines|train|ranking|webhook/treinamento)(/.*)?")
WRONG = (400, 415, 422)  # statuses of a request that cannot be understood: here they are all 422
FORM = "Body_train_model_train__post"
SCHEMAS: dict[str, Any] = {
    FORM: {
        "properties": {"file": {"type": "string", "format": "binary", "title": "File"}},
        "type": "object",
        "required": ["file"],
        "title": FORM,
    }
}


def is_unversioned(path: str) -> bool:
    """Whether a path belongs to the interface without version."""
    return PATHS.fullmatch(path) is not None


def refusal(error: VurError, language: str, path: str, problems: list[dict[str, Any]] | None = None) -> JSONResponse:
    """The answer 422 with a `detail` of `loc, msg, type`, and beside it what every error of the service has."""
    body = error_body(error, language)
    found = problems or [{"loc": _place(error, body["field"], path), "msg": body["detail"], "type": error.code}]
    return JSONResponse(body | {"detail": sendable(found)}, 422)


def _place(error: VurError, field: str | None, path: str) -> list[str]:
    """Where in a request its fault is: in the body, or in the query, which has all choices about a file."""
    if error.code.startswith("forms.") and field in ("-", None):
        return ["body", "file"]
    if error.code == "upload.option":  # a choice how the file is read
        field = str(error.data["option"])
    in_query = field is not None and path.startswith("/train") and not error.code.startswith("forms.")
    return ["query" if in_query else "body", *([field] if field else [])]
