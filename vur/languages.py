"""The languages of VUR: one entry each, read by everything that writes or reads numbers, dates and files for people.

To add a language, add its entry to `LANGUAGES`, and its texts to `vur/translations/<code>/` with the keys of English.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

TRANSLATIONS = Path(__file__).parent / "translations"


def plain_word(word: str) -> str:
    """`word` in lower-case ASCII letters: `Março` as `marco`."""
    return unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode().lower()


@dataclass(frozen=True)
class Language:
    """How one language is written, and where its texts are.

    `code` is a BCP 47 tag, `name` the language's own name; `aliases` are other spellings in settings, in lower case.
    `day` formats a date from `{day}`, `{month}` (numbers), `{month_name}`, `{short_month}` and `{year}`; `moment` joins
    `{day}` and `{time}`. `axis` holds the d3 formats of a moment, a day and a month on the axis of a plot. `date_order`
    is how a date such as 05/02/2025 is read, `dmy` or `mdy`; None if readers disagree, so that it is refused.
    `csv_delimiter`, `csv_mark` (a byte-order mark, by which Excel recognises UTF-8) and `csv_day` (a date, as for
    `strftime`) are how a CSV file is written. `ordinals` holds the endings of first, second … by last digit; 0 is for
    all others, and for 11 to 13.
    """

    code: str
    name: str
    months: tuple[str, ...]
    weekdays: tuple[str, ...]  # from Sunday
    aliases: tuple[str, ...] = ()
    abbreviations: tuple[str, ...] = ()  # of the months, where the first three letters do not tell them apart
    decimal: str = "."
    thousands: str = ","
    day: str = "{day} {short_month} {year}"
    moment: str = "{day}, {time}"
    axis: tuple[str, str, str] = ("%d %b %H:%M", "%d %b %Y", "%b %Y")
    date_order: Literal["dmy", "mdy"] | None = None
    csv_delimiter: str = ","
    csv_mark: str = ""
    csv_day: str = "%Y-%m-%d"
    ordinals: Mapping[int, str] = field(default_factory=lambda: {0: "."}, hash=False)
    folder: Path | None = None

    def __post_init__(self) -> None:
        if len({plain_word(month) for month in self.short_months}) < 12:
            raise ValueError(f"short months of {self.code} repeat: {self.short_months}; give 12 `abbreviations`")

    @property
    def texts(self) -> Path:
        """The folder of the language's YAML files."""
        return self.folder or TRANSLATIONS / self.code

    @property
    def short_months(self) -> list[str]:
        """The abbreviation of each month: its first three letters, unless `abbreviations` are given."""
        return list(self.abbreviations) or [month[:3] for month in self.months]

    def date_text(self, year: int, month: int, day: int) -> str:
        """A date in the one style of the language: `31/12/2010` or `31 Dec 2010`."""
        names = {"month_name": self.months[month - 1], "short_month": self.short_months[month - 1]}
        return self.day.format(day=day, month=month, year=year, **names)

    def ordinal(self, place: int) -> str:
        """A place in an order: `1st` or `1º`."""
        teen = place % 100 in (11, 12, 13)
        return f"{place}{self.ordinals[0] if teen else self.ordinals.get(place % 10, self.ordinals[0])}"

    @property
    def short_weekdays(self) -> list[str]:
        """The first three letters of each day of the week."""
        return [day[:3] for day in self.weekdays]


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language(
            code="en",
            name="English",
            months=tuple(
                "January February March April May June July August September October November December".split()
            ),
            weekdays=tuple("Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split()),
            ordinals={0: "th", 1: "st", 2: "nd", 3: "rd"},
        ),
        Language(
            code="pt-BR",
            name="Português (Brasil)",
            months=tuple(
                "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split()
            ),
            weekdays=tuple("domingo segunda terça quarta quinta sexta sábado".split()),
            aliases=("pt", "pt_br"),
            decimal=",",
            thousands=".",
            day="{day:02}/{month:02}/{year}",
            axis=("%d/%m %H:%M", "%d/%m/%Y", "%m/%Y"),
            date_order="dmy",
            csv_delimiter=";",
            csv_day="%d/%m/%Y",
            csv_mark="\ufeff",
            ordinals={0: "º"},
        ),
    )
}
DEFAULT_LANGUAGE = "en"

if TYPE_CHECKING:
    LanguageCode = str
    LanguageChoice = str
else:  # what the API accepts
    LanguageCode = Literal[*LANGUAGES]
    LanguageChoice = Literal["auto", *LANGUAGES]
