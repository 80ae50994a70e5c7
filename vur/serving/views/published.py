"""The page of a published forecast: HTML with its charts as SVG, without scripts and without any other request."""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vur.frequency import Frequency
from vur.languages import LANGUAGES
from vur.store.catalog import Publication
from vur.text import translate
from vur.wording import day_text, digits_for, level_text, moment_text, number, stamp

TEMPLATES = Path(__file__).parents[1] / "templates"
SIZES = {"wide": (900, 300, 5), "narrow": (400, 260, 3)}  # width, height and dates of a chart by screen
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 30  # room for the axes
TICKS = 5
SOME_DAYS = 3 * 86_400 * 10**9  # nanoseconds, from which the dates of an axis need no times


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(row: Publication, language: str) -> str:
    """A publication as HTML in `language`."""
    content = row.content
    freq = Frequency(**content["freq"] | {"seasons": tuple(content["freq"].get("seasons") or ())})
    parts = [_part(one, content, freq, language) for one in content["series"]]
    other = next(code for code in LANGUAGES if code != language)
    return _render(
        "published.html.j2",
        language,
        title=row.title,
        made=_moment(content["made_at"], language),
        model=content["model_name"],
        expires=_moment(row.expires_at, language),
        parts=parts,
        other=other,
        other_text=translate("published.other_language", language),
    )


def message(key: str, language: str) -> str:
    """A page with one message: `gone` or `throttled`."""
    return _render("published_message.html.j2", language, key=key)


def _render(template: str, language: str, **values: Any) -> str:
    def t(key: str, **given: Any) -> str:
        return translate(f"published.{key}", language, **given)

    return _templates().get_template(template).render(language=language, t=t, **values)


def _moment(value: Any, language: str) -> str:
    """A moment in UTC, which it says: nobody knows where the reader is."""
    return f"{moment_text(pd.Timestamp(value).tz_convert('UTC').floor('min'), language)} UTC"


def _part(part: dict[str, Any], content: dict[str, Any], freq: Frequency, language: str) -> dict[str, Any]:
    """One series: its chart and the table of its forecast."""
    forecast = part["forecast"]
    level = max(forecast["intervals"], key=float, default=None)
    values = [one for one in forecast["official"] if one is not None]
    digits = digits_for([*values, *(one for one in part["history"]["values"] if one is not None)])

    def shown(stamp_: Any) -> str:
        return stamp(pd.Timestamp(stamp_) if isinstance(stamp_, str) else stamp_, freq, language)

    ends = forecast["intervals"].get(level) or {"lo": [None] * len(values), "hi": [None] * len(values)}
    name = part["series"] or translate("published.total", language)
    known = [one for one in part["history"]["timestamps"]]
    return {
        "name": name,
        "charts": [chart(part, level, freq, language, screen) for screen in SIZES],
        "caption": translate(
            "published.chart",
            language,
            series=name,
            target=content["target"],
            last=shown(known[-1]) if known else "–",
            end=shown(forecast["timestamps"][-1]),
        ),
        "target": content["target"],
        "level": None if level is None else level_text(float(level), language),
        "overridden": any(one is not None for one in forecast["override"]),
        "rows": [
            {
                "stamp": shown(when),
                "value": number(value, language, digits),
                "changed": changed is not None,
                "lo": number(lo, language, digits),
                "hi": number(hi, language, digits),
            }
            for when, value, changed, lo, hi in zip(
                forecast["timestamps"], forecast["official"], forecast["override"], ends["lo"], ends["hi"], strict=True
            )
        ],
    }


# --- the chart ---


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` to pixels from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """The place of a value, to a tenth of a pixel."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)


def chart(part: dict[str, Any], level: str | None, freq: Frequency, language: str, screen: str) -> dict[str, Any]:
    """Paths and ticks of one series as the template draws them for a screen, one of `SIZES`."""
    width, height, dates = SIZES[screen]
    past, forecast = part["history"], part["forecast"]
    band = forecast["intervals"].get(level) if level else None
    times = _places([*past["timestamps"], *forecast["timestamps"]])
    before, after = times[: len(past["timestamps"])], times[len(past["timestamps"]) :]
    every = [*past["values"], *forecast["official"], *forecast["forecast"]]
    every += [*band["lo"], *band["hi"]] if band else []
    known = [value for value in every if value is not None]
    ticks = round_ticks(min(known), max(known))
    x = Axis(times.min(), times.max() if times.max() > times.min() else times.min() + 1, LEFT, width - RIGHT)
    y = Axis(ticks[0], ticks[-1], height - BOTTOM, TOP)
    seen = [k for k, value in enumerate(past["values"]) if value is not None]
    joint = [(before[seen[-1]], past["values"][seen[-1]])] if seen else []
    line = [*joint, *zip(after, forecast["official"], strict=True)]
    places = np.unique(np.linspace(0, len(times) - 1, dates).round().astype(int))
    long = times.max() - times.min() > SOME_DAYS
    stamps = [*past["timestamps"], *forecast["timestamps"]]
    return {
        "screen": screen,
        "width": width,
        "height": height,
        "history": path(zip(before, past["values"], strict=True), x, y),
        "forecast": path(line, x, y),
        "model": path(zip(after, forecast["forecast"], strict=True), x, y),
        "band": area(after, band["lo"], band["hi"], x, y) if band else "",
        "dots": [
            (x.at(when), y.at(value))
            for when, value, changed in zip(after, forecast["official"], forecast["override"], strict=True)
            if changed is not None
        ],
        "now": x.at(before[seen[-1]]) if seen else None,
        "y": [{"at": y.at(tick), "text": number(tick, language, _decimals(ticks))} for tick in ticks],
        "x": [
            {
                "at": x.at(times[k]),
                "text": _on_axis(stamps[k], freq, language, long),
                "anchor": "start" if k == 0 else "end" if k == len(times) - 1 else "middle",
            }
            for k in places
        ],
    }


def _on_axis(value: Any, freq: Frequency, language: str, long: bool) -> str:
    if isinstance(value, str) and long and freq.is_moment:
        return day_text(pd.Timestamp(value), language)
    return stamp(pd.Timestamp(value) if isinstance(value, str) else value, freq, language)


def _places(stamps: list[Any]) -> np.ndarray:
    if stamps and isinstance(stamps[0], str):
        return pd.to_datetime(pd.Series(stamps), utc=True).astype("int64").to_numpy(float)
    return np.array(stamps, float)


def round_ticks(low: float, high: float) -> list[float]:
    """About `TICKS` round numbers from at most `low` to at least `high`."""
    reach = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(reach / TICKS))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one * TICKS >= reach)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * k, 12) for k in range(first, max(last, first + 1) + 1)]


def _decimals(ticks: list[float]) -> int:
    step = ticks[1] - ticks[0]
    return max(0, 1 - math.floor(math.log10(step))) if step < 1 else 0 if float(step).is_integer() else 1


def path(points: Any, x: Axis, y: Axis) -> str:
    """A line through the points, interrupted where one has no value."""
    pieces, pen = [], "M"
    for when, value in points:
        if value is None:
            pen = "M"
            continue
        pieces.append(f"{pen}{x.at(when)} {y.at(value)}")
        pen = "L"
    return "".join(pieces)


def area(times: np.ndarray, low: list[Any], high: list[Any], x: Axis, y: Axis) -> str:
    """The area between two lines, where both are known."""
    known = [(when, a, b) for when, a, b in zip(times, low, high, strict=True) if a is not None and b is not None]
    if not known:
        return ""
    upper = "L".join(f"{x.at(when)} {y.at(b)}" for when, _, b in known)
    lower = "L".join(f"{x.at(when)} {y.at(a)}" for when, a, _ in reversed(known))
    return f"M{upper}L{lower}Z"
