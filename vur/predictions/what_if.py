"""What if: a series' forecast with changed known-future columns beside the one without, which nothing stores."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from vur.columns import own_name
from vur.errors import VurError
from vur.models.forecast import check_request
from vur.models.future import check_cells, check_usable, coming_steps, used_columns
from vur.models.saved import Saved, predict_coming, restrict, shown_whole
from vur.models.scenarios import apply_edits, doubt_sentence, doubts, outside_range
from vur.predictions.bounded import answer, is_big
from vur.predictions.observed import bottom_of, find_series, parts_of
from vur.predictions.open_models import open_model
from vur.predictions.stamps import shown_stamps
from vur.stages.model.pipeline import whole_numbers
from vur.store.accounts.access import Principal
from vur.store.data.thinning import short_numbers
from vur.store.database import reading
from vur.store.models.champions import Served, find_served
from vur.text import translate

MOST_LEVELS = 200  # levels of a column of text that are listed


# --- the columns ---


def known_future(who: Principal, model: str, series: str | None = None, horizon: int | None = None) -> dict[str, Any]:
    """The known-future columns of a model with their values over the horizon, as JSON.

    For a sum, the mean of its series (of numbers), or the value that they share (of texts).
    """
    with reading() as session:
        served = find_served(session, who, model)
    saved = open_model(served).saved
    name = find_series(saved, series)
    steps, _ = check_request(saved, horizon, ())
    coming = coming_steps(saved.pipeline, steps, saved.head["names"])
    rows = coming.rows[coming.rows["unique_id"].isin(source_series(saved, name))]
    usable = used_columns(saved.pipeline)
    groups = rows.groupby("step", sort=True)
    found = {
        column: groups[column].agg(_shared if column in coming.text else "mean").to_numpy() for column in coming.columns
    }
    return {
        "model_id": served.id,
        "series": name,
        "horizon": steps,
        "timestamps": shown_stamps(saved, groups["ds"].min().to_numpy()) if len(rows) else [],
        "columns": [
            column_shown(saved, column, own_name(column, coming.names), column in usable, values, column in coming.text)
            for column, values in found.items()
        ],
    }


def _shared(values: pd.Series) -> Any:
    known = values.dropna().unique()
    return str(known[0]) if len(known) == 1 else None


def column_shown(saved: Saved, inner: str, name: str, used: bool, values: np.ndarray, text: bool) -> dict[str, Any]:
    """One known-future column: its values to come, and what training held."""
    low, high = (saved.head.get("ranges") or {}).get(inner, (None, None))
    effects = saved.pipeline.effects
    unclear = {} if effects is None else effects.unclear
    return {
        "name": name,
        "kind": "text" if text else "number",
        "used": used,
        "unclear": None if used else unclear.get(inner, "unused"),
        "low": low,
        "high": high,
        "levels": ((saved.head.get("levels") or {}).get(inner) or [])[:MOST_LEVELS] if text else [],
        "values": [None if one is None or one != one else str(one) for one in values]
        if text
        else short_numbers(values.astype(float)),
    }


def source_series(saved: Saved, series: str | None) -> list[str]:
    """The series whose columns `series` depends on: itself, or the parts of a sum."""
    reconciler = saved.pipeline.reconciler
    if series is not None and reconciler is not None and series in reconciler.hierarchy.sums:
        return bottom_of(reconciler.hierarchy, series)
    return parts_of(saved, series)


# --- the forecast ---


def what_if(
    who: Principal,
    model: str,
    changes: Mapping[str, Any],
    series: str | None = None,
    horizon: int | None = None,
    language: str = "en",
) -> dict[str, Any]:
    """The forecast of `series`, or of the sum, with `changes` and without, as JSON.

    `changes` as in `vur.models.scenarios.apply_edits`, for this series or the parts of the sum. `VurError` names a
    column that the model does not use, a change that cannot be read, and a missing value.
    """
    if not changes:
        raise VurError("scenarios.nothing")
    with reading() as session:
        served = find_served(session, who, model)
    saved = open_model(served).saved
    name = find_series(saved, series)
    steps, _ = check_request(saved, horizon, ())
    check_usable(saved.pipeline, list(changes))
    arguments = {"series": name, "changes": dict(changes), "horizon": steps}
    narrow = narrowed(saved, name) is not saved
    heavy = not narrow and is_big(served, steps)
    found = answer("vur.predictions.what_if:computed", served, arguments, heavy=heavy, owner=who.user_id)
    outside = [translate("scenarios.outside", language, **one) for one in found.pop("outside")]
    notes = [doubt_sentence(one, language) for one in found.pop("notes")]
    return {"model_id": served.id, "series": name} | found | {"warnings": outside + notes}


def narrowed(saved: Saved, series: str | None) -> Saved:
    """The model for one series only, if its algorithms allow; else `saved` itself."""
    if series is None:
        return saved
    small = restrict(saved.pipeline, [series])
    return saved if small is saved.pipeline else replace(saved, pipeline=small)


def computed(served: dict[str, Any], series: str | None, changes: dict[str, Any], horizon: int) -> dict[str, Any]:
    """Both forecasts as plain data; see `what_if`."""
    whole = open_model(Served(**served)).saved
    saved = narrowed(whole, series)
    model, head, used = saved.pipeline, saved.head, used_columns(saved.pipeline)
    before = coming_steps(model, horizon, head["names"])
    check_cells(before, used)
    unclear = {} if model.effects is None else model.effects.unclear
    after = apply_edits(before, only(changes, source_series(saved, series)), used, unclear)
    check_cells(after, used)
    levels = whole.levels if series is not None else ()
    forecasts = [predict_coming(model, coming, levels) for coming in (before, after)]
    if shown_whole(None, saved.metadata):
        forecasts = [whole_numbers(one) for one in forecasts]
    base, changed = (_of(one, parts_of(saved, series)) for one in forecasts)
    return {
        "horizon": horizon,
        "timestamps": shown_stamps(saved, coming_stamps(saved, series, horizon)),
        "baseline": short_numbers(base["forecast"].to_numpy(float)),
        "forecast": short_numbers(changed["forecast"].to_numpy(float)),
        "intervals": {
            f"{level:g}": {end: short_numbers(changed[f"{end}-{level:g}"].to_numpy(float)) for end in ("lo", "hi")}
            for level in levels
        },
        "outside": outside_range(before, after, head.get("ranges") or {}),
        "notes": doubts(model, head, before, after),
    } | effect(base["forecast"].to_numpy(float), changed["forecast"].to_numpy(float))


def only(changes: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Changes limited to the series `names`."""
    found = {}
    for column, change in changes.items():
        limits = dict(change) if isinstance(change, Mapping) else {"change": change}
        found[column] = limits | {"series": names}
    return found


def _of(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    rows = frame[frame["unique_id"].isin(names)]
    return rows if len(names) == 1 else rows.groupby("ds", sort=True, as_index=False)[["forecast"]].sum()


def coming_stamps(saved: Saved, series: str | None, horizon: int) -> np.ndarray:
    """The stamps of the forecast of a series, or those at which any of several has one."""
    from vur.frequency import advance

    ends = saved.pipeline.ends[parts_of(saved, series)]
    steps = np.tile(np.arange(1, horizon + 1), len(ends))
    return np.unique(advance(np.repeat(ends.to_numpy(), horizon), steps, saved.pipeline.head.freq.alias))


def effect(base: np.ndarray, changed: np.ndarray) -> dict[str, Any]:
    """The totals of both forecasts, their difference, and that in percent of the first."""
    before, after = float(base.sum()), float(changed.sum())
    difference = after - before
    return {
        "baseline_total": before,
        "total": after,
        "difference": difference,
        "percent": 100 * difference / abs(before) if before else None,
    }
