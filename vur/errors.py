"""The one exception a user sees: which stage, what is wrong, what to do."""

import math
from collections.abc import Callable
from typing import Any

from vur.text import DEFAULT_LANGUAGE, Phrase, encodable, table, translate

WORDS = ("kind", "status", "state", "role", "have")  # placeholders for words that the API names in English
LONGEST = 2_000  # characters of one value that an answer repeats


class VurError(ValueError):
    """A problem that the user can act on.

    `code` names two entries of the translation table, `error.<code>.cause` and `error.<code>.remedy`; `data` fills
    their placeholders and is kept on the exception (columns, rows, values), so that callers need not parse text.
    """

    def __init__(self, code: str, *, stage: str = "", **data: object) -> None:
        self.code, self.stage, self.data = code, stage or code.split(".")[0], data
        super().__init__(self.text())

    def cause(self, language: str = DEFAULT_LANGUAGE) -> str:
        """What is wrong, naming the column, row or value."""
        return translate(f"error.{self.code}.cause", language, **self._said(language))

    def remedy(self, language: str = DEFAULT_LANGUAGE) -> str:
        """What the user can do about it."""
        return translate(f"error.{self.code}.remedy", language, **self._said(language))

    def text(self, language: str = DEFAULT_LANGUAGE) -> str:
        """Cause and remedy in one line."""
        return f"{self.cause(language)} {self.remedy(language)}"

    def _said(self, language: str) -> dict[str, Any]:
        """`data` with the kinds and states of objects in words; `data` itself keeps those of the API."""
        words = {name: f"word.{self.data[name]}" for name in WORDS if name in self.data}
        return self.data | {name: translate(key, language) for name, key in words.items() if key in table()}

    def __reduce__(self) -> tuple[Callable[..., "VurError"], tuple[str, str, dict[str, Any]]]:
        return _rebuild, (self.code, self.stage, self.data)


def _rebuild(code: str, stage: str, data: dict[str, Any]) -> VurError:
    return VurError(code, stage=stage, **data)


def _plain(value: object, language: str) -> object:
    if isinstance(value, Phrase):
        return value.text(language)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def error_body(error: VurError, language: str = DEFAULT_LANGUAGE) -> dict[str, Any]:
    """An error as plain data: `detail` in `language`, `code`, the `field` at fault, the `values` of the sentence."""
    plain = {key: _plain(value, language) for key, value in error.data.items()}
    field = plain.get("field") or plain.get("column") or plain.get("key")
    shown = VurError(error.code, **{key: _short(value) for key, value in error.data.items()})
    return sendable({"detail": shown.text(language), "code": error.code, "field": field, "values": plain})


def sendable(content: Any) -> Any:
    """Plain data as every JSON can hold it: short texts without lone surrogates, and no numbers but finite ones."""
    if isinstance(content, dict):
        return {key: sendable(value) for key, value in content.items()}
    if isinstance(content, list):
        return [sendable(item) for item in content]
    if isinstance(content, str):
        return encodable(_short(content))
    return str(content) if isinstance(content, float) and not math.isfinite(content) else content


def _short(value: Any) -> Any:
    return f"{value[:LONGEST]}…" if isinstance(value, str) and len(value) > LONGEST else value
