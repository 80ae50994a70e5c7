"""The BentoML service: the REST API, the WebSocket and typed prediction endpoints as one application. `bentofile.yaml` names it."""

import os
from typing import Annotated, Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml  # noqa: E402 - the variable above must be set first
from pydantic import Field  # noqa: E402

from vur.serving.app import create_app  # noqa: E402
from vur.serving.guard import Guard  # noqa: E402

DAY = 86_400
app = create_app()


# The timeout counts to the first byte of an answer: a slow upload would get 504. Requests have limits of their own.
@bentoml.service(name="vur", traffic={"timeout": DAY, "external_queue": False}, metrics={"enabled": False})
@bentoml.asgi_app(app, path="/")
class Vur:
    """Forecasts from trained models; everything else is the REST API under /api/v1."""

    @bentoml.api
    def predict(self, ctx: bentoml.Context, model: str, horizon: Annotated[int, Field(ge=1, le=10_000)] | None = None, levels: list[int] | None = None) -> dict[str, Any]:
        """Forecasts of a model, by id, tag or family."""
        from vur.runs.predict import forecast
        rows = forecast(model, horizon)
        return {"who": str(ctx.request.scope.get("vur.principal")), "rows": rows.assign(ds=rows["ds"].astype(str)).to_dict("records")[:3]}


Vur.add_asgi_middleware(Guard)
