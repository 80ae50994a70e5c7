"""The BentoML service: forecasts from the model store over HTTP. `bentofile.yaml` names it."""

import bentoml
import pandas as pd
from bentoml.exceptions import InvalidArgument

from vur.errors import VurError
from vur.runs.predict import forecast
from vur.serving.token import RequireToken
from vur.store.models import list_models


@bentoml.service(name="vur", traffic={"timeout": 120})
class Vur:
    """Prediction endpoints over every model of the store."""

    @bentoml.api
    def predict(self, model: str, horizon: int | None = None, levels: list[int] | None = None,
                future: list[dict] | None = None) -> list[dict]:
        """Forecast rows `unique_id, ds, forecast, lo-L, hi-L` from a saved model, given by name or exact tag."""
        try:
            rows = forecast(model, horizon, future=None if future is None else pd.DataFrame(future), levels=tuple(levels) if levels else None)
        except VurError as error:
            raise InvalidArgument(str(error)) from None
        return rows.assign(ds=rows["ds"].astype(str)).to_dict("records")

    @bentoml.api
    def models(self) -> list[dict]:
        """The saved models, newest first."""
        return list_models().astype({"created": str}).to_dict("records")


Vur.add_asgi_middleware(RequireToken)
