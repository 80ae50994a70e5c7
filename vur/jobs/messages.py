"""What jobs report: results and errors as JSON, log lines and errors as text in a reader's language."""

import math
from collections.abc import Mapping
from typing import Any

from vur.errors import VurError
from vur.languages import LANGUAGES
from vur.store.full_disk import disk_error, is_full
from vur.text import table, translate


def jsonable(value: Any) -> Any:
    """Convert `value` to what JSON and every database can hold: no NaN, no infinity, no types of libraries."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [jsonable(item) for item in value]
    if isinstance(value, (str, bool, int, type(None))):
        return str(value).replace("\x00", "") if isinstance(value, str) else value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        return jsonable(value.item())
    return str(value)


def error_of(error: BaseException) -> dict[str, Any]:
    """An exception as a job stores it: `code, stage, data`, with the texts that a failed run left."""
    failure = getattr(error, "failure", None)
    if failure is not None:
        content = {key: failure[key] for key in ("code", "stage", "cause", "remedy")}
        content["data"] = failure.get("data", {})
    elif isinstance(error, VurError):
        content = {"code": error.code, "stage": error.stage, "data": error.data}
    elif is_full(error):
        return error_of(disk_error())
    else:
        reason = " ".join(str(error).split())[-500:] or "-"
        content = {"code": "jobs.error", "stage": "", "data": {"kind": type(error).__name__, "reason": reason}}
    return {key: jsonable(value) for key, value in content.items()}


class Spoken(float):
    """A number that is formatted with the decimal mark of a language."""

    def __new__(cls, value: float, language: str) -> "Spoken":
        """Keep the language beside the value."""
        made = super().__new__(cls, value)
        made.mark = LANGUAGES[language].decimal
        return made

    mark: str

    def __format__(self, pattern: str) -> str:
        return format(float(self), pattern).replace(".", self.mark)


def log_text(key: str, values: dict[str, Any], language: str) -> str:
    """The text of `key` in `language`, filled from `values`; `key` itself if it is plain text."""
    if key not in table():
        return key
    named = {name: Spoken(value, language) if isinstance(value, float) else value for name, value in values.items()}
    if "algorithm" in values:
        named["algorithm"] = _name(values["algorithm"], language)
    try:
        return translate(key, language, **named)
    except (KeyError, IndexError, ValueError, TypeError):
        return f"{key} {values}"


def _name(algorithm: Any, language: str) -> str:
    from vur.forecasters.registry import algorithm_name

    return algorithm_name(algorithm, language)


def error_text(error: dict[str, Any] | None, language: str) -> dict[str, Any] | None:
    """A job's error in `language`: `detail, code, remedy, stage, stage_name`.

    If its data no longer fill the text of its code, the texts that were stored with it are returned.
    """
    if error is None:
        return None
    try:
        known = VurError(error["code"], **error.get("data", {}))
        cause, remedy = known.cause(language), known.remedy(language)
    except (KeyError, IndexError, ValueError, TypeError):
        cause, remedy = "", ""
    stage = f"stage.{error.get('stage')}"
    return {
        "detail": cause or error.get("cause") or error["code"],
        "remedy": remedy or error.get("remedy") or "",
        "code": error["code"],
        "stage": error.get("stage") or "",
        "stage_name": translate(stage, language) if stage in table() else error.get("stage") or "",
    }
