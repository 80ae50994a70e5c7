"""The BentoML service: the REST API, the WebSocket and typed prediction endpoints as one application.

`bentofile.yaml` names it.
"""

import json
import os
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml  # noqa: E402 - the variable above must be set first

from vur.errors import VurError  # noqa: E402
from vur.predictions.predict import PredictionRequest, predict_async  # noqa: E402
from vur.serving.app import create_app  # noqa: E402
from vur.serving.bento import JsonInput, refused  # noqa: E402
from vur.serving.errors import language_of  # noqa: E402
from vur.serving.middleware.guard import Guard  # noqa: E402
from vur.serving.middleware.metrics import predicted  # noqa: E402
from vur.serving.schemas.predictions import Prediction, plain  # noqa: E402

DAY = 86_400
app = create_app()


class PredictInput(JsonInput, Prediction):
    """The body of `/predict`: that of the REST API."""


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

    @bentoml.api(input_spec=PredictInput)
    async def predict(
        self,
        ctx: bentoml.Context,
        model: str,
        horizon: int | None = None,
        levels: list[float] | None = None,
        series: Any = None,
        future: list[dict[str, Any]] | None = None,
        whole: bool | None = None,
    ) -> dict[str, Any]:
        """Forecasts with intervals, by series; the ledger entry is written before the response is sent."""
        scope = ctx.request.scope
        language = language_of(ctx.request.headers, scope["vur.principal"].language)
        asked = PredictionRequest(
            horizon, levels, plain(series), future, request_id=scope.get("vur.request_id"), whole=whole
        )
        try:
            answer = await predict_async(scope["vur.principal"], model, asked)
        except VurError as error:
            raise refused(scope, error) from None
        predicted("request", answer.values)
        return json.loads(answer.json(language))


service: Any = Vur  # a bentoml.Service: type checkers ignore what a class decorator returns
service.add_asgi_middleware(Guard)
