"""Validates the settings of a pipeline's steps against the run configuration and the data."""

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import yaml

from vur import __version__
from vur.errors import VurError
from vur.runs.config import Config, default_config, unknown_key, unknown_keys
from vur.stages.model.search_space import say_remark
from vur.stages.split.folds import SplitSpec
from vur.store.pipelines import SECTIONS, STEPS
from vur.wizard import preparation
from vur.wizard.preparation import VersionRef
from vur.wizard.requests import feature_section, preparation_plan

DOCUMENT_COLUMNS = {
    "date_column": "date",
    "target_column": "target",
    "series_columns": "series",
    "timezone": "tz",
    "freq": "freq",
    "roles": "roles",
    "duplicates": "duplicates",
    "absent": "absent",
    "ended": "ended",
    "trust": "trust",
}
DOCUMENT_KEYS = (
    "missing_values",
    "outliers",
    "normalization",
    "duplicates",
    "absent",
    "ended",
    "date_range",
    "drop_columns",
)
FEATURE_KEYS = ("lag_features", "rolling_features", "seasonal_features", "holidays")
_PREVIEW_KEYS = (*DOCUMENT_COLUMNS, "feature_columns", "exclude_columns")
OWN_KEYS = ("missing", "transforms", "season", "box_cox_lambda")
PRIVATE = ("path", "fingerprint", "upload")
FORMAT = 1  # of exported documents
DOCUMENT = ("format", "vur", "name", "description", "completed", "dataset", "config")
DEEPEST, LONGEST = 40, 256 * 1024


def check_step(
    step: str, given: dict[str, Any], ref: VersionRef, language: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration section for the data of a step, and facts to show; `VurError` for invalid settings.

    `ref` is the dataset's version with the columns that the pipeline has chosen so far. The field of an error is the
    place in the request, `data.outliers`, not in the configuration.
    """
    section = read_section(step, given, ref)
    return section, _FACTS[step](section, ref, language)


def read_section(step: str, given: dict[str, Any], ref: VersionRef) -> dict[str, Any]:
    """The configuration section of the settings of a step, without a look at the rows; `VurError` as `check_step`."""
    try:
        return _SECTIONS[step](given, ref)
    except VurError as error:
        section, _, rest = str(error.data.get("key") or "").partition(".")
        if section == SECTIONS[step] and rest:
            error.data["field"] = f"data.{rest}"
        raise


def check_step_keys(step: str, given: dict[str, Any]) -> None:
    """`VurError` config.unknown for a key that the step lacks; the preview takes the API's names and its own."""
    section = SECTIONS[step]
    own = [field.name for field in fields(getattr(Config(), section)) if field.name not in PRIVATE]
    names = list(_PREVIEW_KEYS) if step == "preview" else own + list(_REQUEST_KEYS.get(step, ()))
    for key in given:
        if key not in (*names, *own, *PRIVATE):
            error = unknown_key(key, names, f"{section}.")
            error.data["field"] = f"data.{key}"[:200]
            raise error


def with_columns(ref: VersionRef, data: dict[str, Any]) -> VersionRef:
    """The same version with other columns chosen."""
    usual = Config().to_dict()["data"]
    return replace(
        ref,
        data=ref.data | {key: value for key, value in data.items() if key not in PRIVATE and value != usual.get(key)},
    )


def _plain(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The given keys of a section, validated and in their canonical form."""
    checked = Config.from_dict({name: values}).to_dict()[name]
    return {key: checked[key] for key in values}


def _preview(given: dict[str, Any], ref: VersionRef) -> dict[str, Any]:
    values = {
        DOCUMENT_COLUMNS.get(key, key): value
        for key, value in given.items()
        if key not in ("feature_columns", "exclude_columns", *PRIVATE)
    }
    values = {key: value for key, value in values.items() if value is not None}
    values = _plain("data", values)
    for name in ("feature_columns", "exclude_columns"):
        _check_names(name, given.get(name))
    values["roles"] = dict(values.get("roles") or {})
    excluded = list(given.get("exclude_columns") or [])
    if given.get("feature_columns") is not None:
        named = {
            values.get("date") or ref.suggested["date"],
            values.get("target") or ref.suggested["target"],
            *(ref.suggested["series"] if values.get("series") is None else values["series"]),
            *given["feature_columns"],
        }
        excluded += [name for name in ref.kinds if name not in named]
    for name in (*excluded, *(given.get("feature_columns") or []), *values["roles"]):
        if name not in ref.kinds:
            raise VurError("datasets.column", field="data", column=name, known=", ".join(ref.kinds))
    values["roles"] |= dict.fromkeys(excluded, "exclude")
    return _plain("data", values)


def _check_names(key: str, names: Any) -> None:
    """Raise `VurError` unless `names` are a list of texts or None."""
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise VurError("config.value", key=f"data.{key}", value=str(names)[:100], expected="a list of columns")


def _preview_facts(section: dict[str, Any], ref: VersionRef, language: str) -> dict[str, Any]:
    return preparation.series(with_columns(ref, section), language) | {"items": None}


def _split(given: dict[str, Any], ref: VersionRef) -> dict[str, Any]:
    values = {key: value for key, value in given.items() if value is not None and key != "method"}
    if given.get("method") == "sliding":
        values["window"] = "sliding"
    section = _plain("split", values)
    SplitSpec(**section)
    section.pop("shuffle", None)
    return section


def _split_facts(section: dict[str, Any], ref: VersionRef, language: str) -> dict[str, Any]:
    return preparation.split(ref, section, language)


def _preprocessing(given: dict[str, Any], ref: VersionRef) -> dict[str, Any]:
    values = given
    if is_preparation_request(given):
        plan = preparation_plan(given, ref.target or "", ref.date or "", ref.kinds)
        if plan.rows or plan.panel:
            raise VurError("pipelines.rows", field="preprocessing")
        values = plan.preprocess
    return _plain("preprocess", values)


def _preprocessing_facts(section: dict[str, Any], ref: VersionRef, language: str) -> dict[str, Any]:
    return preparation.cached_answer(
        ref, "preview", "vur.wizard.rows:preview_pipeline", preprocess=section, features=None, language=language
    )


def is_preparation_request(given: dict[str, Any]) -> bool:
    """Whether settings have the form of the API's request for a preparation, not of the section of a configuration.

    `outliers` stands in both; in a stored section it has a window.
    """
    outliers = given.get("outliers")
    stored = isinstance(outliers, dict) and "window" in outliers
    return bool(given.keys() & set(DOCUMENT_KEYS)) and not given.keys() & set(OWN_KEYS) and not stored


def is_feature_request(given: dict[str, Any]) -> bool:
    """Whether settings have the form of the API's request for features, not of the section of a configuration."""
    return any(key.endswith("_features") or key == "holidays" for key in given)


def _features(given: dict[str, Any], ref: VersionRef) -> dict[str, Any]:
    return _plain("features", feature_section(given) if is_feature_request(given) else given)


def _feature_facts(section: dict[str, Any], ref: VersionRef, language: str) -> dict[str, Any]:
    preview = preparation.cached_answer(
        ref, "preview", "vur.wizard.rows:preview_pipeline", preprocess={}, features=section, language=language
    )
    features: dict[str, Any] = preview["features"]
    return features


def _model(given: dict[str, Any], ref: VersionRef) -> dict[str, Any]:
    return _plain("model", given)


def _model_facts(section: dict[str, Any], ref: VersionRef, language: str) -> dict[str, Any]:
    spec = Config.from_dict({"model": section}).model
    return {"warnings": [say_remark(parts, language) for parts in spec.optimize.remarks(spec.parameters)]}


def _training(given: dict[str, Any], ref: VersionRef) -> dict[str, Any]:
    return _plain("training", given)


def _no_facts(section: dict[str, Any], ref: VersionRef, language: str) -> dict[str, Any]:
    return {}


# What a step takes besides the keys of its section: those of the API's request.
_REQUEST_KEYS = {"split": ("method",), "preprocessing": DOCUMENT_KEYS, "features": FEATURE_KEYS}
_SECTIONS: dict[str, Callable[[dict[str, Any], VersionRef], dict[str, Any]]] = {
    "preview": _preview,
    "split": _split,
    "preprocessing": _preprocessing,
    "features": _features,
    "model": _model,
    "training": _training,
}
_FACTS: dict[str, Callable[[dict[str, Any], VersionRef, str], dict[str, Any]]] = {
    "preview": _preview_facts,
    "split": _split_facts,
    "preprocessing": _preprocessing_facts,
    "features": _feature_facts,
    "model": _model_facts,
    "training": _no_facts,
}


# --- the whole configuration ---


def config_of(
    name: str, sections: dict[str, Any], fingerprint: str | None = None, upload: dict[str, Any] | None = None
) -> Config:
    """The configuration of a pipeline's steps, without a path."""
    content = default_config().to_dict()
    for key, values in sections.items():
        if isinstance(values, dict) and isinstance(content.get(key), dict):
            content[key] |= values
    content["data"] |= {"path": None, "fingerprint": fingerprint, **({"upload": upload} if upload else {})}
    return Config.from_dict(content | {"name": name})


def trained_config(name: str, sections: dict[str, Any], found: dict[str, Any]) -> Config:
    """The configuration that a training of these sections has; `found` is the `data` section of the version."""
    merged = found | chosen_data(dict(sections.get("data") or {}))
    config = config_of(name, sections, found["fingerprint"], found["upload"])
    return replace(config, data=Config.from_dict({"data": merged}).data)


def chosen_data(section: dict[str, Any]) -> dict[str, Any]:
    """The choices of a `data` section that differ from the defaults, which override those of the dataset."""
    usual = Config().to_dict()["data"]
    return {
        key: value for key, value in section.items() if value != usual.get(key) and key not in ("path", "fingerprint")
    }


def in_language(config: Config, language: str) -> Config:
    """The same configuration with a report in `language`."""
    return replace(config, language=language)


def to_yaml(config: Config, notes: list[str]) -> str:
    """A pipeline.yaml for `vur run`, with notes as comments at the top."""
    return "".join(f"# {' '.join(note.split())}\n" for note in notes) + config.to_yaml()


class _Plain(yaml.SafeLoader):
    """A YAML loader that refuses anchors: a few lines with aliases can expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("anchors and aliases are not taken")
        return super().compose_node(parent, index)


def read_document(text: str) -> dict[str, Any]:
    """The content of an exported pipeline or a pipeline.yaml, from JSON or YAML.

    `VurError` pipelines.document states what is wrong with it.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it is longer than {LONGEST} characters")
        content = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_Plain)  # noqa: S506 - a safe loader
        _check_depth(content, 0)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise VurError("pipelines.document", field="body", reason=" ".join(str(error).split())[:300]) from None
    if not isinstance(content, dict):
        raise VurError("pipelines.document", field="body", reason="expected a mapping of keys")
    return content


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(item, depth + 1)


def valid_sections(content: dict[str, Any], language: str) -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """The valid sections of an imported configuration, and the problems of the others: `section, severity, text`."""
    sections, problems = {}, []
    usual = Config().to_dict()
    for name in [key for key in content if key not in usual]:
        problems.append(_problem(name, "warning", unknown_key(name, usual), language))
    for step, name in (*SECTIONS.items(), ("hierarchy", "hierarchy")):
        values = content.get(name)
        if values is None:
            continue
        try:
            if not isinstance(values, dict):
                raise VurError("config.value", key=name, value=str(values)[:100], expected="a mapping of keys")
            if name == "data" and values.get("path"):
                problems.append(_problem(name, "info", VurError("pipelines.path"), language))
            values = {key: value for key, value in values.items() if not (name == "data" and key in PRIVATE)}
            checked = _plain(name, values)
            sections[name] = (
                {key: value for key, value in checked.items() if value != usual[name][key]}
                if name != "data"
                else checked
            )
        except VurError as error:
            problems.append(_problem(step, "error", error, language))
    return sections, problems


def _problem(section: str, severity: str, error: VurError, language: str) -> dict[str, str]:
    return {"section": str(section)[:50], "severity": severity, "code": error.code, "text": error.text(language)[:1000]}


def export_document(
    name: str, description: str, config: Config, completed: list[str], dataset: dict[str, Any] | None
) -> dict[str, Any]:
    """A pipeline as a document for another installation: no paths, no secrets, the data by fingerprint."""
    content = config.to_dict()
    content["data"].pop("path")
    return {
        "format": FORMAT,
        "vur": __version__,
        "name": name,
        "description": description,
        "completed": completed,
        "dataset": dataset,
        "config": content,
    }


def check_document_keys(document: dict[str, Any]) -> None:
    """`VurError` config.unknown for a misspelt key, unless a newer version wrote the document, which may know more."""
    if is_newer(document):
        return
    if isinstance(document.get("config"), dict):
        for key in document:
            if key not in DOCUMENT:
                raise unknown_key(key, DOCUMENT)
        first = next(unknown_keys(document["config"], prefix="config."), None)
    else:
        first = next(unknown_keys(document), None)
    if first is not None:
        raise first


def is_newer(document: dict[str, Any]) -> bool:
    """Whether a document says that a newer VUR, or one with a newer format, wrote it."""
    format = document.get("format")
    if isinstance(format, int) and format > FORMAT:
        return True
    return _release(str(document.get("vur") or "")) > _release(__version__)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def completed_steps(document: dict[str, Any], sections: dict[str, Any]) -> list[str]:
    """The steps that an imported document marks as completed and whose sections are valid."""
    claimed = (
        document.get("completed")
        if "config" in document
        else [step for step, name in SECTIONS.items() if name in sections]
    )
    return [
        step
        for step in STEPS
        if step in (claimed if isinstance(claimed, list) else []) and (step == "upload" or SECTIONS[step] in sections)
    ]
