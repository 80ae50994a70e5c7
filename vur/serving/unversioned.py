"""The interface for factories without version: its paths, and the shape that its clients expect of a wrong request."""

import re
from typing import Any

from fastapi.responses import JSONResponse

from vur.errors import VurError, error_body, sendable

WEBHOOK = "/webhook/treinamento/"
PATHS = re.compile(r"/(machines|train|ranking|webhook/treinamento)(/.*)?")
WRONG = (400, 415, 422)  # statuses of a request that cannot be understood: here they are all 422
QUERY = ("machine_id", "target_column", "time_column", "lags", "goal", "level", "seed")
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


def refusal(error: VurError, language: str, problems: list[dict[str, Any]] | None = None) -> JSONResponse:
    """The answer 422 with a `detail` of `loc, msg, type`, and beside it what every error of the service has."""
    body = error_body(error, language)
    field = "file" if error.code.startswith("forms.") and body["field"] in ("-", None) else body["field"]
    found = problems or [
        {
            "loc": ["query" if field in QUERY else "body", *([field] if field else [])],
            "msg": body["detail"],
            "type": error.code,
        }
    ]
    return JSONResponse(body | {"detail": sendable(found)}, 422)
