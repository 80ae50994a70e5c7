"""Monitoring of pipelines, models, the machine, health and logs."""

import time
from datetime import timedelta

import psutil
import pytest

from vur.serving.middleware import logs
from vur.serving.views import system
from vur.store import database
from vur.store.catalog import Alias, Dataset, Forecast, ForecastPoint, Job, Model, Monitor, Pipeline, Share, new_id, now

on_sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)


@pytest.fixture
def models(ana) -> list[Model]:
    """Two trained models of a family, the second its champion, whose dataset has a newer version; and one untrained."""
    with database.writing() as session:
        dataset = Dataset(
            owner_id=ana.id, name="d", filename="d.csv", size_bytes=1, fingerprint="f", rows=1, head={}, number=2
        )
        pipeline = Pipeline(owner_id=ana.id, name="Vendas", step="model", completed=["upload", "preview"])
        session.add_all([dataset, pipeline])
        session.flush()
        made = [
            Model(
                owner_id=ana.id,
                name=f"Vendas {number}",
                algorithm="ets",
                status="trained",
                family="vendas",
                tag=f"vendas:{number}",
                pipeline_id=pipeline.id,
                dataset_id=dataset.id,
                dataset_number=number,
                metrics={"mae": 1.0, "mase": 0.8},
                facts={"levels": [80, 95]},
                trained_at=now() - timedelta(days=2),
            )
            for number in (1, 2)
        ]
        session.add_all(
            [*made, Model(owner_id=ana.id, name="draft", algorithm="ets", family="draft", pipeline_id=pipeline.id)]
        )
        session.flush()
        session.add(Alias(owner_id=ana.id, family="vendas", model_id=made[1].id))
        session.add(Job(id=new_id(), owner_id=ana.id, kind="train", model_id=made[0].id, state="queued"))
    return made


def forecast(model: Model, errors: list[float]) -> None:
    """A forecast of 10 for each error, with an interval of 8 to 12, and the actual values."""
    with database.writing() as session:
        head = Forecast(
            id=new_id(),
            owner_id=model.owner_id,
            kind="predict",
            model_id=model.id,
            tag=model.tag,
            freq="D",
            horizon=1,
            n_series=1,
        )
        session.add(head)
        session.flush()
        session.add_all(
            [
                ForecastPoint(
                    forecast_id=head.id,
                    owner_id=model.owner_id,
                    tag=model.tag,
                    unique_id="s",
                    target_at=now() + timedelta(days=step),
                    horizon=step + 1,
                    forecast=10.0,
                    quantiles={"80": [9, 11], "95": [8, 12]},
                    actual=10.0 + error,
                    scored_at=now(),
                )
                for step, error in enumerate(errors)
            ]
        )


def test_models_are_shown_with_champion_age_and_live_accuracy(models, ana, bia):
    forecast(models[0], [0.5, -0.5] * 10)
    forecast(models[1], [3.0] * 20)
    listed = {item["tag"]: item for item in ana.get("/monitoring/models").json()["items"]}
    assert listed.keys() == {"vendas:1", "vendas:2"}
    old, new = listed["vendas:1"], listed["vendas:2"]
    assert (old["champion"], new["champion"]) == (False, True)
    assert old["metrics"] == {"mae": 1.0, "mase": 0.8} and 1.99 < old["staleness"]["days_since_training"] < 2.01
    assert (old["live"]["n"], old["live"]["mae"], old["live"]["bias"]) == (20, 0.5, 0) and old["live"]["coverage"] == {
        "80": 100,
        "95": 100,
    }
    assert old["staleness"]["reasons"] == ["newer_data"] and (
        old["staleness"]["dataset_number"],
        old["staleness"]["newest_dataset_number"],
    ) == (1, 2)
    assert new["live"]["mae"] == 3 and new["live"]["coverage"]["95"] == 0 and new["staleness"]["reasons"][0] == "error"
    assert bia.get("/monitoring/models").json()["items"] == []
    with database.writing() as session:
        session.add(Share(kind="model", object_id=models[0].id, user_id=bia.id))
    assert [item["live"] for item in bia.get("/monitoring/models").json()["items"]] == [None], (
        "forecasts of others are not told"
    )
    assert [item["tag"] for item in ana.get("/monitoring/models?search=das 2&limit=1").json()["items"]] == ["vendas:2"]


def test_pipelines_are_shown_with_their_activity(models, ana, bia):
    with database.writing() as session:
        pipeline = models[0].pipeline_id
        from vur.store.catalog import DatabaseConnection

        source = DatabaseConnection(
            owner_id=ana.id, name="s", kind="sqlite", secret="", table="t", columns={"date": "d", "target": "t"}
        )
        session.add(source)
        session.flush()
        session.add_all(
            [
                Monitor(
                    owner_id=ana.id,
                    model_id=models[0].id,
                    pipeline_id=pipeline,
                    connection_id=source.id,
                    interval_seconds=5,
                    state=state,
                )
                for state in ("running", "failing", "stopped")
            ]
        )
        session.add(Pipeline(owner_id=ana.id, name="Empty"))
    listed = {item["name"]: item for item in ana.get("/monitoring/pipelines").json()["items"]}
    assert {
        key: listed["Vendas"][key] for key in ("models", "trained_models", "active_jobs", "active_monitors", "step")
    } == {"models": 3, "trained_models": 2, "active_jobs": 1, "active_monitors": 2, "step": "model"}
    assert (listed["Empty"]["models"], listed["Empty"]["last_trained_at"]) == (0, None)
    assert bia.get("/monitoring/pipelines").json()["total"] == 0
    assert ana.get("/monitoring/system").json()["queues"]["monitors"] == {"running": 1, "failing": 1, "stopped": 1}


@on_sqlite
def test_the_machine_is_measured(models, ana, stranger):
    system._last.clear()
    told = ana.get("/monitoring/system").json()
    assert (
        told["memory"]["total"] == psutil.virtual_memory().total
        and told["disk"]["total"] > 0
        and told["process"]["memory"] > 10 * 2**20
    )
    assert told["queues"]["queued"] == 1 and told["queues"]["waiting_since"] is not None
    started = time.perf_counter()
    assert [ana.get("/monitoring/system").json()["at"] for _ in range(5)] == [
        told["at"]
    ] * 5 and time.perf_counter() - started < 1, "once a second at most"
    system._last["at"] -= 2
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        sum(range(1000))
    assert ana.get("/monitoring/system").json()["cpu"]["percent"] > 5
    assert stranger.get("/monitoring/system").status_code == 401


@on_sqlite
def test_health_needs_no_token_and_reveals_no_details(stranger, catalog):
    answer = stranger.get("/monitoring/health")
    assert answer.status_code == 503, "no worker lives in this test"
    told = answer.json()
    assert (
        told["status"] == "unavailable"
        and told["components"]["database"] == "ok"
        and told["components"]["worker"] != "ok"
    )
    assert str(catalog) not in answer.text


@on_sqlite
def test_logs_are_for_administrators(ana, root, vera, stranger):
    logs.log.info("something")
    logs.log.error("it broke", token="abc", request_id="r1")
    for person, status in ((stranger, 401), (ana, 403), (vera, 403)):
        assert person.get("/monitoring/logs").status_code == status
    found = root.get("/monitoring/logs?level=error&limit=5").json()["logs"]
    assert found[0]["event"] == "it broke" and found[0]["token"] == "***"
    assert {line["level"] for line in found} <= {"error", "critical"}
    root.get("/auth/me")
    root.post("/dashboard/alerts/acknowledge")
    told = {}
    for reads in ("true", "false"):
        found = root.get(f"/monitoring/logs?limit=1000&reads={reads}").json()["logs"]
        told[reads] = {line["method"] for line in found if line["event"] == "request" and line["status"] < 400}
    assert told == {"true": {"GET", "POST"}, "false": {"POST"}}
    assert [line["event"] for line in root.get("/monitoring/logs?request_id=r1").json()["logs"]] == ["it broke"]
    assert (
        root.get("/monitoring/logs?level=loud").status_code == root.get("/monitoring/logs?limit=0").status_code == 422
    )
