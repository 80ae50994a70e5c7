"""Reading a body, and what it was refused for: from the problems that pydantic found to the one shape of errors."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from vur.errors import VurError
from vur.serving.schemas.body import Body
from vur.store.feeds.reader import ADDRESS
from vur.text import Phrase, phrase, table

B = TypeVar("B", bound=Body)
# The branches of a union, which pydantic writes into the path of a problem.
BRANCH = re.compile(r"^(dict|list|tuple|function-\w+|constrained-\w+|lax-or-strict|nullable)\[.*\]$")
ONE_TYPE = {"[key]", "str", "constrained-str", "bool", "int", "constrained-int", "float", "constrained-float"}
KEYED = ("api.unknown_key", "api.same_key", "api.no_keys")  # problems of an object that are about one of its keys
OWN = (*KEYED, "api.control_character", "api.blank", "api.moment")
SECRET = re.compile(r"password|token|secret|source|key", re.IGNORECASE)
LONGEST = 100  # characters of a value that an answer repeats


def read_body(kind: type[B], content_type: str, content: bytes) -> B:
    """Return the body `content` as a `kind`. `VurError` for another content type, broken JSON or a wrong value."""
    media = content_type.partition(";")[0].strip().lower()
    if media and media != "application/json" and not media.endswith("+json"):
        raise VurError("api.not_json", found=content_type[:100])
    try:
        return kind.model_validate(json.loads(content.decode("utf-8-sig") or "{}"))
    except ValidationError as error:
        raise refusal(error.errors())[0] from None
    except json.JSONDecodeError as error:
        raise VurError("api.broken_json", reason=phrase("api.reason.json", place=error.pos + 1)) from None
    except (RecursionError, ValueError) as error:
        raise unreadable(error) from None


def checked(kind: type[B], content: Any, within: str) -> B:
    """Return `content`, a part of a body at the key `within`, as a `kind`. `VurError` names the whole path of a key."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise refusal([{**one, "loc": (within, *one["loc"])} for one in error.errors()])[0] from None


def unreadable(error: BaseException) -> VurError:
    """Return the error of a body that is no text, is nested too deeply, or has a number of thousands of digits."""
    if isinstance(error, UnicodeDecodeError):
        return VurError("api.unreadable", reason=phrase("api.reason.utf8", place=error.start + 1))
    nested = isinstance(error, RecursionError)
    return VurError("api.unreadable", reason=phrase("api.reason.nesting" if nested else "api.reason.unknown_form"))


def refusal(problems: Sequence[Mapping[str, Any]]) -> tuple[VurError, list[tuple[str, Phrase]]]:
    """Return the error of a body and, for each of `problems` (of a `ValidationError`), its field and its reason."""
    return _error(problems[0]), [(field_of(one) or "body", reason_of(one)) for one in problems]


def reason_of(problem: Mapping[str, Any]) -> Phrase:
    """Return what is wrong about one value; in pydantic's own English words where the table has none."""
    kind, context = problem["type"], problem.get("ctx") or {}
    if kind in ("too_short", "too_long") and isinstance(problem.get("input"), str):
        kind = f"string_{kind}"
    if kind == "json_invalid":
        return phrase("api.reason.json", place=1 + next((one for one in problem["loc"] if isinstance(one, int)), 0))
    key = f"error.{kind}.cause" if kind in OWN else f"api.reason.{kind}"
    if key not in table():
        return phrase("api.reason.other", text=problem["msg"])
    values = {name: re.sub(r" or (?='[^']*'$)", ", ", str(value)) for name, value in context.items()}
    return Phrase(key, {"field": field_of(problem), **values})


def one_of(value: str, known: Iterable[str]) -> Phrase:
    """Return the reason why `value` is refused where it must be one of `known`."""
    return phrase("api.reason.one_of", value=value[:50], known=", ".join(known))


def field_of(problem: Mapping[str, Any]) -> str:
    """Return the path of the key at fault, such as `optimization.iterations`; empty for the whole body."""
    if problem["type"] == "json_invalid":  # its place is a position in the text
        return ""
    parts = [str(part) for part in problem["loc"] if not BRANCH.match(str(part))]
    parts = parts[1:] if parts[:1] == ["body"] else parts
    parts = parts[:-1] if parts[1:] and parts[-1] in ONE_TYPE else parts
    return ".".join([*parts, str(problem["ctx"]["key"])] if problem["type"] in KEYED else parts)


def _error(problem: Mapping[str, Any]) -> VurError:
    kind = problem["type"]
    context: dict[str, Any] = problem.get("ctx") or {}
    if kind == "json_invalid":
        return VurError("api.broken_json", reason=reason_of(problem))
    field = field_of(problem) or "body"
    if kind in OWN:
        return VurError(kind, field=field, **{name: value for name, value in context.items() if name != "key"})
    value = problem.get("input")
    shown: dict[str, Any] = {"value": value} if _may_be_shown(field, value) else {}
    return VurError("api.invalid", field=field, reason=reason_of(problem), **shown)


def _may_be_shown(field: str, value: Any) -> bool:
    if field == "body" or SECRET.search(field) or ADDRESS.search(str(value)):
        return False
    return isinstance(value, (bool, int, float)) or isinstance(value, str) and len(value) <= LONGEST
