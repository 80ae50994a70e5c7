"""Is a model still good, thresholds of alerts, points of continuous predictions, the machine over time, logs."""

from datetime import UTC, datetime, timedelta

import pytest
from databases import both, kind  # noqa: F401 - a fixture
from test_dashboard import add, model

from vur.serving.middleware import logs
from vur.store import database
from vur.store.catalog import (
    DatabaseConnection,
    Forecast,
    ForecastPoint,
    MachineSample,
    Monitor,
    Share,
    new_id,
    now,
)

PT = {"Accept-Language": "pt-BR"}


def forecast(found, outcomes: list[tuple[float, float, float]], kind: str = "predict", step: int = 0) -> str:
    """A forecast of one series for days in a row: forecast, actual and naive value of each; its id."""
    head = Forecast(
        id=new_id(),
        owner_id=found.owner_id,
        kind=kind,
        model_id=found.id,
        tag=found.tag,
        freq="D",
        horizon=len(outcomes),
        n_series=1,
    )
    add(head)
    first = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(days=step)
    add(
        *(
            ForecastPoint(
                forecast_id=head.id,
                owner_id=found.owner_id,
                tag=found.tag,
                unique_id="norte",
                origin_at=first - timedelta(days=1),
                target_at=first + timedelta(days=number),
                horizon=number + 1,
                forecast=value,
                quantiles={"80": [value - 2, value + 2]},
                actual=actual,
                naive=naive,
                scored_at=now() if actual is not None else None,
            )
            for number, (value, actual, naive) in enumerate(outcomes)
        )
    )
    return head.id


@both
def test_a_model_that_got_worse_is_to_be_retrained_and_says_why(ana, bia, vera):
    good, bad, new = (model(ana, name, metrics={"mae": 1.0, "skill": 0.4}) for name in ("good", "bad", "new"))
    add(good, bad, new)
    forecast(good, [(10.0, 11.0, 13.0)] * 20)
    forecast(bad, [(10.0, 16.0, 12.0)] * 20)
    answer = ana.get(f"/monitoring/models/{bad.id}/health", headers=PT).json()
    verdict = answer["verdict"]
    assert verdict["retrain"] == "yes" and verdict["headline"] == "Treine bad de novo."
    assert [reason["code"] for reason in verdict["reasons"]] == ["skill", "error"]
    assert "6,00 vezes o do treino" in verdict["reasons"][1]["text"], verdict["reasons"][1]["text"]
    live = answer["evidence"]["live"]
    assert (live["n"], live["mae"], live["naive_mae"], live["skill"]) == (20, 6.0, 4.0, -0.5)
    assert answer["evidence"]["training"]["skill"] == 0.4 and answer["evidence"]["inputs"] is None
    assert [week["period"] for week in answer["history"]] == ["2024-02-26", "2024-03-04", "2024-03-11", "2024-03-18"]
    assert answer["history"][1]["skill"] == -0.5 and len(answer["thresholds"]) == 6
    still = ana.get(f"/monitoring/models/{good.id}/health").json()["verdict"]
    assert still["retrain"] == "no" and "50" in still["reasons"][0]["text"]
    few = ana.get(f"/monitoring/models/{new.id}/health").json()["verdict"]
    assert few["retrain"] == "not_enough" and few["reasons"][0]["values"] == {"points": 0, "needed": 12}
    listed = {item["name"]: item for item in ana.get("/monitoring/models").json()["items"]}
    assert {name: item["verdict"]["retrain"] for name, item in listed.items()} == {
        "good": "no",
        "bad": "yes",
        "new": "not_enough",
    }
    assert listed["good"]["live"]["skill"] == 0.5
    assert bia.get(f"/monitoring/models/{bad.id}/health").status_code == 404
    add(Share(kind="model", object_id=bad.id, user_id=vera.id))
    (shared,) = vera.get("/monitoring/models").json()["items"]
    assert shared["live"] is None and shared["verdict"]["retrain"] == "yes", "a model is as good for all who see it"
    assert (shared["verdict"]["skill"], shared["verdict"]["error_ratio"], shared["verdict"]["points"]) == (-0.5, 6, 20)
    assert vera.get("/dashboard/figures").json()["live_skill"]["value"] == -50


def test_the_health_of_an_untrained_model_is_a_conflict(ana):
    draft = model(ana, "draft", tag=None, status="configured")
    add(draft)
    answer = ana.get(f"/monitoring/models/{draft.id}/health")
    assert (answer.status_code, answer.json()["code"]) == (409, "models.not_trained")


@both
def test_thresholds_are_set_for_all_models_or_one_by_those_who_may(ana, bia, vera, root):
    one = model(ana, "one", metrics={"mae": 1.0})
    add(one)
    forecast(one, [(10.0, 11.3, None)] * 20)

    def verdict() -> str:
        return ana.get(f"/monitoring/models/{one.id}/health").json()["verdict"]["retrain"]

    def values(answer) -> dict:
        assert answer.status_code == 200, answer.text
        return {item["kind"]: (item["value"], item["set_by"]) for item in answer.json()["items"]}

    assert values(ana.get("/monitoring/thresholds"))["error"] == (1.5, "usual") and verdict() == "no"
    general = values(ana.put("/monitoring/thresholds", json={"values": {"error": 1.2, "age": 30}}))
    assert general["error"] == (1.2, "user") and general["age"] == (30, "user") and verdict() == "yes"
    own = values(ana.put("/monitoring/thresholds", json={"model_id": one.id, "values": {"error": None}}))
    assert own["error"] == (None, "model") and own["age"] == (30, "user") and verdict() == "no"
    assert values(vera.get("/monitoring/thresholds"))["error"] == (1.5, "usual"), "those of another user"
    assert vera.put("/monitoring/thresholds", json={"values": {"error": 2}}).status_code == 403
    assert vera.delete("/monitoring/thresholds").status_code == 403
    add(Share(kind="model", object_id=one.id, user_id=bia.id))
    assert values(bia.get("/monitoring/thresholds", params={"model_id": one.id})) == own
    refused = bia.put("/monitoring/thresholds", json={"model_id": one.id, "values": {"error": 2}})
    assert (refused.status_code, refused.json()["code"]) == (403, "api.not_yours")
    by_admin = values(root.put("/monitoring/thresholds", json={"model_id": one.id, "values": {"error": 3}}))
    assert by_admin["error"] == (3, "model") and values(root.get("/monitoring/thresholds"))["error"][1] == "usual"
    assert ana.delete("/monitoring/thresholds", params={"model_id": one.id, "kind": "error"}).status_code == 204
    assert values(ana.get("/monitoring/thresholds", params={"model_id": one.id}))["error"] == (1.2, "user")
    assert ana.delete("/monitoring/thresholds").status_code == 204
    assert values(ana.get("/monitoring/thresholds"))["age"] == (None, "usual")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"values": {"error": 0.5}}, "thresholds.range"),
        ({"values": {"weather": 1}}, "thresholds.unknown"),
        ({"values": {}}, "api.invalid"),
        ({"values": {"error": "much"}}, "api.invalid"),
        ({"model_id": "nobody", "values": {"error": 2}}, "api.not_found"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(ana, body, code):
    answer = ana.put("/monitoring/thresholds", json=body)
    assert answer.json()["code"] == code and answer.status_code in (404, 422), answer.text


def test_the_thresholds_of_a_deleted_model_are_deleted(ana):
    one = model(ana, "one", tag=None, status="configured")
    add(one)
    assert ana.put("/monitoring/thresholds", json={"model_id": one.id, "values": {"age": 9}}).status_code == 200
    assert ana.delete(f"/models/{one.id}").status_code == 204
    with database.reading() as session:
        from vur.store.catalog import AlertThreshold

        assert session.query(AlertThreshold).count() == 0


# --- continuous predictions ---


@both
def test_continuous_predictions_are_drawn_with_what_came_and_what_is_forecast(ana, bia):
    one = model(ana, "one", family="f")
    add(one)
    source = DatabaseConnection(owner_id=ana.id, name="s", kind="sqlite", secret="", table="t", columns={})
    add(source)
    monitor = Monitor(owner_id=ana.id, model_id=one.id, connection_id=source.id, interval_seconds=5, position={})
    add(monitor)
    empty = ana.get(f"/monitoring/predictions/{monitor.id}/points").json()
    assert empty["series"] is None and empty["stamps"] == []
    forecast(one, [(10.0, 11.0, None), (20.0, 21.0, None), (30.0, None, None)], "monitor")
    forecast(one, [(99.0, 98.0, None)], "predict", 1)
    last = forecast(one, [(23.0, None, None), (33.0, None, None)], "monitor", 2)
    with database.writing() as session:
        session.get_one(Monitor, monitor.id).position = {"forecast_id": last}
    answer = ana.get(f"/monitoring/predictions/{monitor.id}/points", params={"series": "norte"}).json()
    assert answer["values"] == [10, 20, 23, 33] and answer["actual"] == [11.0, 21.0, None, None]
    assert answer["intervals"] == {"80": {"lo": [8, 18, 21, 31], "hi": [12, 22, 25, 35]}}
    days = [datetime(2024, 3, day, tzinfo=UTC).timestamp() * 1000 for day in (1, 2, 3, 4)]
    assert answer["stamps"] == days and answer["series_names"] == ["norte"] and answer["time"] == "datetime"
    newest = ana.get(f"/monitoring/predictions/{monitor.id}/points?points=2").json()
    assert newest["values"] == [23, 33]
    assert bia.get(f"/monitoring/predictions/{monitor.id}/points").status_code == 404


# --- the service ---


def test_jobs_name_their_model_and_stage(ana):
    from vur.store.catalog import Job

    one = model(ana, "one")
    add(one, Job(id="j", owner_id=ana.id, kind="train", model_id=one.id, state="running", stage="training"))
    add(Job(id="k", owner_id=ana.id, kind="batch", model_id="gone", state="queued", stage="no such stage"))
    listed = {item["job_id"]: item for item in ana.get("/jobs", headers=PT).json()["items"]}
    assert (listed["j"]["model_name"], listed["j"]["stage_name"]) == ("one", "treinamento")
    assert (listed["k"]["model_name"], listed["k"]["stage_name"]) == (None, "no such stage")
    assert ana.get("/jobs/j").json()["model_name"] == "one"


def test_the_machine_is_shown_over_time(ana, stranger):
    from vur.store.operations import machine

    sampler = machine.Sampler()
    sampler.take()
    assert ana.get("/monitoring/system/history").json()["at"] == [], "one reading of counters is no load"
    sampler.take()
    sampler.take()
    told = ana.get("/monitoring/system/history").json()
    assert len(told["at"]) == 1, "another worker has just taken a sample"
    assert told["memory"][0] > 0 and told["queued"] == [0]
    zero = dict.fromkeys(("memory", "disk", "sent", "received", "queued", "running"), 0)
    add(*(MachineSample(at=now() - timedelta(minutes=number), cpu=number, **zero) for number in range(1, 5)))
    add(MachineSample(at=now() - timedelta(days=3), cpu=99, **zero))
    told = ana.get("/monitoring/system/history", params={"points": 3}).json()
    assert told["cpu"][:2] == [3.5, 1.5] and len(told["cpu"]) == 3, "the mean of each two, the oldest first"
    assert len(ana.get("/monitoring/system/history?hours=0.04").json()["cpu"]) == 3
    machine.Sampler.take(sampler)
    with database.reading() as session:
        assert session.query(MachineSample).filter(MachineSample.cpu == 99).count() == 1, (
            "nothing stored, nothing pruned"
        )
    assert stranger.get("/monitoring/system/history").status_code == 401


def test_logs_are_searched(root):
    logs.log.info("a Dataset was read", rows=60)
    logs.log.info("something else")
    found = root.get("/monitoring/logs", params={"search": "dataset WAS"}).json()["logs"]
    assert [line["event"] for line in found] == ["a Dataset was read"]
    assert root.get("/monitoring/logs", params={"search": "no such text"}).json()["logs"] == []
