"""Forecasts from the models in a packaged Bento, and nothing else.

`vur package` writes a service around it.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentoml.exceptions import InvalidArgument

from vur.errors import VurError


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
            raise VurError("store.no_model", tag=name or "-", known=", ".join(self.folders))
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

    def predict(
        self,
        model: str | None = None,
        horizon: int | None = None,
        levels: list[float] | None = None,
        future: list[dict] | None = None,
        whole: bool | None = None,
    ) -> dict[str, Any]:
        """Return forecast rows `unique_id, ds, forecast, lo-L, hi-L` and the model's tag; invalid requests get 400."""
        try:
            tag = self.tag(model)
            rows = forecast_rows(self.open(tag), horizon, levels, future, whole)
        except VurError as error:
            raise InvalidArgument(str(error)) from None
        return {"model": tag, "point": self.open(tag)[0].point, "forecasts": rows}


def forecast_rows(
    opened: tuple[Any, dict[str, Any], dict[str, Any]],
    horizon: int | None,
    levels: list[float] | None,
    future: list[dict] | None,
    whole: bool | None = None,
) -> list[dict]:
    """Return the forecast of an opened model as plain rows."""
    import pandas as pd

    from vur.models.saved import coming_rows, predict_coming, shown_whole
    from vur.stages.model.pipeline import whole_numbers

    pipeline, head, metadata = opened
    coming = coming_rows(
        pipeline, head, int(horizon or metadata["horizon"]), None if future is None else pd.DataFrame(future)
    )
    rows = predict_coming(pipeline, coming, tuple(levels or metadata["levels"]))
    rows = whole_numbers(rows) if shown_whole(whole, metadata) else rows
    return rows.assign(ds=rows["ds"].astype(str)).to_dict("records")
