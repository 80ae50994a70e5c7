"""From a request to a configured model: translates the API's JSON into a `Config`, or says why it is invalid."""

import dataclasses
from typing import Any, NoReturn

from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.forecasters.registry import Algorithm, Parameter, algorithm, algorithms, validate_parameters
from vur.nearest import by_likeness
from vur.runs.config import Config, default_config, replace_sections
from vur.stages.features.calendar import check_country
from vur.stages.model import own_network
from vur.stages.model.search_space import (
    ORDERS,
    Remark,
    kept_remark,
    optimize_request,
    parameter_name,
    parameter_names,
    plain_metric,
    say_remark,
)
from vur.stages.split.folds import SplitSpec
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Dataset, Model, Pipeline, new_id
from vur.store.data import datasets
from vur.store.database import reading
from vur.text import table, translate
from vur.wizard import preparation, steps

AUTO = "auto"
NETWORK = "network"
FAMILIES = ("classical", "machine_learning", "deep_learning")
PARTS = ("train_size", "validation_size", "validation_start")
VALIDATION = ("time_series_split", "time_series", "rolling_origin", "expanding", "sliding")
WINDOWS = {"time_series_split": "expanding", "expanding": "expanding", "sliding": "sliding"}
PLAN = ("horizon", "gap", "window", "folds", "test_fold")  # of an answer of /split: what a training follows
LONG = 100  # steps that may pass the calendar's end


def catalogue(language: str) -> dict[str, list[dict[str, Any]]]:
    """Return all algorithms by family: `id, name, description, parameters, covariates, scope, tunable`."""
    found: dict[str, list[dict[str, Any]]] = {family: [] for family in FAMILIES}
    for entry in algorithms().values():
        if entry.family in found:
            found[entry.family].append(describe(entry, language))
    return found


def describe(entry: Algorithm, language: str) -> dict[str, Any]:
    """Return an algorithm as the API shows it."""
    parameters: dict[str, Any] = {}
    for name, parameter in entry.parameters.items():
        parameters |= (
            _split_order(name, parameter, language)
            if name in ORDERS and parameter.length == 3
            else {name: _parameter(parameter, language)}
        )
    return {
        "id": entry.id,
        "name": entry.name,
        "description": _about(entry, language),
        "scope": entry.scope,
        "covariates": list(entry.covariates),
        "tunable": sorted(entry.tunable),
        "parameters": parameters,
    }


def _about(entry: Algorithm, language: str) -> str:
    key = f"forecasters.algorithm.{entry.id}"
    return translate(key, language) if key in table() else entry.name


def _parameter(parameter: Parameter, language: str) -> dict[str, Any]:
    key = parameter.meaning if parameter.meaning in table() else f"{parameter.meaning}.name"
    name = f"{parameter.meaning}.name"
    shown = {
        "label": translate(name, language) if name in table() else None,
        "length": parameter.length,
        "type": parameter.type,
        "default": parameter.default,
        "min": parameter.min,
        "max": parameter.max,
        "choices": list(parameter.choices) or None,
    }
    return {name: value for name, value in shown.items() if value is not None or name == "default"} | {
        "description": translate(key, language) if key in table() else ""
    }


def _split_order(name: str, parameter: Parameter, language: str) -> dict[str, Any]:
    whole = _parameter(parameter, language)
    default = parameter.default or [None] * 3
    return {part: whole | {"type": "int", "default": default[place]} for place, part in enumerate(ORDERS[name])}


def read_hyperparameters(id: str, given: dict[str, Any]) -> dict[str, Any]:
    """Translate a request's parameters of algorithm `id`: `p, d, q` become `order`, common aliases our names.

    `VurError` names an invalid one.
    """
    schema, values = algorithm(id).parameters, dict(given)
    for name, parts in ORDERS.items():
        if name in schema and name not in values and any(part in values for part in parts):
            default = schema[name].default or [0, 0, 0]
            values[name] = [values.pop(part, default[place]) for place, part in enumerate(parts)]
    return {_parameter_of(id, name): value for name, value in values.items()}


def _parameter_of(id: str, name: str) -> str:
    try:
        return parameter_name(id, name)
    except VurError:
        known = ", ".join(by_likeness(name, parameter_names(id))) or "-"
        raise VurError("forecasters.parameter_unknown", algorithm=id, parameter=name, known=known) from None


def _hyperparameters(id: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the checked parameters of algorithm `id`. `VurError` has the key at fault as `field`."""
    try:
        values = read_hyperparameters(id, given)
        validate_parameters(id, values)
    except VurError as error:
        name = str(error.data.get("parameter", ""))
        parts = [part for part in ORDERS.get(name, ()) if part in given and not _accepted(id, {part: given[part]})]
        _raise_at(error, ".".join(["hyperparameters", *(parts[:1] or ([name] if name else []))]))
    return values


def _accepted(id: str, given: dict[str, Any]) -> bool:
    try:
        validate_parameters(id, read_hyperparameters(id, given))
    except VurError:
        return False
    return True


def _metric(metric: str, field: str) -> str:
    """Return the plain name of a metric at the key `field`."""
    try:
        return plain_metric(metric)
    except VurError as error:
        _raise_at(error, field)


def _raise_at(error: VurError, field: str) -> NoReturn:
    data: dict[str, Any] = error.data | {"field": field}
    raise VurError(error.code, **data) from None


def model_section(
    id: str,
    hyperparameters: dict[str, Any],
    optimization: dict[str, Any] | None,
    metrics: list[str],
    preset: str | None,
) -> tuple[dict[str, Any], list[Remark]]:
    """Return the `model` section of a `Config` for one algorithm or for `auto`, and remarks on what is not searched."""
    metrics = [_metric(metric, f"metrics.{place}") for place, metric in enumerate(metrics)]
    wanted = optimization if optimization and optimization.get("enabled", True) else None
    section: dict[str, Any] = {"algorithms": AUTO if id == AUTO else [id], "ensemble": id == AUTO}
    if preset:
        section["preset"] = preset
    if metrics:
        section["metric"] = metrics[0]
    if id == AUTO:
        if hyperparameters:
            raise VurError("models.auto_parameters", field="hyperparameters", given=", ".join(hyperparameters))
    else:
        algorithm(id)
    given = _hyperparameters(id, hyperparameters) if hyperparameters else {}
    section |= {"parameters": {id: given}} if given else {}
    if not wanted:
        return section, []
    try:
        found, remarks = search(id, wanted, given, "optimization.")
    except VurError as error:
        if error.code != "tuning.nothing_tunable":
            raise
        return section, kept_remark(id, given)
    return section | {"optimize": found}, remarks


def search(
    id: str, wanted: dict[str, Any], given: dict[str, Any], within: str = ""
) -> tuple[dict[str, Any], list[Remark]]:
    """Return the `optimize` section from a request for algorithm `id`, or for `auto`, with the parameters `given`.

    Also returns remarks on what is not searched. `VurError` names the key at fault, after the prefix `within`.
    """
    asked = {key: value for key, value in wanted.items() if value is not None}
    try:
        spec = optimize_request(asked, id, given)
    except VurError as error:
        if error.code == "tuning.nothing_tunable" and within == "" and not algorithm(id).parameters:
            raise VurError("tuning.no_parameters", algorithm=id, known=error.data["known"]) from None
        key = error.data.get("field") or error.code.removeprefix("tuning.")  # such as tuning.objective
        parameter = [str(error.data["parameter"])] if "parameter" in error.data else []
        place = key if key in asked else ".".join(["search_space", *parameter])
        _raise_at(error, f"{within}{place}")
    default = spec.iterations and id != AUTO and spec.asked(id) is None
    return dataclasses.asdict(spec), spec.remarks({id: given}) + (kept_remark(id, given) if default else [])


def model_remarks(config: dict[str, Any]) -> list[Remark]:
    """Return the remarks on the search spaces of a whole configuration."""
    spec = Config.from_dict(config).model
    return spec.optimize.remarks(spec.parameters)


def said(model: Model, language: str) -> list[str]:
    """Return the warnings of a model's configuration in `language`."""
    kept = model.options.get("warnings") or {}
    return [say_remark(parts, language) for group in ("split", "search") for parts in kept.get(group, [])]


def split_section(validation: dict[str, Any] | None, horizon: int | None) -> dict[str, Any]:
    """Return the `split` section: folds and window from `validation`, and the horizon."""
    section: dict[str, Any] = {"horizon": horizon}
    if validation:
        method = validation.get("method")
        if method is not None and method not in VALIDATION:
            raise VurError("models.validation", field="validation.method", value=method, known=", ".join(VALIDATION))
        section |= {
            "folds": validation.get("n_splits"),
            "gap": validation.get("gap"),
            "window": WINDOWS.get(method or ""),
        }
    return {key: value for key, value in section.items() if value is not None}


def planned_split(
    who: Principal, dataset_id: str, pipeline_id: str | None, changes: dict[str, Any], language: str
) -> tuple[dict[str, Any], list[Remark]]:
    """Return the changes to the stored split of the dataset or pipeline for a model, and the remark on the difference.

    Folds that are asked for beside a stored validation part roll over the history before the test, with the horizon of
    the stored split. The remark gives the numbers of both. `VurError` for a split that does not fit the data, and for a
    horizon past the calendar's end.
    """
    with reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who)
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit") if pipeline_id else None
        stored = stored_split(dataset, pipeline)
        before = dataclasses.asdict(SplitSpec()) | stored
        if all(before.get(name) == value for name, value in changes.items()):
            return changes, []
        content = (pipeline.config if pipeline else {}) or {}
        place = steps.with_columns(preparation.version_ref(session, dataset), dict(content.get("data") or {}))
    if not stored:
        if changes.get("horizon", 0) > LONG or not preparation.is_big(place):
            preparation.split(place, _without_none(changes), language)
        return changes, []
    shown = preparation.split(place, stored, language)
    asked = ", ".join(f"{name} {value}" for name, value in changes.items() if before.get(name) != value)
    if changes.get("folds") and any(name in stored for name in PARTS):
        changes = {"horizon": shown["horizon"]} | changes | {name: None for name in PARTS if name in stored}
    if changes.get("window") == "expanding" and stored.get("max_train"):
        changes = changes | {"max_train": None}
    merged = _without_none(stored | changes)
    used = preparation.split(place, merged, language)
    if merged.get("refit", True) == before["refit"] and all(shown[name] == used[name] for name in PLAN):
        return changes, []
    return changes, [(("models.warning.split", {"asked": asked}), _numbers("stored", shown), _numbers("trained", used))]


def stored_split(dataset: Dataset, pipeline: Pipeline | None) -> dict[str, Any]:
    """Return the split that a new model takes: that of its pipeline, else that of its dataset; empty without either."""
    own = (pipeline.config or {}).get("split") if pipeline else None
    return dict(dataset.split if own is None else own)


def _numbers(which: str, plan: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a sentence on a plan: horizon, gap, number of folds, rows of training, rows that are scored and tested."""
    test, trained = plan["test_fold"], [row["training_rows"] for row in plan["folds"]] or [plan["train"]["rows"]]
    return f"models.warning.split_{which}.{plan['window']}", {
        "horizon": plan["horizon"],
        "gap": plan["gap"],
        "train": "–".join(str(rows) for rows in sorted({min(trained), max(trained)})),
        "folds": len(plan["folds"]),
        "rows": sum(row["scored_rows"] for row in plan["folds"]),
        "test": test["scored_rows"] if test else 0,
    }


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def base_config(session: Session, who: Principal, dataset: Dataset, pipeline: Pipeline | None) -> Config:
    """Return a new model's base configuration: the pipeline's, or the dataset's split, preparation and defaults."""
    content = default_config().to_dict()
    for section, values in ((pipeline.config if pipeline else {}) or {}).items():
        if isinstance(values, dict) and isinstance(content.get(section), dict):
            content[section] |= values
    chosen = Config.from_dict(content)
    sections = {"split": stored_split(dataset, pipeline)} if pipeline else datasets.sections(dataset)
    return replace_sections(chosen, language=who.language, **sections)


def configured(
    session: Session,
    who: Principal,
    *,
    dataset_id: str,
    algorithm: str | None = None,
    hyperparameters: dict[str, Any] | None = None,
    validation: dict[str, Any] | None = None,
    optimization: dict[str, Any] | None = None,
    metrics: list[str] | None = None,
    name: str | None = None,
    pipeline_id: str | None = None,
    horizon: int | None = None,
    preset: str | None = None,
    country: str | None = None,
    levels: list[float] | None = None,
    time_budget: float | None = None,
    network: dict[str, Any] | None = None,
    seed: int | None = None,
    whole: bool | None = None,
    effects: str | None = None,
    plan: tuple[dict[str, Any], list[Remark]] | None = None,
) -> Model:
    """Create a model in the state `configured`, without training. `VurError` for every invalid setting.

    `network` is the API's JSON of a custom network, `plan` what `planned_split` returned. The model joins the family of
    its pipeline or starts a new one;
    without `algorithm`, the pipeline's choice applies, else `auto`.
    """
    who.require("analyst")
    dataset = fetch(session, Dataset, dataset_id, who)
    pipeline = fetch(session, Pipeline, pipeline_id, who, "edit") if pipeline_id else None
    base = base_config(session, who, dataset, pipeline)
    algorithm, section = NETWORK if network else algorithm, {}
    remarks: list[Remark] = []
    split, differences = plan or (split_section(validation, horizon), [])
    if network:
        section = _network_section(network)
    elif algorithm or not (pipeline and "model" in (pipeline.config or {})):
        algorithm = algorithm or AUTO
        section, remarks = model_section(algorithm, hyperparameters or {}, optimization, metrics or [], preset)
    else:
        named, remarks = base.model.named, base.model.optimize.remarks(base.model.parameters)
        algorithm = named[0] if len(named) == 1 and not base.model.auto else AUTO
    if country:
        check_country(country)
    if effects:
        section = section | {"effects": effects}
    name = (name or f"{dataset.name}-{algorithm}").strip()
    base = Config.from_dict(base.to_dict() | {"split": base.to_dict()["split"] | split})
    config = replace_sections(
        base,
        name=name,
        model=section,
        features={"country": country},
        training={"levels": levels, "time_budget": time_budget, "seed": seed, "whole": whole},
    )
    model = Model(
        id=new_id(),
        owner_id=who.user_id,
        name=name,
        algorithm=algorithm,
        dataset_id=dataset.id,
        pipeline_id=pipeline_id,
        family=pipeline_id or new_id(),
        config=config.to_dict(),
        options={"metrics": metrics or [], "warnings": {"split": differences, "search": remarks}},
    )
    session.add(model)
    return model


def _network_section(document: dict[str, Any]) -> dict[str, Any]:
    """Return the `model` section for one network, validated layer by layer, with the reference model for its skill."""
    try:
        own_network(document)
    except VurError as error:
        if place := _place_in_network(document, error.data):
            _raise_at(error, place)
        raise
    return {"algorithms": ["seasonal_naive"], "networks": {"custom": document}, "ensemble": False}


def _place_in_network(document: dict[str, Any], data: dict[str, Any]) -> str:
    """Return the key at fault in the JSON of a network, from the data of its error; empty where it has none."""
    key = data.get("key") or data.get("parameter")
    inside = [key] if key else []
    if isinstance(data.get("number"), int):
        return ".".join(map(str, ["architecture.layers", data["number"] - 1, *inside]))
    sections = [name for name in ("compilation", "training") if key in document.get(name, {})]
    section = data.get("section") or next(iter(sections), None)
    section = "training.early_stopping" if section == "early_stopping" else section
    return ".".join([section, *inside]) if section else ".".join(inside) or "architecture.layers"


def successor(model: Model, who: Principal) -> Model:
    """Create a model for retraining `model`: same configuration and family, so that it can replace it."""
    return Model(
        id=new_id(),
        owner_id=model.owner_id,
        name=model.name,
        description=model.description,
        algorithm=model.algorithm,
        dataset_id=model.dataset_id,
        pipeline_id=model.pipeline_id,
        family=model.family,
        config=model.config,
        options=model.options | {"previous": model.id, "by": who.user_id},
    )
