"""Why a forecast is what it is: one value, and the parts that it is made of."""

from dataclasses import replace
from typing import Any

import pandas as pd

from vur.errors import VurError
from vur.explain.why import Explanation, explain_point, parts_sentence, source_sentences, step_of, value_sentence
from vur.forecasters.registry import algorithm_name
from vur.models.forecast import forecasts
from vur.predictions.bounded import answer, is_big
from vur.predictions.observed import find_series, history_panel
from vur.predictions.open_models import open_model
from vur.predictions.stamps import read_stamp, shown_stamps
from vur.report.clock import stamp_on_clock
from vur.store.accounts.access import Principal
from vur.store.database import reading
from vur.store.models.champions import Served, find_served


def why(who: Principal, model: str, series: str | None, at: str | None = None, language: str = "en") -> dict[str, Any]:
    """The forecast of `series` at the stamp `at` (by default the next step) and its parts, as JSON.

    The parts add up to the forecast from the usual level of the series. `VurError` for a stamp that is not to come, and
    forecasts.series_needed for the sum of several series.
    """
    with reading() as session:
        served = find_served(session, who, model)
    saved = open_model(served).saved
    name = find_series(saved, series)
    if name is None:
        raise VurError("forecasts.series_needed", field="series", count=len(saved.pipeline.ends))
    step = 1 if at is None else step_of(saved.pipeline, name, read_stamp(saved, at, "at"))
    heavy = is_big(served, step, len(history_panel(saved).frame))
    arguments = {"series": name, "step": step, "language": language}
    return answer("vur.predictions.reasons:computed", served, arguments, heavy=heavy, owner=who.user_id)


def computed(served: dict[str, Any], series: str, step: int, language: str) -> dict[str, Any]:
    """The explanation as plain data; see `why`."""
    row = Served(**served)
    saved = open_model(row).saved
    pipeline, freq = saved.pipeline, saved.pipeline.head.freq
    stamp = freq.after(pipeline.ends[series], step)[-1]
    published = None
    if pipeline.reconciler is not None:
        frame = forecasts(saved, step, (), ids=[series], whole=False).frame
        published = float(frame["forecast"].iloc[-1])
    found = explain_point(pipeline, history_panel(saved), series, stamp, published=published)
    local = on_clock(found, saved.head["tz"])
    shown = local.shown(language)
    return {
        "model_id": row.id,
        "series": series,
        "timestamp": shown_stamps(saved, pd.Series([stamp]).to_numpy())[0],
        "step": step,
        "algorithm": found.algorithm,
        "forecast": round(found.forecast, found.digits),
        "baseline": round(found.baseline, found.digits),
        "digits": found.digits,
        "parts": [
            {"label": label, "contribution": float(value)}
            for label, value in zip(shown["label"], shown["contribution"], strict=True)
        ],
        "members": members(found, language),
        "sentences": [value_sentence(local, language), *parts_sentence(local, language)],
        "method": source_sentences(local, language),
    }


def on_clock(found: Explanation, tz: str | None) -> Explanation:
    """An explanation with its stamps in local time."""
    data = dict(found.data)
    if "source" in data:
        data["source"] = stamp_on_clock(data["source"], tz, found.freq)
    return replace(found, stamp=stamp_on_clock(found.stamp, tz, found.freq), data=data)


def members(found: Explanation, language: str) -> list[dict[str, Any]]:
    """The members of an ensemble with their values and weights; empty for others."""
    if found.members is None:
        return []
    return [
        {
            "algorithm": algorithm_name(row.algorithm, language),
            "value": round(float(row.value), found.digits),
            "weight": round(float(row.weight), 4),
        }
        for row in found.members.itertuples()
        if row.weight
    ]
