"""Pipelines: the seven steps, what can be reached, what a change undoes, export and import, and who may do it."""

import json

import pytest
import yaml
from sqlalchemy import update
from test_datasets import PT, both, kind, sent, table  # noqa: F401

from vur.runs.config import Config
from vur.store import database
from vur.store.catalog import Alias, Job, Model, Share

CHOICES = {
    "preview": {"date_column": "date", "target_column": "sales", "exclude_columns": ["region"]},
    "split": {"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15, "method": "time_series", "shuffle": False},
    "preprocessing": {"missing_values": {"method": "forward_fill"}, "normalization": {"method": "minmax"}},
    "features": {
        "lag_features": {"enabled": True, "lags": [1, 7]},
        "seasonal_features": {"enabled": True, "extract": ["day_of_week"]},
    },
    "model": {"algorithms": ["naive", "seasonal_naive"], "ensemble": False},
    "training": {"levels": [80], "seed": 7},
}


@pytest.fixture
def dataset(ana) -> str:
    """Id of a daily dataset of Ana's."""
    return sent(ana, table(120))["dataset_id"]


def begun(person, dataset_id: str | None = None, name: str = "Vendas") -> str:
    """Address of a new pipeline."""
    answer = person.post("/pipelines", json={"name": name, "dataset_id": dataset_id})
    assert answer.status_code == 201, answer.text
    return f"/pipelines/{answer.json()['pipeline_id']}"


def put(person, url: str, step: str, data: dict | None = None, **headers):
    """Complete a step."""
    return person.put(f"{url}/steps/{step}", json={"data": CHOICES[step] if data is None else data}, headers=headers)


def complete(person, dataset_id: str) -> str:
    """Address of a pipeline with all steps complete."""
    url = begun(person, dataset_id)
    for step in CHOICES:
        answer = put(person, url, step)
        assert answer.status_code == 200, (step, answer.text)
    return url


@both
def test_the_seven_steps_lead_to_a_model(ana, dataset):
    url = begun(ana)
    state = ana.get(f"{url}/state", headers=PT).json()
    assert (
        [step["title"] for step in state["steps"]][:2] == ["Envio", "Visualização"]
        and state["next_step"] == "upload"
        and not state["can_train"]
    )
    assert put(ana, url, "upload", {"dataset_id": dataset}).json()["current_step"] == "preview"
    for step in CHOICES:
        body = put(ana, url, step).json()
        assert step in body["completed_steps"] and body["undone"] == []
    assert body["progress"] == 100 and body["status"] == "ready" and body["can_train"] and body["next_step"] is None
    config = ana.get(url).json()["config"]
    assert config["data"]["roles"] == {"region": "exclude"} and config["preprocess"] == {
        "missing": "forward",
        "transforms": ["min_max"],
    }
    assert config["features"] == {"lags": [1, 7], "calendar": ["dayofweek"]} and config["split"]["test_size"] == 0.15
    model = ana.post(f"{url}/models", json={}).json()
    checked = Config.from_dict(model["config"])
    assert (
        model["dataset_id"] == dataset
        and checked.model.algorithms == ("naive", "seasonal_naive")
        and checked.training.seed == 7
        and checked.data.path is None
    )
    assert [row["model_id"] for row in ana.get(url).json()["models"]] == [model["model_id"]]


@both
def test_a_pipeline_is_created_read_renamed_and_deleted(ana, dataset):
    made = ana.post("/pipelines", json={"name": "Vendas", "description": "Loja", "dataset_id": dataset})
    id = made.json()["pipeline_id"]
    assert (
        made.status_code == 201
        and made.headers["Location"] == f"/api/v1/pipelines/{id}"
        and made.json()["completed_steps"] == ["upload"]
    )
    assert ana.get(f"/pipelines/{id}").json() == made.json()
    assert ana.put(f"/pipelines/{id}", json={"description": "Lojas"}).json()["description"] == "Lojas"
    assert ana.get(f"/pipelines/{id}/export").json()["config"]["data"]["target"] is None
    assert ana.delete(f"/pipelines/{id}").status_code == 204 and ana.get(f"/pipelines/{id}").status_code == 404
    assert ana.get(f"/datasets/{dataset}").status_code == 200


def test_each_step_reports_its_effect_on_the_data(ana, dataset):
    url = begun(ana, dataset)
    assert put(ana, url, "preview").json()["facts"]["freq"] == "D"
    assert put(ana, url, "split").json()["facts"]["test"]["rows"] == 18
    assert put(ana, url, "preprocessing").json()["facts"]["counts"]["series"] == 1
    assert {"lag1", "lag7", "dayofweek"} <= set(put(ana, url, "features").json()["facts"]["columns"])


def test_a_step_is_rejected_if_the_data_or_a_run_would_reject_it(ana, dataset):
    url = complete(ana, dataset)
    wrong = {
        "preview": ({"target_column": "nothing"}, "panel.column_missing"),
        "split": ({"horizon": 5000, "folds": 2}, "split.too_short"),
        "preprocessing": ({"missing": "guess"}, "preprocess.choice"),
        "features": ({"known_future": ["nothing"]}, "features.column_absent"),
        "training": ({"levels": [150]}, "config.value"),
    }
    for step, (data, code) in wrong.items():
        answer = put(ana, url, step, data)
        assert answer.status_code == 422 and answer.json()["code"] == code, (step, answer.text)
    assert put(ana, url, "model", {"algorithms": ["arimaa"]}).status_code == 422
    assert (
        put(ana, url, "model", {"algorithm": "naive", "metrics": ["mae"]}).json()["steps"][5]["data"]["metric"] == "mae"
    )
    assert put(ana, url, "training", {"levels": [80], "colour": 1}).json()["code"] == "config.unknown"
    assert put(ana, url, "split", {"train_size": 0.7, "shuffle": True}).json()["code"] == "split.shuffle"
    assert (
        put(ana, url, "preprocessing", {"missing_values": {"method": "mean", "columns": ["price"]}}).json()["code"]
        == "pipelines.rows"
    )
    assert (
        put(ana, url, "upload", {"dataset_id": "nobody"}).status_code == 404
        and put(ana, url, "upload", {}).status_code == 422
    )
    assert put(ana, url, "dreams", {}).status_code == 404


@both
def test_changing_an_early_step_reopens_later_steps_that_depend_on_it(ana, dataset):
    url = complete(ana, dataset)
    assert put(ana, url, "split").json()["undone"] == [], "the same choice again changes nothing"
    body = put(ana, url, "split", {"horizon": 7}).json()
    assert body["undone"] == ["training"] and body["completed_steps"] == [
        "upload",
        "preview",
        "split",
        "preprocessing",
        "features",
        "model",
    ]
    body = put(ana, url, "preview", {"target_column": "price"}).json()
    assert body["undone"] == ["split", "preprocessing", "features"] and body["completed_steps"] == [
        "upload",
        "preview",
        "model",
    ]
    assert body["current_step"] == "split" and body["steps"][2]["data"] == {"horizon": 7}, (
        "what was chosen is kept to be confirmed"
    )
    other = sent(
        ana, b"when,amount\n" + b"\n".join(f"2024-01-{day:02},{day}".encode() for day in range(1, 31)), "other.csv"
    )["dataset_id"]
    body = put(ana, url, "upload", {"dataset_id": other}).json()
    assert body["completed_steps"] == ["upload"] and "target" not in {
        key for key, value in body["steps"][1]["data"].items() if value == "price"
    }


def test_only_reachable_steps_can_become_current(ana, dataset):
    url = begun(ana, dataset)
    refused = ana.post(f"{url}/navigate", json={"to": "model"}, headers=PT)
    assert refused.status_code == 409 and "preview, split, preprocessing, features" in refused.json()["detail"]
    assert put(ana, url, "training").status_code == 409 and put(ana, url, "preview").status_code == 200
    assert ana.post(f"{url}/navigate", json={"to": "upload"}).json()["current_step"] == "upload"
    assert ana.post(f"{url}/navigate", json={"to": "split"}).json()["current_step"] == "split"
    assert ana.post(f"{url}/models", json={}).status_code == 409


def test_a_pipeline_whose_dataset_was_deleted_starts_over(ana, dataset):
    url = complete(ana, dataset)
    assert ana.delete(f"/datasets/{dataset}").status_code == 204
    state = ana.get(f"{url}/state").json()
    assert (
        state["dataset"] is None
        and state["completed_steps"] == []
        and not state["can_train"]
        and state["next_step"] == "upload"
    )
    assert put(ana, url, "preview").status_code == 409 and ana.post(f"{url}/models", json={}).status_code == 409
    assert ana.get(f"{url}/export").status_code == 200


def test_changes_need_the_current_version(ana, dataset):
    url = begun(ana, dataset)
    tag = ana.get(url).headers["ETag"]
    assert put(ana, url, "preview", **{"If-Match": tag}).status_code == 200
    assert put(ana, url, "preview", {"target_column": "price"}, **{"If-Match": tag}).status_code == 412
    assert ana.put(url, json={"name": "x"}, headers={"If-Match": tag}).status_code == 412
    assert ana.post(f"{url}/navigate", json={"to": "upload"}, headers={"If-Match": tag}).status_code == 412
    assert ana.delete(url, headers={"If-Match": tag}).status_code == 412


# --- export and import ---


@both
def test_an_exported_pipeline_comes_back_equal(ana, dataset):
    url = complete(ana, dataset)
    document = ana.get(f"{url}/export").json()
    assert (
        document["dataset"]["fingerprint"] == document["config"]["data"]["fingerprint"]
        and "path" not in document["config"]["data"]
    )
    again = ana.post("/pipelines/import", json=document)
    assert again.status_code == 201 and again.json()["problems"] == []
    body = again.json()
    assert (
        body["completed_steps"] == ana.get(url).json()["completed_steps"]
        and body["dataset_id"] == dataset
        and body["pipeline_id"] not in url
    )
    second = ana.get(f"/pipelines/{body['pipeline_id']}/export").json()
    assert second["config"] == document["config"]


def test_the_exported_yaml_is_accepted_by_a_run(ana, dataset, tmp_path):
    url = complete(ana, dataset)
    text = ana.get(f"{url}/export", params={"format": "yaml"})
    assert text.headers["content-type"].startswith("application/yaml")
    (tmp_path / "pipeline.yaml").write_text(text.text)
    config = Config.from_yaml(tmp_path / "pipeline.yaml")
    assert config.data.target == "sales" and config.data.fingerprint and config.preprocess.transforms == ("min_max",)
    body = ana.post("/pipelines/import", content=text.text, headers={"Content-Type": "application/yaml"}).json()
    assert body["name"] == "Vendas" and body["dataset_id"] == dataset and "training" in body["completed_steps"]


def test_an_export_contains_no_path_of_the_server(ana, dataset, catalog):
    url = complete(ana, dataset)
    for format in ("json", "yaml"):
        assert str(catalog) not in ana.get(f"{url}/export", params={"format": format}).text


def test_an_import_reports_what_does_not_fit_here(ana, bia, dataset):
    document = ana.get(f"{complete(ana, dataset)}/export").json()
    body = bia.post("/pipelines/import", json=document, headers=PT).json()
    assert (
        body["dataset_id"] is None
        and body["completed_steps"] == []
        and "vendas.csv" in body["problems"][0]["text"]
        and "não estão disponíveis aqui" in body["problems"][0]["text"]
    )
    assert body["steps"][5]["data"]["algorithms"] == ["naive", "seasonal_naive"], "what fits is kept"
    document["config"]["model"]["algorithms"] = ["oracle"]
    document["config"]["data"]["path"] = "/etc/passwd"
    body = ana.post("/pipelines/import", json=document).json()
    assert {(problem["section"], problem["severity"]) for problem in body["problems"]} == {
        ("model", "error"),
        ("data", "info"),
    }
    assert "model" not in body["completed_steps"] and "passwd" not in json.dumps(body)
    document["config"]["data"]["target"] = "gone"
    body = ana.post("/pipelines/import", json=document).json()
    assert body["completed_steps"] == ["upload"] and any("gone" in problem["text"] for problem in body["problems"])


@pytest.mark.parametrize(
    "content",
    [
        b"[1, 2]",
        b"",
        b"just words",
        b"a: [",
        b"\xff\xfe",
        b"{" * 5000,
        b"[" * 100_000,
        b'{"config": {"model": "x"}}',
        b'{"unknown": 1}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000", "split": {}}',
        b"x" * 300_000,
        b"a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nsplit: {horizon: *b}\n",
        b"!!python/object/apply:os.system ['true']",
    ],
)
@both
def test_hostile_documents_are_rejected(ana, content):
    answer = ana.post("/pipelines/import", content=content, headers={"Content-Type": "application/yaml"})
    expected = (400, ("api.unreadable",)) if content[:1] == b"\xff" else (422, ("pipelines.document", "config.unknown"))
    assert answer.status_code == expected[0] and answer.json()["code"] in expected[1], answer.text
    assert ana.get("/pipelines").json()["total"] == 0


def test_yaml_of_any_choices_is_read_back(ana):
    text = yaml.safe_dump({"split": {"horizon": 5}, "model": {"algorithms": ["naive"]}})
    body = ana.post("/pipelines/import", content=text).json()
    assert body["steps"][2]["data"] == {"horizon": 5} and body["completed_steps"] == []


# --- permissions ---

ENDPOINTS = [
    ("GET", "", None),
    ("PUT", "", {}),
    ("GET", "/state", None),
    ("PUT", "/steps/split", {"data": {"horizon": 7}}),
    ("POST", "/navigate", {"to": "upload"}),
    ("GET", "/export", None),
    ("POST", "/models", {}),
    ("DELETE", "", None),
]


@both
def test_nobody_sees_or_touches_the_pipelines_of_another(ana, bia, vera, dataset):
    url = complete(ana, dataset)
    assert bia.get("/pipelines").json()["total"] == 0
    for method, path, body in ENDPOINTS:
        answer = bia.request(method, url + path, json=body)
        assert answer.status_code == 404 and "Vendas" not in answer.text, (method, path, answer.text)
    with database.writing() as session:
        session.add_all(
            [
                Share(kind="pipeline", object_id=url.rsplit("/", 1)[1], user_id=person.id, right="view")
                for person in (bia, vera)
            ]
        )
    for person in (bia, vera):
        for method, path, body in ENDPOINTS:
            answer = person.request(method, url + path, json=body)
            assert answer.status_code == (200 if method == "GET" else 403), (
                person.user.email,
                method,
                path,
                answer.text,
            )
    assert bia.get(url).json()["dataset"] is None, "the dataset is not shared"
    assert "fingerprint" not in (bia.get(f"{url}/export").json()["dataset"] or {})
    with database.writing() as session:
        session.execute(update(Share).values(right="edit"))
    assert put(bia, url, "split", {"horizon": 7}).status_code == 404, "the data of the pipeline are still hidden"
    assert bia.put(url, json={"name": "Nosso"}).status_code == 200 and bia.delete(url).status_code == 403
    assert (
        vera.post("/pipelines", json={"name": "x"}).status_code == 403
        and vera.post("/pipelines/import", json={"split": {}}).status_code == 403
    )
    assert bia.post("/pipelines", json={"name": "x", "dataset_id": dataset}).status_code == 404


def test_a_pipeline_in_training_stays_and_its_models_outlive_it(ana, dataset):
    url = complete(ana, dataset)
    id = ana.post(f"{url}/models", json={"name": "M"}).json()["model_id"]
    with database.writing() as session:
        session.add(Job(id="job-1", owner_id=ana.id, kind="train", state="running", model_id=id))
        session.execute(update(Model).values(status="training"))
    assert ana.get("/pipelines").json()["items"][0]["status"] == "training"
    assert ana.delete(url).json()["code"] == "pipelines.in_use"
    with database.writing() as session:
        session.execute(update(Job).values(state="succeeded"))
    assert ana.delete(url).status_code == 204
    with database.reading() as session:
        assert session.get(Model, id).pipeline_id is None


def test_lists_are_searched_and_filtered(ana, dataset):
    begun(ana, dataset, "Vendas"), begun(ana, None, "Estoque")
    assert [row["name"] for row in ana.get("/pipelines", params={"search": "ESTO"}).json()["items"]] == ["Estoque"]
    assert [row["name"] for row in ana.get("/pipelines", params={"dataset_id": dataset}).json()["items"]] == ["Vendas"]


def test_a_model_is_outdated_as_soon_as_settings_or_data_are_others(ana, dataset):
    url = complete(ana, dataset)
    assert ana.get(f"{url}/state").json()["outdated"] is False
    made = ana.post(f"{url}/models", json={"name": "another name"}).json()["model_id"]
    now = ana.get(f"{url}/state").json()
    assert (now["model"]["model_id"], now["outdated"], now["champion"]) == (made, False, None)
    put(ana, url, "training", {"seed": 7})
    assert ana.get(f"{url}/state").json()["outdated"] is True
    put(ana, url, "training")
    assert ana.get(f"{url}/state").json()["outdated"] is False
    with database.writing() as session:
        model = session.get_one(Model, made)
        session.add(Alias(owner_id=ana.id, family=model.family, name="champion", model_id=made))
    assert ana.get(f"{url}/state").json()["champion"]["model_id"] == made
