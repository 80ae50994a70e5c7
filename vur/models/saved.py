"""Forecasts from a saved model, without retraining."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vur.errors import VurError
from vur.forecasters.registry import algorithm
from vur.models.future import (
    Coming,
    check_cells,
    check_usable,
    coming_steps,
    fill_coming,
    level_sentence,
    read_table,
    strange_levels,
    used_columns,
)
from vur.models.horizon import asked_horizon, asked_levels
from vur.panel import Panel
from vur.stages.model.pipeline import load_pipeline, whole_numbers
from vur.store.models.models import find_model, folder_metadata, verify
from vur.text import DEFAULT_LANGUAGE
from vur.timezones import to_zone

if TYPE_CHECKING:
    from vur.stages.model.pipeline import Pipeline


@dataclass(frozen=True)
class Saved:
    """A model opened from the store: pipeline, facts about its panel, metadata, and a loader of its training panel."""

    tag: str
    pipeline: "Pipeline"
    head: dict[str, Any]
    metadata: dict[str, Any]
    history: Callable[[], Panel]

    @property
    def levels(self) -> tuple[float, ...]:
        """The trained interval levels, in percent; empty without calibration."""
        return tuple(float(level) for level in self.metadata["levels"]) if self.pipeline.calibration is not None else ()

    @property
    def learns_new_series(self) -> bool:
        """Whether it can forecast series that it was not trained on: all of its algorithms are global models."""
        forecaster = self.pipeline.forecaster
        members = getattr(forecaster, "members", None) or [forecaster]
        return self.pipeline.reconciler is None and all(algorithm(member.id).scope == "global" for member in members)


def fork(pipeline: "Pipeline") -> "Pipeline":
    """A copy that can be updated without affecting the original.

    `update` replaces the attributes of a pipeline and its forecasters and modifies nothing in place.
    """
    twin = copy.copy(pipeline)
    twin.forecaster = _twin(pipeline.forecaster)
    return twin


def _twin(forecaster: Any) -> Any:
    twin = copy.copy(forecaster)
    if hasattr(forecaster, "members"):
        twin.members = [_twin(member) for member in forecaster.members]
    return twin


def restrict(pipeline: "Pipeline", ids: Sequence[str]) -> "Pipeline":
    """A copy with some of the series only, if all of its algorithms are local; else the pipeline itself."""
    wanted = set(ids)
    if pipeline.reconciler is not None or not _all_local(pipeline.forecaster):
        return pipeline
    twin, frame = copy.copy(pipeline), pipeline.head.frame
    twin.forecaster = pipeline.forecaster.restricted(wanted)
    twin.ends = pipeline.ends[pipeline.ends.index.isin(wanted)]
    twin.behind = pipeline.behind[twin.ends.index]
    twin.head = pipeline.head.with_frame(frame[frame["unique_id"].isin(wanted)])
    return twin


def _all_local(forecaster: Any) -> bool:
    if hasattr(forecaster, "members"):
        return all(_all_local(member) for member in forecaster.members)
    return algorithm(forecaster.id).scope == "local"


def bisect(ids: Sequence[str], work: Callable[[list[str]], Any]) -> tuple[list[Any], dict[str, VurError]]:
    """Results of `work` on `ids`, and errors by id: on an error `ids` are halved until the failing ones are found."""
    try:
        return [work(list(ids))], {}
    except VurError as error:
        if len(ids) < 2:
            return [], dict.fromkeys(ids, error)
    half = len(ids) // 2
    (first, wrong), (second, more) = bisect(ids[:half], work), bisect(ids[half:], work)
    return first + second, wrong | more


def forecast(
    tag: str,
    horizon: int | None = None,
    *,
    future: pd.DataFrame | str | Path | None = None,
    levels: tuple[float, ...] | None = None,
    whole: bool | None = None,
    language: str = DEFAULT_LANGUAGE,
) -> pd.DataFrame:
    """`unique_id, ds, forecast, lo-L, hi-L` for `horizon` steps after the end of the model's data.

    `forecast` is the expected value (mean) of each step, so that sums over steps and series are expected values, too;
    `whole` gives whole numbers that keep the sum of each series within a half (by default as trained).

    `tag` is a model's name (its newest version) or exact tag. `future` has the known-future columns for every step, as
    a frame or file with the column names of the training data; empty cells are taken from the future rows of the
    training data. Levels default to the trained ones; `()` is none. `attrs["warnings"]` has a sentence for each level
    of a text column that training never held. `VurError` names every missing value, what cannot be read, and a model
    that uses no known-future column.
    """
    model, head, metadata = open_model(tag)
    coming = coming_rows(model, head, asked_horizon(horizon, metadata), future)
    frame = predict_coming(model, coming, asked_levels(levels, metadata["levels"]))
    frame = whole_numbers(frame) if shown_whole(whole, metadata) else frame
    frame.attrs["warnings"] = [
        level_sentence(one, language) for one in strange_levels(coming, head, used_columns(model))
    ]
    return frame


def shown_whole(asked: bool | None, metadata: Mapping[str, Any]) -> bool:
    """Whether forecasts are shown in whole numbers: as `asked`, by default as trained."""
    return bool(metadata.get("whole")) if asked is None else asked


def future_template(tag: str, horizon: int | None = None) -> pd.DataFrame:
    """The table of future values for `forecast(tag, horizon, future=...)`: one row per series and step, to fill in.

    Columns have the names of the training data. Values that the training data has for future steps are filled in.
    """
    model, head, metadata = open_model(tag)
    return coming_steps(model, asked_horizon(horizon, metadata), head["names"]).table()


def open_model(tag: str) -> tuple["Pipeline", dict[str, Any], dict[str, Any]]:
    """The pipeline of a saved model, the facts about its panel, and its metadata."""
    model = find_model(tag)
    return open_folder(Path(model.path), str(model.tag))


def open_folder(path: Path, tag: str) -> tuple["Pipeline", dict[str, Any], dict[str, Any]]:
    """The same for the folder of a stored model, wherever it is; `VurError` if one of its files was modified."""
    verify(path, tag)
    head = json.loads((path / "panel.json").read_text(encoding="utf-8"))
    return load_pipeline(path), head, folder_metadata(path)


def coming_rows(
    model: "Pipeline", head: dict[str, Any], horizon: int, future: pd.DataFrame | str | Path | None = None
) -> Coming:
    """The future steps of a model with all values that it uses: its own, updated with those in `future`."""
    needed = used_columns(model)
    coming = coming_steps(model, horizon, head["names"])
    if future is not None:
        table = future if isinstance(future, pd.DataFrame) else read_table(Path(future), head["names"])
        check_usable(model, table)
        coming = fill_coming(coming, table, needed)
    check_cells(coming, needed)
    return coming


def predict_coming(model: "Pipeline", coming: Coming, levels: tuple[float, ...]) -> pd.DataFrame:
    """The forecast of the future steps with its intervals, in the user's time zone."""
    given = coming.rows[["unique_id", "ds", *coming.columns]] if coming.columns else None
    frame = model.predict(int(coming.rows["step"].max()), given, levels=levels)
    return to_zone(frame, coming.tz, coming.freq)
