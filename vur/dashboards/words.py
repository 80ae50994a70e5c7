"""Numbers in the pages' sentences, without the libraries that `vur.wording` needs: a page's kernel imports little."""

from vur.languages import LANGUAGES

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
