"""The configuration of a run: one section per stage, read from and written to YAML."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from vur.absence import ABSENT
from vur.columns import known_zone
from vur.errors import VurError
from vur.hierarchy import HierarchySpec
from vur.nearest import by_likeness, near
from vur.settings import settings, tidy_levels
from vur.stages.features import FeatureSpec
from vur.stages.model import ModelSpec
from vur.stages.preprocess.preprocessor import PreprocessSpec
from vur.stages.split.folds import SplitSpec
from vur.stages.upload.files import UploadOptions
from vur.store.cache import digest

DUPLICATES = ("refuse", "sum", "mean", "first", "last")
ENDED = ("auto", "omit", "forecast")

C = TypeVar("C")


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """The source file and the roles of its columns; None and "auto" are inferred.

    `absent` says what a row that is absent means: `auto` (by the evidence), `zero` or `missing`. `ended` says what
    happens to series that ended before the others: `omit`, `forecast` or `auto` (left out unless a hierarchy closes
    them).
    `fingerprint` is the SHA-256 of the source's bytes: a run finds the stored dataset by it when the file is missing.
    `trust` names known-future columns that are used even if they look like copies of the target.
    """

    path: str | None = None
    fingerprint: str | None = None
    date: str | None = None
    target: str | None = None
    series: tuple[str, ...] | None = None
    freq: str | None = None
    tz: str | None = None
    roles: dict[str, str] = dataclasses.field(default_factory=dict)
    duplicates: str = "refuse"
    absent: str = "auto"
    ended: str = "auto"
    trust: tuple[str, ...] = ()
    upload: UploadOptions = UploadOptions()

    def __post_init__(self) -> None:
        for name, known in (("duplicates", DUPLICATES), ("absent", ABSENT), ("ended", ENDED)):
            value = getattr(self, name)
            if value not in known:
                raise VurError("config.value", key=f"data.{name}", value=value, expected=" | ".join(known))
        known_zone(self.tz)


@dataclasses.dataclass(frozen=True)
class TrainingSpec:
    """Time budget in seconds, interval levels in percent, seed, and whether forecasts are shown as whole numbers.

    Without levels no intervals are shown; those of any level can still be asked of the trained model.
    """

    time_budget: float | None = None
    levels: tuple[int | float, ...] = (80, 95)
    seed: int = 0
    whole: bool = False

    @property
    def scored_levels(self) -> tuple[int | float, ...]:
        """The levels by which a training judges intervals: those shown, else the usual ones."""
        return self.levels or type(self).levels

    def __post_init__(self) -> None:
        if self.time_budget is not None and self.time_budget <= 0:
            raise VurError(
                "config.value", key="training.time_budget", value=self.time_budget, expected="seconds above 0"
            )
        expected = "percentages above 0 and below 100, such as 80, 95, 99.9"
        try:
            object.__setattr__(self, "levels", tidy_levels(self.levels))
        except (ValueError, OverflowError):
            raise VurError("config.value", key="training.levels", value=self.levels, expected=expected) from None


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that determines a run. `name` and `language` change no number and are not part of `hash`."""

    name: str | None = None
    language: str = "en"
    data: DataSpec = DataSpec()
    hierarchy: HierarchySpec = HierarchySpec()
    split: SplitSpec = SplitSpec()
    preprocess: PreprocessSpec = PreprocessSpec()
    features: FeatureSpec = FeatureSpec()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()

    def hash(self) -> str:
        """SHA-256 of everything that can change a number: all but the name, the language and the path of the file."""
        content = self.to_dict()
        content["data"].pop("path")
        content["data"].pop("fingerprint")
        return digest({key: content[key] for key in content if key not in ("name", "language")})

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and scalars."""
        return plain(dataclasses.asdict(self))

    def to_yaml(self) -> str:
        """The configuration as YAML that `Config.from_yaml` reads back equal."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, path: Path | str) -> "Config":
        """Read a YAML file; `VurError` names an unknown key, a wrong value or a syntax error with its line."""
        return cls.from_dict(read_yaml(Path(path)))

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Config":
        """Build from plain data; missing keys take their defaults."""
        return from_plain(cls, content)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; `VurError` if it is missing or has a syntax error."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise VurError("config.no_file", path=path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VurError("config.syntax", path=path, reason=" ".join(str(error).split())) from None


def from_plain(kind: type[C], content: Any) -> C:
    """A configuration dataclass from plain data; `VurError` names an unknown key or a wrong value."""
    _check_keys(kind, content, "")
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        problem = _problem(error)
    # Raised here: inside the handler, `problem` and pydantic's error would refer to each other and never be freed.
    raise problem


def _problem(error: ValidationError) -> VurError:
    """The first validation error of pydantic, or the `VurError` that a section raised."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, VurError):
        return cause
    return VurError(
        "config.value", key=".".join(str(part) for part in first["loc"]), value=first["input"], expected=first["msg"]
    )


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def unknown_key(key: Any, names: Iterable[str], prefix: str = "") -> VurError:
    """The error of a key that a section does not have, with the names that it has, nearest first."""
    known = list(names)
    return VurError(
        "config.unknown", key=f"{prefix}{key}"[:200], near=near(key, known), known=", ".join(by_likeness(key, known))
    )


def unknown_keys(content: Any, kind: type = Config, prefix: str = "") -> Iterator[VurError]:
    """An error for each unknown key of a configuration in plain data, whatever its values are."""
    hints = get_type_hints(kind)
    for key, value in content.items() if isinstance(content, dict) else ():
        if key not in hints:
            yield unknown_key(key, hints, prefix)
        elif dataclasses.is_dataclass(hints[key]):
            yield from unknown_keys(value, hints[key], f"{prefix}{key}.")


def _check_keys(kind: type, content: Any, prefix: str) -> None:
    if not isinstance(content, dict):
        raise VurError("config.value", key=prefix.rstrip(".") or "-", value=content, expected="a mapping of keys")
    hints = get_type_hints(kind)
    for key, value in content.items():
        if key not in hints:
            raise unknown_key(key, hints, prefix)
        if dataclasses.is_dataclass(hints[key]):
            _check_keys(hints[key], value, f"{prefix}{key}.")


def default_config(**changes: Any) -> Config:
    """The defaults with the user's settings (language, levels, time budget) and `changes` by section."""
    chosen = settings()
    base = Config(language=chosen.language, training=TrainingSpec(time_budget=chosen.time_budget, levels=chosen.levels))
    return replace_sections(base, **changes)


def replace_sections(config: Config, **changes: Any) -> Config:
    """`config` with `section={key: value}` changes; values of None change nothing."""
    content = config.to_dict()
    for section, values in changes.items():
        if isinstance(values, dict):
            content[section] = content[section] | {key: value for key, value in values.items() if value is not None}
        elif values is not None:
            content[section] = values
    return Config.from_dict(content)
