"""Forecast from a saved model, without retraining."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from vur.errors import VurError
from vur.panel import Frequency
from vur.runs.stamps import to_zone
from vur.stages.model import load_pipeline
from vur.stages.upload import upload
from vur.store.models import find_model, model_folder


def forecast(tag: str, horizon: int | None = None, *, future: pd.DataFrame | str | Path | None = None,
             levels: tuple[int, ...] | None = None) -> pd.DataFrame:
    """`unique_id, ds, forecast, lo-L, hi-L` for `horizon` steps after the end of the model's data.

    `tag` is a model's name (its newest version) or exact tag. `future` holds the known-future columns for every step, as a
    frame or file with the same column names as the training data. Levels default to those that were trained.
    """
    metadata = find_model(tag).info.metadata
    path = model_folder(tag)
    head = json.loads((path / "panel.json").read_text(encoding="utf-8"))
    model = load_pipeline(path)
    frame = model.predict(int(horizon or metadata["horizon"]), future_rows(future, head),
                          levels=tuple(levels or metadata["levels"]))
    freq = Frequency(**{**head["freq"], "seasons": tuple(head["freq"]["seasons"])})
    return to_zone(frame, head["tz"], freq)


def future_rows(future: pd.DataFrame | str | Path | None, head: dict[str, Any]) -> pd.DataFrame | None:
    """Future covariates in panel columns (`unique_id, ds, …`) from the user's column names."""
    if future is None:
        return None
    frame = future if isinstance(future, pd.DataFrame) else _read(Path(future))
    names = head["names"]
    series = [names["series"]] if isinstance(names.get("series"), str) else list(names.get("series") or [])
    if {"unique_id", "ds"} <= set(frame.columns):
        return frame.assign(unique_id=frame["unique_id"].astype(str))
    for column in (names["date"], *series):
        if column not in frame.columns:
            raise VurError("panel.column_missing", column=column, columns=", ".join(map(str, frame.columns)), role="future")
    ids = frame[series].astype(str).agg("/".join, axis=1) if series else head["series"][0]
    return frame.assign(unique_id=ids, ds=frame[names["date"]]).drop(columns=[names["date"], *series])


def _read(path: Path) -> pd.DataFrame:
    import tempfile

    if not path.is_file():
        raise VurError("runs.no_file", path=path)
    with tempfile.TemporaryDirectory() as scratch:
        return pd.read_parquet(upload(path, Path(scratch)).parquet)
