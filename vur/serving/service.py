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
from vur.serving.middleware.metrics import predicted  # noqa: E402

DAY = 86_400
app = create_app()


# The timeout counts to the first byte of an answer, so that a slow upload would get 504: requests have limits of their
# own.
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
        horizon: Annotated[
            int | None, Field(ge=1, le=10_000, description="Steps; what the model was trained for when left out")
        ] = None,
        levels: Annotated[list[float] | None, Field(description="Interval levels in percent")] = None,
        series: Annotated[
            list[str] | list[dict[str, Any]] | None, Field(description="Names of series, or rows of new observations")
        ] = None,
        future: Annotated[
            list[dict[str, Any]] | None, Field(description="Rows with coming values of columns known in advance")
        ] = None,
    ) -> dict[str, Any]:
        """Forecasts with intervals, by series; every answer is in the ledger before it is sent."""
        scope = ctx.request.scope
        language = language_of(ctx.request.headers, scope["vur.principal"].language)
        asked = PredictionRequest(horizon, levels, series, future, request_id=scope.get("vur.request_id"))
        try:
            answer = await predict_async(scope["vur.principal"], model, asked)
        except VurError as error:
            scope["vur.error"] = error
            raise told(error, language) from None
        predicted("request", answer.values)
        return json.loads(answer.json(language))


def told(error: VurError, language: str) -> BentoMLException:
    """`error` as something that BentoML passes on; the guard gives the answer the form that all errors have."""
    return (NotFound if status_of(error.code) == 404 else InvalidArgument)(error.text(language))


class OnlyFaults(logging.Filter):
    """BentoML logs a traceback for every answer that is an error: those that only tell a client what is wrong with a request are none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is about a fault of ours."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        return not (isinstance(error, BentoMLException) and error.error_code.value < 500)


logging.getLogger("bentoml._internal.server.http_app").addFilter(OnlyFaults())


service: Any = Vur  # a bentoml.Service: type checkers ignore what a class decorator returns
service.add_asgi_middleware(Guard)
