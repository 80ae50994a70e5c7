"""The base of every body that a client sends: a key that it does not have is refused, and the nearest one named."""

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from vur.nearest import by_likeness, near
from vur.text import encodable

LONGEST_KEY = 100  # characters of a key that an answer repeats
LONGEST_TEXT = 100_000  # characters of a text where its field has no smaller limit
SHOWN = 20


class Body(BaseModel):
    """A request, or an object inside one. A subclass with free keys says so by `extra="allow"`."""

    # With a limit pydantic reads every text, and so refuses lone surrogates, which no answer and no database can hold.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_max_length=LONGEST_TEXT, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if cls.model_config.get("extra") == "forbid" and isinstance(given, dict):
            given = {key: value for key, value in given.items() if value is not None or key not in cls.optional_keys()}
            check_keys(given, cls.key_names())
        return given

    @classmethod
    def optional_keys(cls) -> set[str]:
        """Return the keys for which null means the same as leaving them out: of a default, or with another name."""
        return {
            key
            for name, keys in cls.key_names().items()
            for key in keys
            if len(keys) > 1
            or not (cls.model_fields[name].is_required() or _takes_null(cls.model_fields[name].annotation))
        }

    @classmethod
    def key_names(cls) -> dict[str, tuple[str, ...]]:
        """Return the keys of a client by field: the first is the documented one, the others are taken as well."""
        return {name: _keys(name, field.validation_alias) for name, field in cls.model_fields.items()}


def _takes_null(annotation: Any) -> bool:
    return annotation is Any or type(None) in get_args(annotation)


def _keys(name: str, alias: Any) -> tuple[str, ...]:
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias if isinstance(alias, str) else name,)


def check_keys(given: Iterable[Any], fields: dict[str, tuple[str, ...]]) -> None:
    """Check the keys of an object: `api.unknown_key` for one that no field has, `api.same_key` for two of one field."""
    names = [name for keys in fields.values() for name in keys]
    keys = list(given)
    for key in keys:
        if key not in names:
            raise unknown_key(key, names)
    for field in fields.values():
        if len(both := [name for name in field if name in keys]) > 1:
            raise PydanticCustomError(
                "api.same_key", "{key} and {other} are one key", {"key": both[0], "other": both[1]}
            )


def unknown_key(key: Any, names: list[str]) -> PydanticCustomError:
    """Return the error of an unknown key: the name `near` it or None, and the `known` names, nearest first."""
    shown = encodable(str(key)[:LONGEST_KEY])
    if not names:
        return PydanticCustomError("api.no_keys", "unknown key {key}; there are none", {"key": shown})
    values = {"key": shown, "near": near(shown, names), "known": listed(shown, names)}
    return PydanticCustomError("api.unknown_key", "unknown key {key}; known are {known}", values)


def listed(word: str, names: Iterable[str]) -> str:
    """Return the first `SHOWN` names for a message, those spelt most like `word` first."""
    found = by_likeness(word, names)
    return ", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "")


def example(*contents: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a body with examples."""
    return ConfigDict(json_schema_extra={"examples": list(contents)})
