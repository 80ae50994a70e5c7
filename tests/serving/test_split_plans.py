"""The split that is shown is the split that is trained, or the configured model says what differs and why."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from databases import kind  # noqa: F401 - a fixture
from jobkit import DATA, dataset_of

from vur.jobs.spec import JobSpec
from vur.jobs.training import configuration
from vur.runs.api import prepare
from vur.runs.run import Run
from vur.stages.split.folds import validation_frame

SHARES = {"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15, "method": "time_series", "shuffle": False}
VALIDATION = {"method": "time_series_split", "n_splits": 5}


def days(path: Path, lengths: tuple[int, ...] = (400,), early: int = 0) -> Path:
    """Daily series of these lengths; the last one ends `early` days before the others."""
    parts = []
    for number, length in enumerate(lengths):
        end = pd.Timestamp("2024-12-31") - pd.Timedelta(days=early if number and number == len(lengths) - 1 else 0)
        stamps = pd.date_range(end=end, periods=length, freq="D")
        wave = 50 + 10 * number + 8 * np.sin(np.arange(length) * 2 * np.pi / 7)
        parts.append(pd.DataFrame({"loja": f"s{number}", "dia": stamps, "vendas": wave.round(3)}))
    frame = pd.concat(parts, ignore_index=True)
    (frame if len(lengths) > 1 else frame.drop(columns="loja")).to_csv(path, index=False)
    return path


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """The horizon, the steps that each fold scores and the test of a split as the API shows it."""
    test = answer["test_fold"]
    return {
        "horizon": answer["horizon"],
        "folds": [(row["series"], row["scored_rows"]) for row in answer["folds"]],
        "test": test and (test["series"], test["scored_rows"]),
    }


def trained(model: str, owner: str, folder: Path) -> dict[str, Any]:
    """The same of the split that a training of the model makes."""
    spec = JobSpec("job", "train", 1, owner, folder, model)
    run = Run(prepare(configuration(spec)[0], folder))
    plan, panel = run.plan, run.panel

    def scored(fold: Any) -> tuple[int, int]:
        return len(fold.cutoffs), len(validation_frame(panel, fold, plan))

    test = plan.test and scored(plan.test)
    return {"horizon": plan.horizon, "folds": [scored(fold) for fold in plan.folds], "test": test}


@pytest.fixture
def shop(ana, tmp_path) -> str:
    return dataset_of(ana.id, days(tmp_path / "sales.csv"))


def split(ana, dataset: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = ana.post(f"/datasets/{dataset}/split", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def configure(ana, dataset: str, **more: Any) -> dict[str, Any]:
    answer = ana.post("/models/configure", json={"dataset_id": dataset, "algorithm": "theta"} | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_documents_split_is_the_one_that_is_trained(ana, shop, tmp_path):
    plan = shown(split(ana, shop, SHARES))
    assert plan == {"horizon": 60, "folds": [(1, 60)], "test": (1, 60)}
    model = configure(ana, shop)
    assert model["warnings"] == [] and trained(model["model_id"], ana.id, tmp_path / "r") == plan


@pytest.mark.parametrize(
    "body",
    [
        {"train_size": 0.7, "test_size": 0.2},
        {"train_size": 0.6, "validation_size": 0.3, "test_size": 0.1},
        {"test_size": 45},
        {"horizon": 14, "folds": 3},
        {"horizon": 14, "validation_size": 60, "test_size": 30},
        {"validation_start": "2024-10-01", "test_start": "2024-12-01"},
        {"validation_size": 0.15, "test_size": 0.15, "folds": 5},
        {"method": "sliding", "train_size": 100},
        {},
    ],
)
@pytest.mark.parametrize("lengths", [(400,), (400, 250, 90), (12,)], ids=["one", "panel", "short"])
def test_other_splits_are_trained_as_they_are_shown(ana, tmp_path, body, lengths):
    dataset = dataset_of(ana.id, days(tmp_path / "sales.csv", lengths, early=5))
    answer = ana.post(f"/datasets/{dataset}/split", json=body)
    if lengths == (12,) and answer.status_code == 422:
        assert answer.json()["code"].startswith("split.")
        return
    assert answer.status_code == 200, answer.text
    assert trained(configure(ana, dataset)["model_id"], ana.id, tmp_path / "r") == shown(answer.json())


def test_months_are_trained_with_the_horizon_of_their_split(ana, tmp_path):
    dataset = dataset_of(ana.id, DATA / "electrical_equipment.csv")
    plan = shown(split(ana, dataset, SHARES))
    assert plan["horizon"] != 12, "not the usual one of a month"
    assert trained(configure(ana, dataset)["model_id"], ana.id, tmp_path / "r") == plan


def test_a_number_of_folds_keeps_horizon_and_test_of_the_split_and_says_so(ana, shop, tmp_path):
    plan = shown(split(ana, shop, SHARES))
    model = configure(ana, shop, validation=VALIDATION)
    made = trained(model["model_id"], ana.id, tmp_path / "r")
    assert (made["horizon"], made["test"], len(made["folds"])) == (plan["horizon"], plan["test"], 5)
    assert all(rows == 60 for _, rows in made["folds"])
    said = model["warnings"][0]
    assert "60 steps of horizon, folds: 1, rows that they score: 60, rows of the test: 60" in said
    assert "folds 5" in said and "folds: 5, rows that they score: 300, rows of the test: 60" in said
    assert ana.get(f"/models/{model['model_id']}").json()["warnings"] == model["warnings"]


def test_another_horizon_than_that_of_the_split_is_said_with_its_numbers(ana, shop, tmp_path):
    split(ana, shop, SHARES)
    asked = {"dataset_id": shop, "algorithm": "theta", "horizon": 28}
    model = configure(ana, shop, horizon=28)
    made = trained(model["model_id"], ana.id, tmp_path / "r")
    assert (made["horizon"], made["test"]) == (28, (1, 28))
    said = model["warnings"][0]
    assert f"28 steps of horizon, folds: {len(made['folds'])}" in said and said.endswith("rows of the test: 28.")
    now = ana.post("/models/train", json=asked)
    assert now.status_code == 202 and now.json()["warnings"] == model["warnings"]
    whole = ana.post("/models/train", json={"dataset_id": shop, "config": {"split": {"horizon": 28}}})
    assert whole.status_code == 202 and whole.json()["warnings"] == model["warnings"]


def test_a_split_that_does_not_fit_is_refused_before_the_training(ana, shop):
    split(ana, shop, SHARES)
    refused = ana.post(
        "/models/configure", json={"dataset_id": shop, "algorithm": "theta", "validation": {"n_splits": 90}}
    )
    assert refused.status_code == 422 and refused.json()["code"] == "split.too_short"
    assert ana.get("/models").json()["total"] == 0


def test_without_a_stored_split_a_request_is_followed_without_warnings(ana, shop, tmp_path):
    model = configure(ana, shop, validation=VALIDATION, horizon=10)
    made = trained(model["model_id"], ana.id, tmp_path / "r")
    assert model["warnings"] == [] and made["horizon"] == 10 and len(made["folds"]) == 5


@pytest.mark.parametrize(
    ("stored", "asked", "kept", "made"),
    [
        ({}, {"gap": 5}, "gap: 0, rows of training", "gap: 5, rows of training"),
        ({}, {"method": "sliding"}, "(the window grows)", "(the window slides)"),
        ({"method": "sliding"}, {"method": "time_series_split"}, "(the window slides)", "(the window grows)"),
    ],
)
def test_a_gap_and_a_window_that_differ_from_the_split_are_said(ana, shop, stored, asked, kept, made):
    split(ana, shop, {"horizon": 14, "folds": 3} | stored)
    said = configure(ana, shop, validation=asked)["warnings"]
    assert len(said) == 1 and f"because the request asks for {'gap 5' if 'gap' in asked else 'window'}" in said[0]
    before, after = said[0].split("Trained: ")
    assert kept in before and made in after and "14 steps of horizon, folds: 3" in after
    assert configure(ana, shop)["warnings"] == []


@pytest.mark.parametrize("section", [{"gap": 5}, {"window": "sliding", "max_train": 50}, {"step": 3}, {"refit": False}])
def test_a_whole_configuration_says_what_differs_from_the_split(ana, shop, section):
    split(ana, shop, {"horizon": 14, "folds": 3})
    answer = ana.post(
        "/models/train",
        json={"dataset_id": shop, "algorithm": "naive", "config": {"split": section}},
        headers={"Accept-Language": "pt-BR"},
    )
    assert answer.status_code == 202, answer.text
    said = answer.json()["warnings"]
    assert len(said) == 1 and ", ".join(f"{name} {value}" for name, value in section.items()) in said[0]
    same = ana.post("/models/train", json={"dataset_id": shop, "config": {"split": {"gap": 0, "horizon": 14}}})
    assert same.status_code == 202 and same.json()["warnings"] == []


def test_a_pipeline_without_a_split_takes_that_of_its_dataset(ana, shop, tmp_path):
    plan = shown(split(ana, shop, SHARES))
    made = ana.post("/pipelines", json={"name": "p", "dataset_id": shop})
    assert made.status_code == 201, made.text
    model = configure(ana, shop, pipeline_id=made.json()["pipeline_id"])
    assert model["warnings"] == [] and trained(model["model_id"], ana.id, tmp_path / "r") == plan


@pytest.mark.parametrize(
    "body",
    [{"algorithm": "naive", "horizon": 300}, {"algorithm": "naive", "config": {"split": {"horizon": 300}}}],
    ids=["horizon", "config"],
)
@pytest.mark.parametrize("path", ["/models/train", "/models/configure"])
def test_a_horizon_past_the_calendar_is_refused_without_a_stored_split(ana, tmp_path, path, body):
    years = pd.DataFrame({"year": pd.date_range("1980-12-31", periods=44, freq="YE"), "sales": np.arange(44.0)})
    years.to_csv(tmp_path / "years.csv", index=False)
    if "config" in body and path == "/models/configure":
        body = {"algorithm": "naive", "horizon": 250}
    dataset = dataset_of(ana.id, tmp_path / "years.csv")
    refused = ana.post(path, json={"dataset_id": dataset} | body)
    assert refused.status_code == 422 and refused.json()["code"] == "predictions.calendar", refused.text
    assert refused.json()["field"] == "horizon" and refused.json()["values"]["most"] == 238
    assert ana.get("/models").json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"train_size": -1}, "train_size"),
        ({"test_size": 1.5}, "test_size"),
        ({"train_size": 0.9, "test_size": 0.5}, "test_size"),
        ({"test_size": 5, "test_start": "2024-12-01"}, "test_start"),
        ({"test_start": "1999-01-01"}, "test_start"),
        ({"validation_size": 5, "folds": 9}, "folds"),
        ({"shuffle": True}, "shuffle"),
    ],
)
def test_a_split_that_cannot_be_names_its_field(ana, shop, body, field):
    refused = ana.post(f"/datasets/{shop}/split", json=body)
    assert refused.status_code == 422 and refused.json()["field"] == field, refused.text
