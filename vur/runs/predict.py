"""Forecast from a saved model, without retraining."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vur.runs.future import Coming, check_cells, check_usable, coming_steps, used_columns
from vur.runs.future_file import fill_coming, read_table
from vur.runs.stamps import to_zone
from vur.stages.model import load_pipeline
from vur.store.models import find_model, folder_metadata, verify

if TYPE_CHECKING:
    from vur.stages.model import Pipeline


def forecast(tag: str, horizon: int | None = None, *, future: pd.DataFrame | str | Path | None = None,
             levels: tuple[int, ...] | None = None) -> pd.DataFrame:
    """`unique_id, ds, forecast, lo-L, hi-L` for `horizon` steps after the end of the model's data.

    `tag` is a model's name (its newest version) or exact tag. `future` holds the known-future columns for every step, as a
    frame or file with the same column names as the training data; what is empty there is taken from the rows that the
    training data held for the coming steps. Levels default to those that were trained. `VurError` names every value that is
    missing, what cannot be read, and a model that no coming value changes.
    """
    model, head, metadata = open_model(tag)
    coming = coming_rows(model, head, int(horizon or metadata["horizon"]), future)
    return predict_coming(model, coming, tuple(levels or metadata["levels"]))


def future_template(tag: str, horizon: int | None = None) -> pd.DataFrame:
    """The table of coming values that `forecast(tag, horizon, future=...)` takes: one row a series and step, to be filled in.

    Columns have the names of the training data. Values that the training data held for the coming steps are there already.
    """
    model, head, metadata = open_model(tag)
    return coming_steps(model, int(horizon or metadata["horizon"]), head["names"]).table()


def open_model(tag: str) -> tuple["Pipeline", dict[str, Any], dict[str, Any]]:
    """A saved model: its pipeline, what it knows of the panel, and its metadata."""
    model = find_model(tag)
    return open_folder(Path(model.path), str(model.tag))


def open_folder(path: Path, tag: str) -> tuple["Pipeline", dict[str, Any], dict[str, Any]]:
    """The same for a stored model's folder, wherever it lies; `VurError` when one of its files was changed."""
    verify(path, tag)
    head = json.loads((path / "panel.json").read_text(encoding="utf-8"))
    return load_pipeline(path), head, folder_metadata(path)


def coming_rows(model: "Pipeline", head: dict[str, Any], horizon: int, future: pd.DataFrame | str | Path | None = None) -> Coming:
    """The coming steps of a model, complete in every column that it uses: what it kept, with `future` laid over it."""
    needed = used_columns(model)
    coming = coming_steps(model, horizon, head["names"])
    if future is not None:
        table = future if isinstance(future, pd.DataFrame) else read_table(Path(future))
        check_usable(model, table)
        coming = fill_coming(coming, table, needed)
    check_cells(coming, needed)
    return coming


def predict_coming(model: "Pipeline", coming: Coming, levels: tuple[int, ...]) -> pd.DataFrame:
    """The forecast of the coming steps with its intervals, stamps in the user's time zone."""
    given = coming.rows[["unique_id", "ds", *coming.columns]] if coming.columns else None
    frame = model.predict(int(coming.rows["step"].max()), given, levels=levels)
    return to_zone(frame, coming.tz, coming.freq)
