"""Numbers, dates and counts the way a reader of each language writes them."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from vur.frequency import Frequency, spacing
from vur.languages import LANGUAGES
from vur.text import translate

_UNITS = {
    "Y": "year",
    "A": "year",
    "Q": "quarter",
    "M": "month",
    "W": "week",
    "D": "day",
    "B": "business_day",
    "C": "business_day",
    "h": "hour",
    "H": "hour",
    "min": "minute",
    "T": "minute",
    "s": "second",
    "S": "second",
}


def number(value: Any, language: str, digits: int | None = None) -> str:
    """`1234.56` as `1,234.56` or `1.234,56`; a dash for a missing value.

    `digits` None keeps about four figures.
    """
    if value is None or pd.isna(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    marks = {ord(","): LANGUAGES[language].thousands, ord("."): LANGUAGES[language].decimal}
    text = f"{abs(value):,.{digits_for([value]) if digits is None else digits}f}"
    minus = "−" if value < 0 and any(c in "123456789" for c in text) else ""
    return minus + text.translate(marks)


def digits_for(values: Iterable[float], integer: bool = False) -> int:
    """Decimals that give the typical size of `values` about four figures.

    For expected values of whole-number data (`integer`) one fewer, and none where all of them are whole.
    """
    found = pd.Series(list(values), dtype=float).abs()
    found = found[found.between(0, math.inf, inclusive="neither")]
    size = found.median()
    if pd.isna(size) or size >= 1000 or (integer and bool((found % 1 == 0).all())):
        return 0
    digits = 1 if size >= 100 else 2 if size >= 1 else min(2 - math.floor(math.log10(size)), 15)
    return digits - integer


def percent(share: float | None, language: str, digits: int = 1) -> str:
    """A share as a percentage: 0.123 as `12.3%` or `12,3%`."""
    if share is None or pd.isna(share):
        return "–"
    return number(100 * share, language, digits) + ("" if math.isinf(share) else "%")


def level_text(level: float, language: str) -> str:
    """An interval level in percent, with as many decimals as it has: `80`, `97.5` or `97,5`."""
    return f"{level:g}".replace(".", LANGUAGES[language].decimal)


def unit(freq: Frequency) -> tuple[str, int]:
    """The calendar unit of one step and how many of them it spans: `("month", 1)`, `("minute", 15)`, `("step", 1)`."""
    if freq.is_integer:
        return "step", 1
    name = freq.alias.split("[")[0].split("-")[0]
    count = "".join(c for c in name if c.isdigit())
    base = name[len(count) :]
    if spacing(freq.alias).kind == "open":
        return f"open_{'minute' if base == 'min' else _UNITS[base]}", int(count or 1)
    for code, word in (("min", "minute"), ("BM", "month"), ("BQ", "quarter"), ("BY", "year"), ("SM", "step")):
        if base.startswith(code):
            return word, int(count or 1)
    return _UNITS.get(base, _UNITS.get(base[:1], "step")), int(count or 1)


def steps(count: int, freq: Frequency, language: str) -> str:
    """`12` steps of a monthly panel as `12 months` or `12 meses`."""
    word, span = unit(freq)
    total = count * span
    return f"{number(total, language, 0)} {translate(f'report.unit.{word}', language, count=total)}"


def stamp(value: Any, freq: Frequency, language: str) -> str:
    """A stamp as a reader says it: `March 2010`, `31/12/2010`, `31 Dec 2010, 14:30`, `17`."""
    if value is None or pd.isna(value):
        return "–"
    if freq.is_integer or not hasattr(value, "year"):
        return str(value)
    word, _ = unit(freq)
    if word == "year":
        return str(value.year)
    if word == "quarter":
        return translate("report.date.quarter", language, quarter=(value.month + 2) // 3, year=value.year)
    if word == "month":
        month = LANGUAGES[language].months[value.month - 1]
        return translate("report.date.month", language, month=month, year=value.year)
    times = word.removeprefix("open_") in ("hour", "minute", "second")
    return moment_text(value, language) if times else day_text(value, language)


def day_text(value: pd.Timestamp, language: str) -> str:
    """A date in the one style of each language: `31/12/2010` or `31 Dec 2010`."""
    return LANGUAGES[language].date_text(value.year, value.month, value.day)


def moment_text(value: pd.Timestamp, language: str) -> str:
    """A date with its time: `31/12/2010, 14:30` or `31 Dec 2010, 14:30`; seconds unless they are zero."""
    time = f"{value:%H:%M:%S}" if value.second else f"{value:%H:%M}"
    return LANGUAGES[language].moment.format(day=day_text(value, language), time=time)


def listing(items: Iterable[object], language: str, most: int = 6) -> str:
    """`a, b and c`; beyond `most` items, `a, b and 7 others`."""
    names = [str(item) for item in items]
    if len(names) > most:
        others = translate("report.others", language, count=number(len(names) - most + 1, language, 0))
        names = names[: most - 1] + [others]
    joint = translate("report.and", language)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}" if names else ""
