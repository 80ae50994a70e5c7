"""Responses with forecasts: their JSON is rendered once and reused for equal requests."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vur.errors import VurError, error_body
from vur.models.forecast import Forecasts, points_of
from vur.models.future import level_sentence
from vur.models.moving import unknown_series, unused_sentence
from vur.models.saved import Saved
from vur.store.forecasts.ledger import Points
from vur.text import DEFAULT_LANGUAGE
from vur.timezones import stamp_texts, zone

SHOWN_ROWS = 100  # rows of a table inside an error


@dataclass(frozen=True)
class RenderedForecast:
    """A rendered forecast: the JSON of each series, the points for the ledger, and the errors of other series.

    `strange` are levels of the future that training never held.
    """

    parts: dict[str, str]
    points: Points
    origin: Any
    errors: dict[str, VurError]
    strange: tuple[dict[str, Any], ...] = ()

    @property
    def steps(self) -> int:
        """The horizon."""
        return self.points.values.shape[1]


@dataclass(frozen=True)
class Answer:
    """The response to a request: the JSON of each forecast, errors by series, and the number of forecast values.

    `unused` are names in its rows that are no column of the model (see `unused_columns`).
    """

    head: dict[str, Any]
    forecasts: Mapping[str, str]
    errors: Mapping[str, VurError]
    values: int
    strange: tuple[dict[str, Any], ...] = ()
    unused: tuple[tuple[str, str], ...] = ()

    def json(self, language: str = DEFAULT_LANGUAGE) -> bytes:
        """The response's body, with errors in `language`."""
        series = ", ".join(f"{json.dumps(id)}: {text}" for id, text in self.forecasts.items())
        errors = {id: describe(error, language) for id, error in self.errors.items()}
        warnings = [unused_sentence(one, language) for one in self.unused]
        warnings += [level_sentence(one, language) for one in self.strange]
        rest = f'"errors": {json.dumps(errors)}, "warnings": {json.dumps(warnings)}'
        return f'{json.dumps(self.head)[:-1]}, "forecasts": {{{series}}}, {rest}}}'.encode()

    def to_dict(self, language: str = DEFAULT_LANGUAGE) -> dict[str, Any]:
        """The response as plain data."""
        content: dict[str, Any] = json.loads(self.json(language))
        return content


def render(
    saved: Saved, found: Forecasts, horizon: int, levels: Sequence[float], wrong: Mapping[str, VurError] | None = None
) -> RenderedForecast:
    """Render the forecasts of each series as JSON and points; `wrong` are errors of the request."""
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
    return RenderedForecast(parts, points, _latest(saved, points), errors, found.strange)


def select_series(saved: Saved, rendered: RenderedForecast, ids: Sequence[str]) -> RenderedForecast:
    """Select series of a rendered forecast; unknown ones become errors."""
    place = {id: number for number, id in enumerate(rendered.points.ids)}
    there = [id for id in ids if id in place]
    errors = {id: rendered.errors[id] for id in ids if id in rendered.errors}
    errors |= unknown_series(saved, [id for id in ids if id not in place and id not in errors])
    points = rendered.points.take([place[id] for id in there])
    latest = _latest(saved, points) if there else None
    strange = tuple(one for one in rendered.strange if one["series"] in there)
    return RenderedForecast({id: rendered.parts[id] for id in there}, points, latest, errors, strange)


def _latest(saved: Saved, points: Points) -> Any:
    return stamp_texts(points.origins.max(keepdims=True), *zone(saved.pipeline.head.freq, saved.head["tz"]))[0]


def _numbers(values: np.ndarray) -> list[float | None]:
    return [
        value if finite else None for value, finite in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    ]


def describe(error: VurError, language: str) -> dict[str, Any]:
    """Describe the error of one series: `detail, code, field` and `values`, with tables as rows."""
    data: dict[str, Any] = error.data
    tables = {name: value for name, value in data.items() if hasattr(value, "to_dict")}
    body = error_body(error, language)
    rows = {name: table.head(SHOWN_ROWS).astype(str).to_dict("records") for name, table in tables.items()}
    return body | {"values": body["values"] | rows}
