"""From a request to a configured model: translates the API's JSON into a `Config`, or says why it is invalid."""

from typing import Any

from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.forecasters.registry import Algorithm, Parameter, algorithm, algorithms
from vur.runs.config import Config, default_config, replace_sections
from vur.stages.model.search_space import optimize_request, parameter_name, plain_metric
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Dataset, Model, Pipeline, new_id
from vur.store.data import datasets
from vur.text import table, translate

AUTO = "auto"
NETWORK = "network"
FAMILIES = ("classical", "machine_learning", "deep_learning")
# The order of an ARIMA model is one list here and three numbers in the API.
ORDERS = {"order": ("p", "d", "q"), "seasonal_order": ("P", "D", "Q")}
VALIDATION = ("time_series_split", "time_series", "rolling_origin", "expanding", "sliding")


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
    shown = {
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
    if "s" in values and "season" in schema:
        values["season"] = values.pop("s")
    return {parameter_name(id, name): value for name, value in values.items()}


def model_section(
    id: str,
    hyperparameters: dict[str, Any],
    optimization: dict[str, Any] | None,
    metrics: list[str],
    preset: str | None,
) -> dict[str, Any]:
    """Return the `model` section of a `Config` for one algorithm or for `auto`."""
    metrics = [plain_metric(metric) for metric in metrics]
    wanted = optimization if optimization and optimization.get("enabled", True) else None
    section: dict[str, Any] = {"algorithms": AUTO if id == AUTO else [id], "ensemble": id == AUTO}
    if preset:
        section["preset"] = preset
    if metrics:
        section["metric"] = metrics[0]
    if id == AUTO:
        if hyperparameters:
            raise VurError("models.auto_parameters", field="hyperparameters", given=", ".join(hyperparameters))
        return section | ({"optimize": auto_search(wanted)} if wanted else {})
    algorithm(id)
    if hyperparameters:
        section["parameters"] = {id: read_hyperparameters(id, hyperparameters)}
    return section | ({"optimize": search(id, wanted)} if wanted else {})


def auto_search(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the `optimize` section if `auto` also chooses the algorithms."""
    chosen = {key: wanted[key] for key in ("iterations", "method", "time_limit") if wanted.get(key) is not None}
    return chosen | ({"metric": plain_metric(wanted["metric"])} if wanted.get("metric") else {})


def search(id: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the `optimize` section for algorithm `id` from a request."""
    import dataclasses

    return dataclasses.asdict(optimize_request({key: value for key, value in wanted.items() if value is not None}, id))


def split_section(validation: dict[str, Any] | None, horizon: int | None) -> dict[str, Any]:
    """Return the `split` section: folds and window from `validation`, and the horizon."""
    section: dict[str, Any] = {"horizon": horizon}
    if validation:
        method = validation.get("method", VALIDATION[0])
        if method not in VALIDATION:
            raise VurError("models.validation", field="validation.method", value=method, known=", ".join(VALIDATION))
        section |= {
            "folds": validation.get("n_splits"),
            "gap": validation.get("gap"),
            "window": "sliding" if method == "sliding" else None,
        }
    return {key: value for key, value in section.items() if value is not None}


def base_config(session: Session, who: Principal, dataset: Dataset, pipeline: Pipeline | None) -> Config:
    """Return a new model's base configuration: the pipeline's, or the dataset's split, preparation and defaults."""
    content = default_config().to_dict()
    for section, values in ((pipeline.config if pipeline else {}) or {}).items():
        if isinstance(values, dict) and isinstance(content.get(section), dict):
            content[section] |= values
    chosen = Config.from_dict(content)
    return replace_sections(chosen, language=who.language, **({} if pipeline else datasets.sections(dataset)))


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
) -> Model:
    """Create a model in the state `configured`, without training. `VurError` for every invalid setting.

    `network` is the API's JSON of a custom network. The model joins the family of its pipeline or starts a new one;
    without `algorithm`, the pipeline's choice applies, else `auto`.
    """
    who.require("analyst")
    dataset = fetch(session, Dataset, dataset_id, who)
    pipeline = fetch(session, Pipeline, pipeline_id, who, "edit") if pipeline_id else None
    base = base_config(session, who, dataset, pipeline)
    algorithm, section = NETWORK if network else algorithm, {}
    if network:
        section = _network_section(network)
    elif algorithm or not (pipeline and "model" in (pipeline.config or {})):
        algorithm = algorithm or AUTO
        section = model_section(algorithm, hyperparameters or {}, optimization, metrics or [], preset)
    else:
        named = base.model.named
        algorithm = named[0] if len(named) == 1 and not base.model.auto else AUTO
    if effects:
        section = section | {"effects": effects}
    name = (name or f"{dataset.name}-{algorithm}").strip()
    config = replace_sections(
        base,
        name=name,
        model=section,
        split=split_section(validation, horizon),
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
        options={"metrics": metrics or []},
    )
    session.add(model)
    return model


def _network_section(document: dict[str, Any]) -> dict[str, Any]:
    """Return the `model` section for one network, validated layer by layer, with the reference model for its skill."""
    from vur.stages.model import own_network

    own_network(document)
    return {"algorithms": ["seasonal_naive"], "networks": {"custom": document}, "ensemble": False}


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
