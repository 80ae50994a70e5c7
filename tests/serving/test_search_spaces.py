"""The documented searches for hyperparameters, sent word for word: what is searched, and what is said of the rest."""

import json
from typing import Any

import pytest
from databases import kind  # noqa: F401 - a fixture
from jobkit import DATA, dataset_of

import vur
from vur.runs.config import Config
from vur.stages.training import load_training
from vur.store import database
from vur.store.catalog import Model
from vur.store.home import folder

# Sections 4.2, 4.3 and 4.4 of the API document, word for word but for the id of the dataset.
CONFIGURE = """{
  "dataset_id": "uuid",
  "algorithm": "arima",
  "hyperparameters": {
    "p": 1,
    "d": 1,
    "q": 1
  },
  "validation": {
    "method": "time_series_split",
    "n_splits": 5
  },
  "optimization": {
    "enabled": true,
    "method": "bayesian",
    "iterations": 50,
    "metric": "rmse"
  },
  "metrics": ["rmse", "mae", "mape", "r2"]
}"""
CUSTOM = """{
  "dataset_id": "uuid",
  "architecture": {
    "layers": [
      {
        "type": "lstm",
        "units": 50,
        "return_sequences": true,
        "dropout": 0.2
      },
      {
        "type": "dense",
        "units": 25,
        "activation": "relu"
      },
      {
        "type": "dense",
        "units": 1,
        "activation": "linear"
      }
    ]
  },
  "compilation": {
    "optimizer": "adam",
    "loss": "mse",
    "metrics": ["mae", "mape"]
  },
  "training": {
    "epochs": 100,
    "batch_size": 32,
    "validation_split": 0.2,
    "early_stopping": {
      "enabled": true,
      "patience": 10,
      "monitor": "val_loss"
    }
  }
}"""
OPTIMIZE = """{
  "method": "bayesian",
  "iterations": 50,
  "search_space": {
    "learning_rate": {"type": "float", "min": 0.0001, "max": 0.1},
    "batch_size": {"type": "int", "choices": [16, 32, 64, 128]},
    "hidden_units": {"type": "int", "min": 10, "max": 200}
  },
  "objective": "minimize",
  "metric": "val_rmse"
}"""
SPACE = json.loads(OPTIMIZE)["search_space"]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def dataset(ana) -> str:
    return dataset_of(ana.id, DATA / "electrical_equipment.csv")


def configured(ana, dataset: str, **changes: Any) -> dict[str, Any]:
    """The answer to the document's configuration with these changes."""
    answer = ana.post("/models/configure", json=json.loads(CONFIGURE) | {"dataset_id": dataset} | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


def plain(ana, dataset: str, algorithm: str) -> str:
    """The id of a model of `algorithm` without a search."""
    return configured(ana, dataset, algorithm=algorithm, hyperparameters={}, optimization=None)["model_id"]


def optimized(ana, model: str, body: str = OPTIMIZE) -> dict[str, Any]:
    """The answer to a search, which must be taken."""
    answer = ana.post(f"/models/{model}/optimize", content=body, headers=JSON)
    assert answer.status_code == 202, answer.text
    return answer.json()


# --- configuration with a search ---


def test_the_documents_configuration_with_its_search_is_taken_word_for_word(ana, dataset):
    answer = ana.post("/models/configure", content=CONFIGURE.replace("uuid", dataset), headers=JSON)
    assert answer.status_code == 201, answer.text
    model = answer.json()
    search = model["config"]["model"]["optimize"]
    assert (search["iterations"], search["method"], search["metric"]) == (50, "bayesian", "rmse")
    assert model["config"]["model"]["parameters"] == {"arima": {"order": [1, 1, 1]}}
    assert len(model["warnings"]) == 1 and "order (p, d, q)" in model["warnings"][0]
    assert ana.get(f"/models/{model['model_id']}").json() == model
    in_portuguese = ana.get(f"/models/{model['model_id']}", headers={"Accept-Language": "pt-BR"}).json()
    assert "Ficam como informados" in in_portuguese["warnings"][0]


@pytest.mark.parametrize("method", ["bayesian", "random", "grid"])
@pytest.mark.parametrize(
    ("algorithm", "iterations"),
    [("arima", 50), ("lightgbm", 50), ("lstm", 50), ("auto", 50), ("theta", 0), ("ets", 0), ("naive", 0)],
)
def test_every_algorithm_takes_the_search_or_says_that_there_is_nothing_to_search(
    ana, dataset, algorithm, iterations, method
):
    wish = json.loads(CONFIGURE)["optimization"] | {"method": method}
    model = configured(ana, dataset, algorithm=algorithm, hyperparameters={}, optimization=wish)
    assert model["config"]["model"]["optimize"]["iterations"] == iterations
    assert len(model["warnings"]) == (not iterations)
    assert iterations or algorithm in model["warnings"][0]


def test_a_search_of_parameters_that_are_all_given_says_so(ana, dataset):
    model = configured(ana, dataset, algorithm="ridge", hyperparameters={"alpha": 3.0})
    assert model["config"]["model"]["optimize"]["iterations"] == 0 and "(alpha)" in model["warnings"][0]


def test_the_numbers_of_an_order_are_searched_as_they_are_listed(ana, dataset):
    space = {"p": {"type": "int", "min": 0, "max": 3}, "q": {"type": "int", "min": 0, "max": 3}}
    wish = {"method": "bayesian", "iterations": 20, "search_space": space}
    model = configured(ana, dataset, optimization=wish)
    assert model["config"]["model"]["optimize"]["search_space"] == {"arima": space} and model["warnings"] == []


# --- the request to optimise a model ---


def test_the_documents_search_of_the_documents_network_is_taken_word_for_word(ana, dataset):
    made = ana.post("/models/custom", content=CUSTOM.replace("uuid", dataset), headers=JSON)
    assert made.status_code == 201, made.text
    answer = optimized(ana, made.json()["model_id"])
    assert answer["warnings"] == [] and answer["status"] == "queued"
    search = ana.get(f"/models/{answer['model_id']}").json()["config"]["model"]["optimize"]
    assert search["search_space"] == {"network": SPACE} and search["iterations"] == 50


@pytest.mark.parametrize("algorithm", ["lightgbm", "xgboost"])
def test_trees_search_what_they_have_and_name_the_rest(ana, dataset, algorithm):
    answer = optimized(ana, plain(ana, dataset, algorithm))
    assert len(answer["warnings"]) == 1
    assert "batch_size, hidden_units" in answer["warnings"][0] and "learning_rate" in answer["warnings"][0]
    model = ana.get(f"/models/{answer['model_id']}").json()
    assert model["warnings"] == answer["warnings"]
    spec = Config.from_dict(model["config"]).model.optimize
    assert spec.space(algorithm).to_dict() == {"learning_rate": {"type": "float", "min": 0.0001, "max": 0.1}}


def test_a_misspelt_parameter_is_named_with_the_nearest_one(ana, dataset):
    space = {"learning_rate": SPACE["learning_rate"], "laeves": {"type": "int", "min": 4, "max": 64}}
    answer = optimized(ana, plain(ana, dataset, "lightgbm"), json.dumps({"search_space": space}))
    assert "laeves (leaves?)" in answer["warnings"][0]


def test_a_range_beyond_what_the_algorithm_takes_is_clipped_and_said(ana, dataset):
    space = {"learning_rate": {"type": "float", "min": 0.0, "max": 0.1}}
    answer = optimized(ana, plain(ana, dataset, "xgboost"), json.dumps({"search_space": space}))
    assert "from 1e-06 to 0.1 instead of 0 to 0.1" in answer["warnings"][0]


@pytest.mark.parametrize("algorithm", ["arima", "random_forest", "ets", "prophet", "ridge", "sarimax"])
def test_a_space_of_which_nothing_can_be_used_is_refused_with_all_its_parameters(ana, dataset, algorithm):
    model = plain(ana, dataset, algorithm)
    answer = ana.post(f"/models/{model}/optimize", content=OPTIMIZE, headers=JSON)
    assert answer.status_code == 422
    body = answer.json()
    assert body["code"] == "tuning.space_useless" and body["field"] == "search_space"
    assert body["values"]["parameters"] == "learning_rate, batch_size, hidden_units"
    own = next(
        one for family in ana.get("/models/algorithms").json().values() for one in family if one["id"] == algorithm
    )
    assert set(own["parameters"]) <= set(body["values"]["known"].split(", "))
    assert ana.get(f"/models/{model}").json()["status"] == "configured"


def test_a_wrong_entry_is_refused_at_its_place(ana, dataset):
    model = plain(ana, dataset, "lightgbm")
    wrong = {"search_space": SPACE | {"learning_rate": {"type": "float", "min": 0.1, "max": 0.01}}}
    answer = ana.post(f"/models/{model}/optimize", json=wrong)
    assert answer.status_code == 422 and answer.json()["field"] == "search_space.learning_rate"


def test_the_space_of_auto_is_kept_for_the_algorithms_that_have_its_parameters(ana, dataset):
    answer = optimized(ana, plain(ana, dataset, "auto"))
    assert (
        "hidden_units (lstm, network)" in answer["warnings"][0] and "learning_rate (lightgbm" in answer["warnings"][0]
    )
    model = ana.get(f"/models/{answer['model_id']}").json()
    assert model["config"]["model"]["optimize"]["search_space"] == {"auto": SPACE}
    assert model["warnings"] == answer["warnings"]


def test_a_later_search_replaces_what_was_said_of_the_earlier_one(ana, dataset):
    id = configured(ana, dataset, algorithm="ridge", hyperparameters={"alpha": 3.0})["model_id"]
    answer = optimized(ana, id, json.dumps({"search_space": {"alpha": {"min": 0.1, "max": 100}}}))
    assert answer["warnings"] == [] and ana.get(f"/models/{id}").json()["warnings"] == []


def test_a_whole_configuration_says_what_it_does_not_search(ana, dataset):
    sections = {"model": {"algorithms": ["ridge"], "optimize": {"iterations": 3, "search_space": {"ridge": SPACE}}}}
    refused = ana.post("/models/train", json={"dataset_id": dataset, "config": sections})
    assert refused.status_code == 422 and "hidden_units" in refused.json()["detail"]
    sections["model"]["optimize"]["search_space"]["ridge"] = SPACE | {"alpha": {"min": 1, "max": 9}}
    answer = ana.post("/models/train", json={"dataset_id": dataset, "config": sections})
    assert answer.status_code == 202 and "batch_size" in answer.json()["warnings"][0]
    assert ana.get(f"/models/{answer.json()['model_id']}").json()["warnings"] == answer.json()["warnings"]


# --- the search itself ---


@pytest.mark.parametrize("own", [True, False], ids=["network", "lstm"])
def test_a_network_is_trained_with_each_combination_inside_the_documents_ranges(ana, dataset, own):
    if own:
        made = ana.post("/models/custom", content=CUSTOM.replace("uuid", dataset), headers=JSON).json()
    else:
        made = configured(ana, dataset, algorithm="lstm", hyperparameters={"units": [8, 8]}, optimization=None)
    optimized(ana, made["model_id"])
    with database.reading() as session:
        content = session.get_one(Model, made["model_id"]).config
    content["model"]["optimize"] |= {"iterations": 3}
    content["split"] |= {"folds": 1, "horizon": 6}
    if own:
        content["model"]["networks"]["custom"]["training"]["epochs"] = 1
    else:
        content["model"]["parameters"]["lstm"]["epochs"] = 1
    result = vur.run(DATA / "electrical_equipment.csv", config=Config.from_dict(content), notebook=False)
    stage = folder("cache", "training", result.record["stages"]["training"]["key"])
    tuning = load_training(stage).tunings[0]
    tried = [trial for trial in tuning.trials if trial.number]
    assert len(tried) == 3 and all(trial.state == "complete" for trial in tried), tuning
    size = "hidden_units" if own else "units"
    report = result.report.read_text(encoding="utf-8")
    for trial in tried:
        found = trial.parameters
        units = found[size] if own else found[size][0]
        assert own or found[size] == [units, units]
        assert 10 <= units <= 200 and found["batch_size"] in (16, 32, 64, 128)
        assert 0.0001 <= found["learning_rate"] <= 0.1
        assert f"batch_size = {found['batch_size']}" in report
    assert len({trial.value for trial in tried}) == 3, "each combination gives a network of its own"


@pytest.mark.parametrize("algorithm", ["naive", "drift"])
def test_an_algorithm_without_parameters_has_nothing_to_optimise(ana, dataset, algorithm):
    """Its 422 and its warning name no empty list of parameters, and give no advice that cannot be followed."""
    model = configured(ana, dataset, algorithm=algorithm, hyperparameters={}, optimization={"iterations": 5})
    assert model["warnings"] == [
        f"Nothing is searched: {algorithm} has no parameters. The model is trained as configured."
    ]
    for body in ({}, {"search_space": {"a": {"min": 1, "max": 2}}}, {"search_space": {"a": {}, "b": {}}}):
        refused = ana.post(f"/models/{model['model_id']}/optimize", json=body)
        assert refused.status_code == 422 and refused.json()["code"] == "tuning.no_parameters", refused.text
        assert "has no parameters" in refused.json()["detail"] and "-." not in refused.json()["detail"]
        assert "lightgbm" in refused.json()["detail"]
