"""Reading a body, and what it was refused for: from the problems that pydantic found to the one shape of errors."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from vur.errors import VurError
from vur.serving.schemas.body import Body
from vur.store.feeds.reader import ADDRESS

B = TypeVar("B", bound=Body)
# The branches of a union, which pydantic writes into the path of a problem.
BRANCH = re.compile(r"^(dict|list|tuple|function-\w+|constrained-\w+|lax-or-strict|nullable)\[.*\]$")
KEYED = ("api.unknown_key", "api.same_key", "api.no_keys")  # problems of an object that are about one of its keys
OWN = (*KEYED, "api.control_character", "api.moment")
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
        raise VurError("api.broken_json", reason=f"{error.msg} ({error.pos})") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise VurError("api.unreadable", reason=str(error)[:200]) from None


def checked(kind: type[B], content: Any, within: str) -> B:
    """Return `content`, a part of a body at the key `within`, as a `kind`. `VurError` names the whole path of a key."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise refusal([{**one, "loc": (within, *one["loc"])} for one in error.errors()])[0] from None


def refusal(problems: Sequence[Mapping[str, Any]]) -> tuple[VurError, list[dict[str, str]]]:
    """Return the error of a body and its problems as `field, detail`; `problems` are those of a `ValidationError`."""
    listed = [{"field": field_of(one) or "body", "detail": str(one["msg"])} for one in problems]
    return _error(problems[0]), listed


def field_of(problem: Mapping[str, Any]) -> str:
    """Return the path of the key at fault, such as `optimization.iterations`; empty for the whole body."""
    parts = [str(part) for part in problem["loc"] if not BRANCH.match(str(part))]
    parts = parts[1:] if parts[:1] == ["body"] else parts
    return ".".join([*parts, str(problem["ctx"]["key"])] if problem["type"] in KEYED else parts)


def _error(problem: Mapping[str, Any]) -> VurError:
    kind = problem["type"]
    context: dict[str, Any] = problem.get("ctx") or {}
    if kind == "json_invalid":
        place = f" ({problem['loc'][-1]})" if problem["loc"] else ""
        return VurError("api.broken_json", reason=f"{context.get('error', problem['msg'])}{place}")
    field = field_of(problem) or "body"
    if kind in OWN:
        return VurError(kind, field=field, **{name: value for name, value in context.items() if name != "key"})
    value = problem.get("input")
    shown: dict[str, Any] = {"value": value} if _may_be_shown(field, value) else {}
    return VurError("api.invalid", field=field, reason=problem["msg"], **shown)


def _may_be_shown(field: str, value: Any) -> bool:
    if field == "body" or SECRET.search(field) or ADDRESS.search(str(value)):
        return False
    return isinstance(value, (bool, int, float)) or isinstance(value, str) and len(value) <= LONGEST
