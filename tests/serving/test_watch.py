"""The watch over champions and sources: alerts by the users' thresholds, told once, resolved when they are over."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from test_dashboard import add, crown, model
from test_model_health import forecast

from vur.jobs.watch import watch
from vur.store import database
from vur.store.catalog import Alert, DatabaseConnection, Model, Monitor, now
from vur.store.models import champions, thresholds


@pytest.fixture
def kind() -> str:
    return "sqlite"


def alerts(person, state: str = "open") -> dict[str, dict]:
    items = person.get("/dashboard/alerts", params={"state": state}).json()["items"]
    assert len({item["type"] for item in items}) == len(items)
    return {item["type"]: item for item in items}


def test_a_champion_that_got_worse_is_told_once_and_over_when_it_is_replaced(ana):
    bad, other = model(ana, "bad", metrics={"mae": 1.0, "skill": 0.4}), model(ana, "other", metrics={"mae": 1.0})
    crown(ana, (bad, 1))
    add(other)
    for found in (bad, other):
        for step in range(0, 20, 4):
            forecast(found, [(10.0, 16.0, 12.0)] * 4, step=step)
    watch()
    told = alerts(ana)
    assert set(told) == {"model_skill", "model_drift", "model_coverage"}, "and nothing of a model that nobody uses"
    assert (
        told["model_skill"]["message"]
        == "bad is no longer better than the seasonal naive forecast: skill −50% on 20 values."
    )
    assert told["model_coverage"]["parameters"] == {"model": bad.id, "view": "retrain"}
    assert ana.post(f"/dashboard/alerts/{told['model_skill']['id']}/acknowledge").status_code == 200
    watch()
    assert set(alerts(ana)) == {"model_drift", "model_coverage"}, "what lasts is told once"
    with database.writing() as session:
        better = Model(
            owner_id=ana.id, name="better", algorithm="ets", family=bad.family, tag="better:1", status="trained"
        )
        session.add(better)
        session.flush()
        champions.promote(session, better, ana.id)
    watch()
    assert alerts(ana) == {} and set(alerts(ana, "resolved")) == set(told)


def test_the_users_thresholds_raise_and_resolve_alerts(ana):
    one = model(ana, "one", days=50, metrics={"mae": 1.0})
    crown(ana, (one, 50))
    watch()
    assert alerts(ana) == {}

    def put(**values: float | None) -> None:
        assert ana.put("/monitoring/thresholds", json={"model_id": one.id, "values": values}).status_code == 200
        watch()

    put(age=45)
    assert alerts(ana)["model_age"]["message"] == "one was trained 50 days ago; the threshold is 45."
    put(age=60)
    assert alerts(ana) == {}
    put(age=45)
    assert set(alerts(ana)) == {"model_age"}, "it recurs"


def test_a_source_without_new_rows_is_silent_after_the_hours_that_the_user_set(ana):
    one = model(ana, "one")
    source = DatabaseConnection(owner_id=ana.id, name="plant", kind="sqlite", secret="", table="t", columns={})
    add(one, source)
    early = now() - timedelta(hours=9)
    monitor = Monitor(owner_id=ana.id, model_id=one.id, connection_id=source.id, interval_seconds=5, position={})
    monitor.created_at = early
    add(monitor)
    watch()
    assert alerts(ana) == {}, "by default, a source may be silent"
    with database.writing() as session:
        thresholds.put(session, ana.id, {"silence": 6})
    watch()
    assert alerts(ana)["source_silent"]["message"].startswith("plant, which one follows, has had no new rows for 9")
    with database.writing() as session:
        session.get_one(Monitor, monitor.id).position = {"news_at": now().isoformat()}
    watch()
    assert alerts(ana) == {}
    with database.writing() as session:
        session.get_one(Monitor, monitor.id).position = {"news_at": early.isoformat()}
    watch()
    assert set(alerts(ana)) == {"source_silent"}
    assert ana.post("/monitoring/predictions/stop", json={"monitor_id": monitor.id}).status_code == 200
    watch()
    assert alerts(ana) == {}, "a stopped monitor waits for nothing"


def test_a_model_that_cannot_be_judged_keeps_none_of_the_others(ana, monkeypatch):
    from vur.jobs import watch as module

    first, second = model(ana, "first"), model(ana, "second", metrics={"mae": 1.0})
    crown(ana, (first, 1))
    crown(ana, (second, 1))
    forecast(second, [(10.0, 16.0, None)] * 20)
    plain = module.watch_model

    def broken(id: str) -> None:
        if id == first.id:
            raise OSError("its files are gone")
        plain(id)

    monkeypatch.setattr(module, "watch_model", broken)
    watch()
    with database.reading() as session:
        assert {alert.object_id for alert in session.scalars(select(Alert))} == {second.id}
