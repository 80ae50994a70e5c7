"""The BentoML service: the REST API, the WebSocket and typed prediction endpoints as one application.

`bentofile.yaml` names it.
"""

import json
import logging
import os
from typing import Annotated, Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml  # noqa: E402 - the variable above must be set first
from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound  # noqa: E402
from pydantic import Field  # noqa: E402

from vur.errors import VurError  # noqa: E402
from vur.predictions.predict import PredictionRequest, predict_async  # noqa: E402
from vur.serving.app import create_app  # noqa: E402
from vur.serving.errors import language_of, status_of  # noqa: E402
from vur.serving.middleware.guard import Guard  # noqa: E402
from vur.serving.middleware.limits import Stopped  # noqa: E402
from vur.serving.middleware.metrics import predicted  # noqa: E402

DAY = 86_400
app = create_app()


# The timeout runs until the first byte of the response, so a slow upload would get 504: requests have their own limits.
@bentoml.service(
    name="vur",
    workers=int(os.environ.get("VUR_API_WORKERS", "1")),
    traffic={"timeout": DAY},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(app, path="/")
class Vur:
    """Forecasts from trained models; everything else is the REST API under /api/v1."""

    @bentoml.api
    async def predict(
        self,
        ctx: bentoml.Context,
        model: Annotated[str, Field(description="Model id, tag, family, or family@champion")],
        horizon: Annotated[int | None, Field(ge=1, le=10_000, description="Steps; default: as trained")] = None,
        levels: Annotated[list[float] | None, Field(description="Interval levels in percent")] = None,
        series: Annotated[
            list[str] | list[dict[str, Any]] | None, Field(description="Series names, or rows of new observations")
        ] = None,
        future: Annotated[
            list[dict[str, Any]] | None, Field(description="Rows with future values of the known-future columns")
        ] = None,
        whole: Annotated[bool | None, Field(description="Whole numbers that keep the sum of each series")] = None,
    ) -> dict[str, Any]:
        """Forecasts with intervals, by series; the ledger entry is written before the response is sent."""
        scope = ctx.request.scope
        language = language_of(ctx.request.headers, scope["vur.principal"].language)
        asked = PredictionRequest(horizon, levels, series, future, request_id=scope.get("vur.request_id"), whole=whole)
        try:
            answer = await predict_async(scope["vur.principal"], model, asked)
        except VurError as error:
            scope["vur.error"] = error
            raise bentoml_error(error, language) from None
        predicted("request", answer.values)
        return json.loads(answer.json(language))


def bentoml_error(error: VurError, language: str) -> BentoMLException:
    """Wrap `error` in an exception that BentoML passes on; the guard gives the response the common error shape."""
    return (NotFound if status_of(error.code) == 404 else InvalidArgument)(error.text(language))


class OnlyFaults(logging.Filter):
    """Drops tracebacks of client errors, which BentoML logs for every error response."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is about a server error."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        theirs = isinstance(error, Stopped) or (isinstance(error, BentoMLException) and error.error_code.value < 500)
        return not theirs


logging.getLogger("bentoml._internal.server.http_app").addFilter(OnlyFaults())


service: Any = Vur  # a bentoml.Service: type checkers ignore what a class decorator returns
service.add_asgi_middleware(Guard)
