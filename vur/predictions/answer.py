"""Forecasts as the JSON of an answer, written once and sent as often as they are asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vur.errors import VurError, error_body
from vur.models.forecast import Forecasts, points_of
from vur.models.moving import unknown_series
from vur.models.saved import Saved
from vur.store.forecasts.ledger import Points
from vur.text import DEFAULT_LANGUAGE
from vur.timezones import stamp_texts, zone

SHOWN_ROWS = 100  # of a table inside an error


@dataclass(frozen=True)
class RenderedForecast:
    """A forecast ready to be told and kept: JSON of each series, points for the ledger, and why other series have none."""

    parts: dict[str, str]
    points: Points
    origin: Any
    errors: dict[str, VurError]

    @property
    def steps(self) -> int:
        """The horizon."""
        return self.points.values.shape[1]


@dataclass(frozen=True)
class Answer:
    """What a request gets: `forecasts` holds the JSON of each series, `errors` why others have none; `values` is the number of forecasts."""

    head: dict[str, Any]
    forecasts: Mapping[str, str]
    errors: Mapping[str, VurError]
    values: int

    def json(self, language: str = DEFAULT_LANGUAGE) -> bytes:
        """The answer as it is sent; errors in `language`."""
        series = ", ".join(f"{json.dumps(id)}: {text}" for id, text in self.forecasts.items())
        errors = {id: describe(error, language) for id, error in self.errors.items()}
        return f'{json.dumps(self.head)[:-1]}, "forecasts": {{{series}}}, "errors": {json.dumps(errors)}}}'.encode()

    def to_dict(self, language: str = DEFAULT_LANGUAGE) -> dict[str, Any]:
        """The same as plain data."""
        return json.loads(self.json(language))


def render(
    saved: Saved, found: Forecasts, horizon: int, levels: Sequence[float], wrong: Mapping[str, VurError] | None = None
) -> RenderedForecast:
    """The forecasts of each series as JSON and as points; `wrong` are errors from before."""
    points, errors = points_of(found, horizon, levels), found.errors | dict(wrong or {})
    if not points.ids:
        return RenderedForecast({}, points, None, errors)
    ends, stamps = (
        stamp_texts(values, *zone(saved.pipeline.head.freq, saved.head["tz"]))
        for values in (points.origins, points.targets.ravel())
    )
    parts = {}
    for number, id in enumerate(points.ids):
        bands = {
            level: {"lo": _numbers(lo[number]), "hi": _numbers(hi[number])} for level, (lo, hi) in points.bounds.items()
        }
        parts[id] = json.dumps(
            {
                "origin": ends[number],
                "timestamps": stamps[number * horizon : (number + 1) * horizon],
                "forecast": points.values[number].tolist(),
                "intervals": bands,
            }
        )
    return RenderedForecast(parts, points, _latest(saved, points), errors)


def take(saved: Saved, made: RenderedForecast, ids: Sequence[str]) -> RenderedForecast:
    """Some series of a forecast; those that it does not have become errors."""
    place = {id: number for number, id in enumerate(made.points.ids)}
    there = [id for id in ids if id in place]
    errors = {id: made.errors[id] for id in ids if id in made.errors}
    errors |= unknown_series(saved, [id for id in ids if id not in place and id not in errors])
    points = made.points.take([place[id] for id in there])
    return RenderedForecast(
        {id: made.parts[id] for id in there}, points, _latest(saved, points) if there else None, errors
    )


def _latest(saved: Saved, points: Points) -> Any:
    return stamp_texts(points.origins.max(keepdims=True), *zone(saved.pipeline.head.freq, saved.head["tz"]))[0]


def _numbers(values: np.ndarray) -> list[float | None]:
    return [
        value if finite else None for value, finite in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    ]


def describe(error: VurError, language: str) -> dict[str, Any]:
    """An error of one series: `detail, code, field` and `values`; tables among them as rows."""
    tables = {name: value for name, value in error.data.items() if hasattr(value, "to_dict")}
    body = error_body(error, language)
    rows = {name: table.head(SHOWN_ROWS).astype(str).to_dict("records") for name, table in tables.items()}
    return body | {"values": body["values"] | rows}
