"""Models over HTTP: configuration, search, metrics, saving, loading and deletion."""

from pathlib import Path

import pytest
from databases import kind  # noqa: F401 - a fixture
from jobkit import DATA, dataset_of
from trained_models import register, runs  # noqa: F401 - a fixture

from vur.store import database
from vur.store.catalog import Job, Model, Run

# The network of the API document, section 4.3.
NETWORK = {
    "architecture": {
        "layers": [
            {"type": "lstm", "units": 50, "return_sequences": True, "dropout": 0.2},
            {"type": "dense", "units": 25, "activation": "relu"},
            {"type": "dense", "units": 1, "activation": "linear"},
        ]
    },
    "compilation": {"optimizer": "adam", "loss": "mse", "metrics": ["mae", "mape"]},
    "training": {
        "epochs": 100,
        "batch_size": 32,
        "validation_split": 0.2,
        "early_stopping": {"enabled": True, "patience": 10, "monitor": "val_loss"},
    },
}
ARIMA = {
    "algorithm": "arima",
    "hyperparameters": {"p": 1, "d": 1, "q": 1},
    "validation": {"method": "time_series_split", "n_splits": 5},
    "optimization": {"enabled": False, "method": "bayesian", "iterations": 50, "metric": "rmse"},
    "metrics": ["rmse", "mae", "mape", "r2"],
}


@pytest.fixture
def dataset(ana) -> str:
    return dataset_of(ana.id, DATA / "electrical_equipment.csv")


def test_algorithms_are_listed_by_family_with_their_parameters(ana):
    found = ana.get("/models/algorithms").json()
    arima = next(one for one in found["classical"] if one["id"] == "arima")
    assert {name: arima["parameters"][name]["type"] for name in "pdq"} == {"p": "int", "d": "int", "q": "int"}
    assert arima["parameters"]["p"]["min"] == 0 and arima["parameters"]["d"]["default"] == 1
    assert {"lightgbm", "xgboost", "random_forest"} <= {one["id"] for one in found["machine_learning"]}
    assert {one["id"] for one in found["deep_learning"]} == {"lstm", "network"}
    told = {one["id"]: one["description"] for family in found.values() for one in family}
    in_portuguese = ana.get("/models/algorithms", headers={"Accept-Language": "pt-BR"}).json()
    assert all(told.values()) and in_portuguese["classical"][0]["description"] != found["classical"][0]["description"]


def test_the_documents_configuration_is_kept_as_a_run_understands_it(ana, dataset):
    answer = ana.post("/models/configure", json={"dataset_id": dataset, **ARIMA})
    assert answer.status_code == 201, answer.text
    model = answer.json()
    assert (model["status"], model["algorithm"], model["tag"]) == ("configured", "arima", None)
    assert (
        model["config"]["model"]["parameters"] == {"arima": {"order": [1, 1, 1]}}
        and model["config"]["model"]["metric"] == "rmse"
    )
    assert model["config"]["split"]["folds"] == 5 and model["config"]["model"]["optimize"]["iterations"] == 0
    assert answer.headers["ETag"] == '"1"' and ana.get(f"/models/{model['model_id']}").json() == model


@pytest.mark.parametrize(
    ("change", "code", "field", "named"),
    [
        ({"algorithm": "arim"}, "forecasters.unknown", "algorithm", "arima, "),
        ({"hyperparameters": {"p": 99}}, "forecasters.parameter_value", "hyperparameters.p", "order"),
        ({"hyperparameters": {"p": 1, "q": 99}}, "forecasters.parameter_value", "hyperparameters.q", "order"),
        ({"hyperparameters": {"leaves": 3}}, "forecasters.parameter_unknown", "hyperparameters.leaves", "leaves"),
        ({"hyperparameters": {"pp": 1}}, "forecasters.parameter_unknown", "hyperparameters.pp", ": p, P, "),
        ({"algorithm": "auto", "hyperparameters": {"p": 1}}, "models.auto_parameters", "hyperparameters", "p"),
        ({"validation": {"method": "shuffle"}}, "models.validation", "validation.method", "shuffle"),
        ({"metrics": ["accuracy"]}, "training.metric_unknown", "metrics.0", "accuracy"),
        ({"metrics": ["mae", "rsme"]}, "training.metric_unknown", "metrics.1", ": rmse, "),
        ({"optimization": {"metric": "rsme"}}, "training.metric_unknown", "optimization.metric", ": rmse, "),
        ({"optimization": {"objective": "maximize"}}, "tuning.objective", "optimization.objective", "maximize"),
        (
            {"optimization": {"search_space": {"pp": {"min": 1, "max": 2}}}},
            "tuning.space_unknown",
            "optimization.search_space.pp",
            "pp",
        ),
        ({"optimization": {"search_space": {}}}, "tuning.space_empty", "optimization.search_space", "p, d, q"),
        ({"country": "ZZ"}, "features.country", "country", "BR"),
        ({"validation": {"n_splits": 90}}, "split.too_short", None, "fewer folds"),
        ({"dataset_id": "nothing"}, "api.not_found", None, "nothing"),
        ({"horizon": 0}, "api.invalid", "horizon", "horizon"),
    ],
)
def test_an_untrainable_configuration_names_the_field(ana, dataset, change, code, field, named):
    answer = ana.post("/models/configure", json={"dataset_id": dataset, **ARIMA, **change})
    assert answer.status_code in (404, 422) and named in answer.text
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert "hyperparameters" not in change or "search space" not in answer.text
    assert ana.get("/models").json()["total"] == 0


def test_the_documents_network_is_taken_and_an_impossible_one_names_its_layer(ana, dataset):
    taken = ana.post("/models/custom", json={"dataset_id": dataset, **NETWORK})
    assert taken.status_code == 201 and taken.json()["algorithm"] == "network"
    broken = {
        **NETWORK,
        "architecture": {
            "layers": [{"type": "lstm", "units": 5}, {"type": "gru", "units": 5}, {"type": "dense", "units": 1}]
        },
    }
    refused = ana.post("/models/custom", json={"dataset_id": dataset, **broken}, headers={"Accept-Language": "pt-BR"})
    assert (
        refused.status_code == 422
        and "camada 2" in refused.json()["detail"].lower()
        or "return_sequences" in refused.json()["detail"]
    )
    giant = {
        **NETWORK,
        "architecture": {
            "layers": [
                {"type": "lstm", "units": 2048, "return_sequences": True},
                {"type": "lstm", "units": 2048},
                {"type": "dense", "units": 1},
            ]
        },
    }
    assert ana.post("/models/custom", json={"dataset_id": dataset, **giant}).json()["code"] == "networks.too_large"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"architecture": {"layers": []}}, "architecture.layers"),
        ({"architecture": {"layers": [{"type": "lstmm", "units": 3}]}}, "architecture.layers.0"),
        ({"architecture": {"layers": [{"type": "lstm", "unit": 3}]}}, "architecture.layers.0.unit"),
        ({"compilation": {"optimizer": "adm"}}, "compilation.optimizer"),
        ({"compilation": {"zz": 1}}, "compilation.zz"),
        ({"training": {"epochs": -1}}, "training.epochs"),
        ({"training": {"early_stopping": {"patienc": 3}}}, "training.early_stopping.patienc"),
    ],
)
def test_an_impossible_network_names_the_field(ana, dataset, change, field):
    refused = ana.post("/models/custom", json={"dataset_id": dataset, **NETWORK, **change})
    assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text


def test_a_search_is_queued_with_the_documents_space(ana, dataset):
    model = ana.post("/models/configure", json={"dataset_id": dataset, "algorithm": "lightgbm"}).json()["model_id"]
    wanted = {
        "method": "bayesian",
        "iterations": 5,
        "search_space": {"learning_rate": {"type": "float", "min": 0.01, "max": 0.1}},
        "objective": "minimize",
        "metric": "val_rmse",
    }
    answer = ana.post(f"/models/{model}/optimize", json=wanted)
    assert answer.status_code == 202 and answer.json()["status"] == "queued"
    with database.reading() as session:
        assert session.get(Job, answer.json()["job_id"]).model_id == model
        optimize = session.get(Model, model).config["model"]["optimize"]
    assert (optimize["iterations"], optimize["metric"], optimize["search_space"]) == (
        5,
        "rmse",
        {"lightgbm": wanted["search_space"]},
    )
    assert ana.post(f"/models/{model}/optimize", json=wanted).status_code == 409
    other = ana.post("/models/configure", json={"dataset_id": dataset, "algorithm": "lightgbm"}).json()["model_id"]
    wrong = ana.post(
        f"/models/{other}/optimize", json={**wanted, "search_space": {"depthness": {"type": "int", "min": 1, "max": 2}}}
    )
    assert wrong.status_code == 422 and "depthness" in wrong.json()["detail"]


@pytest.mark.slow
def test_searching_for_a_trained_model_makes_a_successor(ana, catalog, runs):  # noqa: F811
    trained = register(ana.id, runs["shop"])
    answer = ana.post(f"/models/{trained.id}/optimize", json={"iterations": 2})
    assert answer.status_code == 202 and answer.json()["model_id"] != trained.id
    assert ana.get(f"/models/{answer.json()['model_id']}").json()["family"] == trained.family
    assert ana.get(f"/models/{trained.id}").json()["status"] == "trained"


def test_lists_are_paged_filtered_sorted_and_searched(ana, dataset):
    for name in ("azul", "verde", "vermelho"):
        ana.post("/models/configure", json={"dataset_id": dataset, "algorithm": "naive", "name": name})
    found = ana.get("/models?limit=2&page=2&sort=name").json()
    assert ([one["name"] for one in found["items"]], found["total"], found["pages"]) == (["vermelho"], 3, 2)
    assert [one["name"] for one in ana.get("/models?search=VER&sort=-name").json()["items"]] == ["vermelho", "verde"]
    assert (
        ana.get("/models?status=trained").json()["total"] == 0
        and ana.get(f"/models?dataset_id={dataset}").json()["total"] == 3
    )
    refused = ana.get("/models?sort=password")
    assert refused.status_code == 422 and "created_at" in refused.json()["detail"]


def test_a_change_on_an_old_version_is_refused(ana, dataset):
    model = ana.post("/models/configure", json={"dataset_id": dataset, "algorithm": "naive"}).json()["model_id"]
    changed = ana.put(f"/models/{model}", json={"name": "novo"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200 and changed.headers["ETag"] == '"2"'
    assert ana.put(f"/models/{model}", json={"name": "velho"}, headers={"If-Match": '"1"'}).status_code == 412
    assert ana.get(f"/models/{model}").json()["name"] == "novo"


def keep_run(model: Model, run, home: Path) -> None:
    """The row of a run whose folder lies in the data home."""
    import shutil

    shutil.copytree(run.folder, home / "results" / run.id)
    with database.writing() as session:
        session.add(
            Run(
                owner_id=model.owner_id,
                run_id=run.id,
                model_id=model.id,
                status="finished",
                folder=f"results/{run.id}",
                record=run.record,
            )
        )


def test_metrics_are_those_of_the_run(ana, catalog, runs):  # noqa: F811
    run = runs["equipment"]
    model = register(ana.id, run)
    keep_run(model, run, catalog)
    found = ana.get(f"/models/{model.id}/metrics").json()
    assert [row["algorithm"] for row in found["leaderboard"]] == list(run.leaderboard["algorithm"])
    assert found["leaderboard"][0]["mae"] == pytest.approx(run.leaderboard.iloc[0]["mae"])
    assert [row["step"] for row in found["by_horizon"]] == sorted({int(step) for step in run.by_step["step"]})
    assert found["test"]["mae"] == pytest.approx(
        run.test_scores.set_index("algorithm").loc[run.record["winner"], "mae"]
    )


def test_metrics_of_an_untrained_model_are_an_error_with_a_remedy(ana, dataset):
    model = ana.post("/models/configure", json={"dataset_id": dataset, "algorithm": "naive"}).json()["model_id"]
    answer = ana.get(f"/models/{model}/metrics")
    assert answer.status_code == 409 and "/train" in answer.json()["detail"]


def test_a_trained_model_is_saved_and_loaded_and_a_changed_file_is_not(ana, catalog, runs):  # noqa: F811
    model = register(ana.id, runs["equipment"])
    assert ana.post(f"/models/{model.id}/save", json={"name": "oficial"}).json()["saved"] is True
    assert ana.post("/models/load", json={"model_id": model.id}).json()["name"] == "oficial"
    assert ana.post("/models/load", json={"tag": model.tag}).json()["model_id"] == model.id
    assert ana.post("/models/load", json={}).json()["code"] == "models.which"
    changed = list((catalog / "bentoml").rglob("pipeline.json"))
    assert changed
    for path in changed:
        path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert ana.post("/models/load", json={"model_id": model.id}).json()["code"] == "store.tampered"


def test_an_admin_loads_what_the_command_line_trained_and_others_do_not(ana, root, catalog, runs):  # noqa: F811
    tag = runs["stores"].model_tag
    assert ana.post("/models/load", json={"tag": tag}).status_code == 404
    loaded = root.post("/models/load", json={"tag": tag}).json()
    assert loaded["status"] == "trained" and loaded["owner_id"] == root.id
    assert root.post("/models/load", json={"tag": tag}).json()["model_id"] == loaded["model_id"]


def test_a_model_is_deleted_with_its_files_unless_it_is_the_champion(ana, catalog, runs):  # noqa: F811
    champion = register(ana.id, runs["equipment"], family="one")
    other = register(ana.id, runs["stores"], family="one", champion=False)
    refused = ana.delete(f"/models/{champion.id}")
    assert refused.status_code == 409 and other.id in refused.json()["detail"]
    assert ana.delete(f"/models/{other.id}").status_code == 204
    assert not list((catalog / "bentoml" / "models" / "stores").glob("*/model.yaml")), "the files are gone"
    assert (
        ana.delete(f"/models/{champion.id}").status_code == 204 and ana.get(f"/models/{champion.id}").status_code == 404
    )


def test_another_users_models_are_hidden(ana, bia, vera, dataset):
    model = ana.post("/models/configure", json={"dataset_id": dataset, "algorithm": "naive"}).json()["model_id"]
    for person in (bia, vera):
        assert person.get("/models").json()["total"] == 0
        assert (
            person.get(f"/models/{model}").status_code == 404
            and person.get(f"/models/{model}/metrics").status_code == 404
        )
    assert (
        bia.put(f"/models/{model}", json={"name": "x"}).status_code == 404
        and bia.delete(f"/models/{model}").status_code == 404
    )
    assert (
        bia.post(f"/models/{model}/save").status_code == 404
        and bia.post(f"/models/{model}/optimize", json={}).status_code == 404
    )
    assert bia.post("/models/configure", json={"dataset_id": dataset, "algorithm": "naive"}).status_code == 404
    assert vera.post("/models/configure", json={"dataset_id": dataset, "algorithm": "naive"}).status_code == 403
