"""Forecasts from the models in a packaged Bento, and nothing else.

`vur package` writes a service around it.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from vur.errors import VurError
from vur.models.horizon import asked_horizon, asked_levels
from vur.serving.bento import JsonInput
from vur.serving.schemas.forecasting import Horizon, Level

Row = dict[str, str | bool | int | float | None]


class Forecast(JsonInput):
    """The body of a packaged service's `/predict`."""

    model: str | None = Field(
        default=None, max_length=200, description="A model's tag or name; needed if several are packaged"
    )
    horizon: Horizon | None = Field(default=None, description="Steps ahead; as trained by default")
    levels: list[Level] | None = Field(
        default=None, max_length=20, description="Prediction intervals in percent; as trained by default, `[]` for none"
    )
    future: list[Row] | None = Field(
        default=None, description="Future values of known-future columns: one row per series and step"
    )
    whole: bool | None = Field(default=None, description="Whole numbers that keep the sum of each series")


class Nothing(JsonInput):
    """The empty body of a request that has no options."""


class Models:
    """The models of a package by tag, opened on first use; a bare name is enough if it is unambiguous."""

    def __init__(self, folders: Mapping[str, str | Path]):
        self.folders = {tag: Path(path) for tag, path in folders.items()}
        self.opened: dict[str, Any] = {}
        self.lock = threading.Lock()

    def tag(self, name: str | None) -> str:
        """Return the tag of `name`; None means the only model."""
        found = [tag for tag in self.folders if name in (None, tag, tag.partition(":")[0])]
        if len(found) != 1:
            code = "package.which_model" if name is None else "package.no_model"
            raise VurError(code, field="model", value=name, known=", ".join(self.folders))
        return found[0]

    def open(self, tag: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Return pipeline, panel head and metadata of a model, after verifying its checksums."""
        with self.lock:
            if tag not in self.opened:
                from vur.models.saved import open_folder

                self.opened[tag] = open_folder(self.folders[tag], tag)
            return self.opened[tag]

    def describe(self) -> list[dict[str, Any]]:
        """Describe each model: tag, algorithm, horizon, frequency, series, error on the folds, and its run."""
        from vur.store.models.models import folder_metadata

        keys = ("algorithm", "horizon", "freq", "series", "levels", "mase", "run", "fingerprint")
        return [
            {"model": tag} | {key: value for key, value in folder_metadata(path).items() if key in keys}
            for tag, path in self.folders.items()
        ]

    def predict(self, asked: "Forecast | None" = None) -> dict[str, Any]:
        """Return forecast rows `unique_id, ds, forecast, lo-L, hi-L` and the model's tag. `VurError` if it cannot."""
        asked = asked or Forecast()
        tag = self.tag(asked.model)
        rows = forecast_rows(self.open(tag), asked)
        return {"model": tag, "point": self.open(tag)[0].point, "forecasts": rows}


def forecast_rows(opened: tuple[Any, dict[str, Any], dict[str, Any]], asked: "Forecast") -> list[dict]:
    """Return the forecast of an opened model as plain rows."""
    import pandas as pd

    from vur.models.saved import coming_rows, predict_coming, shown_whole
    from vur.stages.model.pipeline import whole_numbers

    pipeline, head, metadata = opened
    steps, trained = asked_horizon(asked.horizon, metadata), metadata["levels"] if pipeline.calibration else ()
    coming = coming_rows(pipeline, head, steps, None if asked.future is None else pd.DataFrame(asked.future))
    rows = predict_coming(pipeline, coming, asked_levels(asked.levels, trained))
    rows = whole_numbers(rows) if shown_whole(asked.whole, metadata) else rows
    return rows.assign(ds=rows["ds"].astype(str)).to_dict("records")
