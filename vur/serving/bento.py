"""What BentoML's own endpoints share with the rest of the API: how a body is read, and what an error looks like.

Nothing here needs FastAPI or the catalog, as a packaged Bento has neither.
"""

import logging
from typing import Any, Self

from bentoml import IODescriptor
from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from vur.errors import VurError, error_body
from vur.serving.errors import Stopped, status_of
from vur.serving.schemas.body import Body
from vur.serving.validation import read_body

CLIENTS = (ClientDisconnect, Stopped, ValidationError)  # what a client's mistake raises in BentoML


class JsonInput(IODescriptor, Body):
    """The JSON body of a BentoML endpoint: read and refused as any other body."""

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return the schema without examples, for which BentoML's documentation has no place."""
        found = super().model_json_schema(*arguments, **options)
        return {key: value for key, value in found.items() if key != "examples"}

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """Read the body of `request`. What is wrong with it becomes the answer (see `refused`)."""
        try:
            return read_body(cls, request.headers.get("content-type", ""), await request.body())
        except VurError as error:
            raise refused(request.scope, error) from None


def refused(scope: Scope, error: VurError) -> BentoMLException:
    """Return an exception that BentoML passes on, and leave `error` to `CommonErrors`, which writes the answer."""
    scope["vur.error"] = error
    return (NotFound if status_of(error.code) == 404 else InvalidArgument)(error_body(error)["detail"])


class OnlyFaults(logging.Filter):
    """Drops what BentoML logs as an error of the service although it is a mistake of the client."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is about a server error."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        ours = isinstance(error, BentoMLException) and error.error_code.value < 500
        return not (ours or isinstance(error, CLIENTS))


logging.getLogger("bentoml._internal.server.http_app").addFilter(OnlyFaults())
