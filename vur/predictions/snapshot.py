"""A forecast as it is at one moment, as plain data for a published page."""

from typing import Any

import numpy as np

from vur.errors import VurError
from vur.predictions.observed import Line, came_later, find_series, trained_on
from vur.predictions.open_models import open_model
from vur.predictions.outlook import outlook, shown_line, shown_outlook
from vur.store.accounts.access import Principal
from vur.store.catalog import now
from vur.store.models.champions import Served
from vur.text import DEFAULT_LANGUAGE

MOST_SERIES = 20
HORIZONS, LEAST, MOST = 8, 60, 1_000  # observed values: so many horizons, but from `LEAST` to `MOST`
POINTS = 400  # of the curve of one series


def snapshot(
    who: Principal, served: Served, series: list[str] | None, language: str = DEFAULT_LANGUAGE
) -> dict[str, Any]:
    """The last observed values and the official forecast of some series, by default of all or of their sum.

    `VurError` publications.series for more than `MOST_SERIES`, publications.no_forecast for one without a forecast.
    """
    saved = open_model(served).saved
    asked: list[str | None] = [*series] if series else [None]
    names = list(dict.fromkeys(find_series(saved, name) for name in asked))
    if len(names) > MOST_SERIES:
        raise VurError("publications.series", field="series", count=len(names), limit=MOST_SERIES)
    parts = []
    for name in names:
        found, errors = outlook(who, served, name)
        if found is None:
            raise VurError("publications.no_forecast", reason=errors[0].text(language) if errors else "-")
        past, (later, _) = trained_on(saved, name), came_later(who, served, saved, name)
        line = Line(np.concatenate([past.stamps, later.stamps]), np.concatenate([past.values, later.values]))
        shown = max(LEAST, min(MOST, HORIZONS * len(found.stamps)))
        last = Line(line.stamps[-shown:], line.values[-shown:])
        parts.append(
            {
                "series": name,
                "history": {key: shown_line(saved, last, POINTS)[key] for key in ("timestamps", "values")},
                "forecast": shown_outlook(saved, found, POINTS) | {"created_at": None, "forecast_id": None},
            }
        )
    return {
        "made_at": now().isoformat(timespec="seconds"),
        "model_name": served.name,
        "model_version": served.tag,
        "target": saved.head["names"].get("target") or "y",
        "freq": vars(saved.pipeline.head.freq),
        "series": parts,
    }
