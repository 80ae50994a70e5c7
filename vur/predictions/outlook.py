"""What a page shows of a model: the observed values of a series and its current forecast, thinned for a chart."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from vur.errors import VurError
from vur.models.forecast import check_request
from vur.models.saved import Saved, shown_whole
from vur.predictions.actuals import family_of
from vur.predictions.observed import Line, came_later, find_series, parts_of, trained_on
from vur.predictions.open_models import open_model
from vur.predictions.predict import PredictionRequest, without_entry
from vur.predictions.stamps import read_stamp, shown_stamps
from vur.store.accounts.access import Principal
from vur.store.catalog import Forecast, ForecastPoint, Model
from vur.store.data.thinning import short_numbers, thin
from vur.store.database import reading
from vur.store.forecasts import overrides
from vur.store.forecasts.scoring import accessible, with_ends
from vur.store.models.champions import Served, find_served

POINTS = 2_000  # points of a chart


@dataclass(frozen=True)
class Outlook:
    """The current forecast of one series or of a sum: `stamps`, `values` and `bounds` by level, `{"80": (lo, hi)}`.

    `overridden` has the values that people put in its place, NaN elsewhere. `forecast_id` and `created_at` are of the
    ledger's forecast, if newer observations were sent than the model was trained on.
    """

    stamps: np.ndarray
    values: np.ndarray
    bounds: dict[str, tuple[np.ndarray, np.ndarray]]
    origin: Any
    overridden: np.ndarray
    forecast_id: str | None = None
    created_at: datetime | None = None

    @property
    def official(self) -> np.ndarray:
        """The forecast with the values that people put in its place."""
        return np.where(np.isnan(self.overridden), self.values, self.overridden)


def outlook(
    who: Principal, served: Served, series: str | None, horizon: int | None = None
) -> tuple[Outlook | None, list[VurError]]:
    """The current forecast of `series`, or of the sum without a name, and the errors of series that have none.

    A forecast of the ledger that `who` may see counts if it begins later than the model's own. The sum has no
    intervals: those of its series cannot be added.
    """
    saved = open_model(served).saved
    names = parts_of(saved, series)
    found, errors = own_outlook(served, names, horizon)
    if found is None:
        return None, errors
    if series is not None:
        found = newest(ledger_outlook(who, served, saved, series), found)
    return with_overrides(served, saved, names, found), errors


def own_outlook(served: Served, names: list[str], horizon: int | None) -> tuple[Outlook | None, list[VurError]]:
    """The model's own forecast of a series, or of the sum of several that begin together."""
    try:
        saved, rendered = without_entry(served, PredictionRequest(horizon, series=names))
    except VurError as error:
        return None, [error]
    points, errors = rendered.points, list(rendered.errors.values())
    if not points.ids or len(names) > 1 and (errors or len(np.unique(points.targets[:, 0])) > 1):
        return None, errors or [VurError("forecasts.no_sum")]
    if len(names) > 1:
        stamps, values = points.targets[0], points.values.sum(axis=0)
        return Outlook(stamps, values, {}, points.origins[0], np.full(len(stamps), np.nan)), []
    bounds = {level: (lo[0], hi[0]) for level, (lo, hi) in points.bounds.items()}
    return Outlook(points.targets[0], points.values[0], bounds, points.origins[0], np.full(rendered.steps, np.nan)), []


def newest(one: Outlook | None, other: Outlook) -> Outlook:
    """The forecast that begins later; `other` if there is only one, or both begin at the same step."""
    return one if one is not None and one.stamps[0] > other.stamps[0] else other


def ledger_outlook(who: Principal, served: Served, saved: Saved, series: str) -> Outlook | None:
    """The newest forecast of the family for a series in the ledger; None without one that `who` may see."""
    point, dated = ForecastPoint, not saved.pipeline.head.freq.is_integer
    target = point.target_at if dated else point.target_step
    with reading() as session:
        family = family_of(session, session.get_one(Model, served.id))
        first = accessible(
            select(Forecast.id, Forecast.created_at)
            .join(point, point.forecast_id == Forecast.id)
            .where(
                point.tag.in_([model.tag for model in family]),
                Forecast.model_id.in_([model.id for model in family]),
                point.unique_id == series,
                point.horizon == 1,
            ),
            who,
        )
        head = session.execute(first.order_by(target.desc(), Forecast.created_at.desc()).limit(1)).first()
        if head is None:
            return None
        rows = session.execute(
            select(target, point.origin_at, point.forecast, point.quantiles)
            .where(point.forecast_id == head.id, point.unique_id == series)
            .order_by(point.horizon)
        ).all()
    stamps, origins, values, quantiles = zip(*rows, strict=True)
    ends = with_ends(pd.DataFrame({"quantiles": list(quantiles)}))
    levels = [name.removeprefix("lo-") for name in ends if str(name).startswith("lo-")]
    found = _naive(stamps)
    return Outlook(
        found,
        np.array(values, float),
        {level: (ends[f"lo-{level}"].to_numpy(), ends[f"hi-{level}"].to_numpy()) for level in levels},
        _naive(origins[:1])[0] if origins[0] is not None else None,
        np.full(len(found), np.nan),
        head.id,
        head.created_at,
    )


def _naive(stamps: Any) -> np.ndarray:
    if isinstance(stamps[0], datetime):
        return np.array([stamp.replace(tzinfo=None) for stamp in stamps], "M8[ns]")
    return np.array(stamps, np.int64)


def with_overrides(served: Served, saved: Saved, names: list[str], found: Outlook) -> Outlook:
    """A forecast with the overrides of its series; those of a sum's series move the sum by their difference."""
    with reading() as session:
        rows = overrides.in_force(session, served.owner_id, served.family, names)
    if not rows:
        return found
    freq = saved.pipeline.head.freq.alias
    place = {cell: number for number, cell in enumerate(overrides.cells_of(found.stamps, freq))}
    changed = np.full(len(found.stamps), np.nan)
    for row in rows:
        number = place.get(overrides.cell_of(row, freq))
        if number is None:
            continue
        if len(names) == 1:
            changed[number] = row.value
        else:
            before = found.values[number] if np.isnan(changed[number]) else changed[number]
            changed[number] = before + row.value - row.forecast
    return replace(found, overridden=changed)


# --- for a chart ---


def history(
    who: Principal,
    model: str,
    series: str | None = None,
    *,
    start: str | None = None,
    end: str | None = None,
    points: int = POINTS,
    horizon: int | None = None,
    language: str = "en",
) -> dict[str, Any]:
    """Observed values from `start` to `end`, at most `points` of them, and the current forecast, as JSON.

    `VurError` for an unknown series, model or stamp; a forecast that cannot be made is a warning.
    """
    with reading() as session:
        served = find_served(session, who, model)
    saved = open_model(served).saved
    name = find_series(saved, series)
    limits = (
        None if start is None else read_stamp(saved, start, "from"),
        None if end is None else read_stamp(saved, end, "to", end=True),
    )
    past = trained_on(saved, name)
    later, problems = came_later(who, served, saved, name)
    found, errors = outlook(who, served, name, horizon)
    steps, levels = check_request(saved, horizon, None)
    return {
        "model_id": served.id,
        "model_name": served.name,
        "model_version": served.tag,
        "algorithm": saved.pipeline.id,
        "series": name,
        "n_series": len(saved.pipeline.ends),
        "target": (saved.head["names"].get("target") or "y"),
        "freq": saved.pipeline.head.freq.alias,
        "timezone": saved.head["tz"],
        "season": saved.pipeline.head.freq.season,
        "horizon": steps,
        "levels": list(levels),
        "point": saved.pipeline.point,
        "whole": shown_whole(None, saved.metadata),
        "history": shown_line(saved, past.between(*limits), points) | span(saved, past),
        "later": shown_line(saved, later.between(*limits), points),
        "forecast": None if found is None else shown_outlook(saved, found, points),
        "warnings": [error.text(language) for error in [*problems, *errors]],
    }


def span(saved: Saved, line: Line) -> dict[str, Any]:
    """The first and last stamp of all values."""
    ends = shown_stamps(saved, line.stamps[[0, -1]]) if len(line) else [None, None]
    return {"first": ends[0], "last": ends[1]}


def shown_line(saved: Saved, line: Line, points: int) -> dict[str, Any]:
    """At most `points` of the values of a line, with the number of all and of the missing ones."""
    kept = thin(line.values, points)
    return {
        "timestamps": shown_stamps(saved, line.stamps[kept]) if len(kept) else [],
        "values": short_numbers(line.values[kept]),
        "count": len(line),
        "missing": int(np.isnan(line.values).sum()),
        "thinned": len(kept) < len(line),
    }


def shown_outlook(saved: Saved, found: Outlook, points: int) -> dict[str, Any]:
    """A forecast as JSON: the model's values, those of people in their place, and the official ones."""
    kept = thin(found.values, points)
    return {
        "source": "model" if found.forecast_id is None else "ledger",
        "forecast_id": found.forecast_id,
        "created_at": found.created_at,
        "origin": None if found.origin is None else shown_stamps(saved, np.asarray([found.origin]))[0],
        "timestamps": shown_stamps(saved, found.stamps[kept]),
        "forecast": short_numbers(found.values[kept]),
        "intervals": {
            level: {"lo": short_numbers(lo[kept]), "hi": short_numbers(hi[kept])}
            for level, (lo, hi) in found.bounds.items()
        },
        "override": short_numbers(found.overridden[kept]),
        "official": short_numbers(found.official[kept]),
    }
