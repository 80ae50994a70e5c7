"""The translation table: every sentence a user reads, in every language of `vur.languages`."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from typing import Any

from vur.languages import DEFAULT_LANGUAGE, LANGUAGES


@cache
def table() -> dict[str, dict[str, str]]:
    """All entries of the YAML files of each language: key to language to text; `KeyError` for a repeated key."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries: dict[str, dict[str, str]] = {}
    for language, entry in LANGUAGES.items():
        seen: set[str] = set()
        for path in sorted(entry.texts.glob("*.yaml")):
            section = yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}
            if repeated := seen & section.keys():
                raise KeyError(f"{language}/{path.name} repeats the translation keys {sorted(repeated)}")
            seen |= section.keys()
            for key, text in section.items():
                entries.setdefault(key, {})[language] = text
    return entries


@dataclass(frozen=True)
class Phrase:
    """A part of a sentence, an entry of the table with its values, that is translated together with the sentence."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def text(self, language: str = DEFAULT_LANGUAGE) -> str:
        """The phrase in `language`."""
        return translate(self.key, language, **self.values)

    def __str__(self) -> str:
        return self.text()


def phrase(key: str, /, **values: object) -> Phrase:
    """The phrase of `key` with its `{placeholders}`."""
    return Phrase(key, values)


def translate(key: str, language: str = DEFAULT_LANGUAGE, /, **values: object) -> str:
    """The text of `key` in `language` with its `{placeholders}` filled from `values`, in which phrases are translated.

    `{count:row|rows}` is the word that goes with a count, `{count:,}` a number in the marks of the language.

    Raises `KeyError` for a key or language that the table does not hold: a missing sentence is a bug.
    """
    entry = table().get(key)
    if entry is None or language not in entry:
        raise KeyError(f"no text for {key!r} in {language!r}: add it to vur/translations")
    spoken = {name: value.text(language) if isinstance(value, Phrase) else value for name, value in values.items()}
    text = entry[language]
    return _Counting(language).vformat(text, (), spoken) if _COUNTED.search(text) else text.format(**spoken)


def translate_or(key: str, otherwise: str, language: str = DEFAULT_LANGUAGE) -> str:
    """The text of `key`, or `otherwise` for a name that has none, such as that of a method that somebody added."""
    return translate(key, language) if key in table() else otherwise


_COUNTED = re.compile(r"\{\w+:(?:,|[^{}]*\|[^{}]*)\}")


class _Counting(Formatter):
    """Fills the placeholders of texts that say how many."""

    def __init__(self, language: str):
        self.marks = {ord(","): LANGUAGES[language].thousands, ord("."): LANGUAGES[language].decimal}

    def format_field(self, value: Any, spec: str) -> str:
        """A placeholder's value; a number that is written already, such as `1.488`, stays as it is."""
        if "|" in spec:
            one, many = spec.split("|")
            return one if value in (1, "1") else many
        if spec == ",":
            if isinstance(value, str):
                return value
            return (f"{value:,.10g}" if isinstance(value, float) else f"{value:,}").translate(self.marks)
        return str(super().format_field(value, spec))


BREAKS = frozenset({"Cc", "Zl", "Zp"})  # control characters, line and paragraph separators
INVISIBLE = frozenset("\u00ad\u180e\u200b\u2060\ufeff")  # no width: two texts that look alike differ by them
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they change the order that is shown


def is_control(character: str) -> bool:
    """Whether a character breaks a line, a log or a header, changes the order that is shown, or is not shown at all."""
    return unicodedata.category(character) in BREAKS or character in BIDI or character in INVISIBLE


def is_blank(text: str) -> bool:
    """Whether nothing of `text` can be seen: spaces of any kind, marks of direction, joiners."""
    return all(unicodedata.category(one)[0] in "ZC" for one in text)


def on_one_line(text: str) -> str:
    """`text` in one line: control characters are spaces, of which there is one at a time."""
    return " ".join("".join(" " if is_control(one) else one for one in text).split())


def encodable(text: str) -> str:
    """`text` with lone surrogates, which no UTF-8 can hold, written as `\\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode()
