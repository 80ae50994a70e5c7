"""Numbers and dates in the pages' sentences, without what `vur.wording` needs: a page's kernel imports little."""

import re
from typing import Any

from vur.languages import LANGUAGES

DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ]\d\d:\d\d(:\d\d)?)?")
UNITS = ("B", "kB", "MB", "GB", "TB")


def whole(value: float, language: str) -> str:
    """A count: 1234567 as `1,234,567` or `1.234.567`."""
    return f"{value:,.0f}".replace(",", LANGUAGES[language].thousands)


def size(value: float, language: str) -> str:
    """A number of bytes in the largest unit that leaves at least one: `1.5 MB` or `1,5 MB`."""
    at = 0
    while value >= 1000 and at < len(UNITS) - 1:
        value, at = value / 1000, at + 1
    digits = 1 if at and value < 100 and round(value, 1) % 1 else 0
    return f"{value:.{digits}f}".replace(".", LANGUAGES[language].decimal) + f" {UNITS[at]}"


def written(stamp: Any, language: str) -> str:
    """A date in the words of a language: `31/12/2010` or `31 Dec 2010, 14:30`."""
    if not isinstance(stamp, str):
        return "–" if stamp is None else str(stamp)
    entry = LANGUAGES[language]
    year, month, day = map(int, stamp[:10].split("-"))
    text = entry.date_text(year, month, day)
    return entry.moment.format(day=text, time=stamp[11:16]) if len(stamp) > 10 else text


def cell(value: Any, language: str) -> str:
    """A value of a table in a sentence: dates and numbers in the marks of the language, with all their digits."""
    if isinstance(value, str) and DATE.fullmatch(value):
        return written(value.replace("T00:00:00", "").replace(" 00:00:00", ""), language)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    marks = LANGUAGES[language]
    return f"{value:,.15g}".translate({ord(","): marks.thousands, ord("."): marks.decimal, ord("-"): "\u2212"})
