# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""The forecast ledger: on disk before the answer, many answers to a flush, and what happened beside it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import event, func, select
from trained_models import register, runs  # noqa: F401 - a fixture

from vur.errors import VurError
from vur.store import database
from vur.store.accounts.access import Principal
from vur.store.catalog import Alert, Forecast, ForecastPoint, Model
from vur.store.forecasts import ledger, scoring
from vur.store.forecasts.ledger import Entry, Head, Points

LEVELS = ("80", "95")


def points(values: np.ndarray, first: str = "2024-01-01", step: str = "D", ids: tuple[str, ...] = ("loja",)) -> Points:
    """Points of forecasts that begin at `first`; intervals reach 1 and 2 to each side."""
    values = np.atleast_2d(np.asarray(values, float))
    origin = np.datetime64(first, step) - 1
    targets = (np.datetime64(first, step) + np.arange(values.shape[1])).astype("M8[ns]")
    return Points(
        list(ids),
        np.repeat(np.array([origin], "M8[ns]"), len(ids)),
        np.tile(targets, (len(ids), 1)),
        values,
        {level: (values - reach, values + reach) for reach, level in enumerate(LEVELS, 1)},
    )


def entry(owner: str, made: Points, **more) -> Entry:
    return Entry(
        Head(
            **{
                "owner_id": owner,
                "kind": "predict",
                "tag": "loja:1",
                "freq": "D",
                "horizon": made.values.shape[1],
                "n_series": len(made.ids),
            }
            | more
        ),
        made,
    )


def count(table: type) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_the_ledger_stores_what_was_forecast(ana):
    made = points([[1.5, np.nextafter(2, 3), 3]])
    made.bounds["95"][1][0, 2] = np.inf
    one = Entry(entry(ana.id, made).head, made, {"forecast_id": "x"})
    ledger.record(one)
    whole = Points(["contador"], np.array([7]), np.array([[8, 9]]), np.array([[1.0, 2.0]]), {})
    ledger.record(entry(ana.id, whole, freq="1", request_id="r", errors={"x": {"code": "c"}}))
    with database.reading() as session:
        rows = session.scalars(
            select(ForecastPoint).where(ForecastPoint.forecast_id == one.head.id).order_by(ForecastPoint.horizon)
        ).all()
        head = session.get(Forecast, one.head.id)
        steps = session.scalars(
            select(ForecastPoint).where(ForecastPoint.unique_id == "contador").order_by(ForecastPoint.horizon)
        ).all()
        other = session.get(Forecast, steps[0].forecast_id)
    assert [(row.horizon, row.target_at.day, row.forecast) for row in rows] == [
        (1, 1, 1.5),
        (2, 2, 2.0000000000000004),
        (3, 3, 3.0),
    ]
    assert rows[0].target_at == datetime(2024, 1, 1, tzinfo=UTC) and rows[0].origin_at == datetime(
        2023, 12, 31, tzinfo=UTC
    )
    assert rows[0].quantiles == {"80": [0.5, 2.5], "95": [-0.5, 3.5]} and rows[2].quantiles["95"] == [1.0, None]
    assert head.created_at == one.head.created_at and head.errors is None and head.owner_id == ana.id
    assert [(row.target_step, row.target_at, row.origin_at) for row in steps] == [(8, None, None), (9, None, None)]
    assert (other.request_id, other.errors) == ("r", {"x": {"code": "c"}})


def test_concurrent_forecasts_share_a_flush_and_each_is_stored(ana):
    commits, made = [], points([[1.0] * 12])
    ledger.record(entry(ana.id, made))
    event.listen(database.engine(), "commit", commits.append)
    threads = [
        threading.Thread(target=lambda: [ledger.record(entry(ana.id, made)) for _ in range(20)]) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert count(Forecast) == 321 and count(ForecastPoint) == 321 * 12
    assert len(commits) < 320 / 2
    with database.reading() as session:
        ids = session.scalars(select(Forecast.id).order_by(Forecast.created_at)).all()
    assert [id[:8] for id in ids] == sorted(id[:8] for id in ids)


def test_a_rejected_entry_does_not_reject_the_others(ana):
    batch = [(entry(owner, points([1.0, 2.0])), Future()) for owner in (ana.id, "nobody", ana.id)]
    ledger._commit(batch)
    assert [done.exception() is None for _, done in batch] == [True, False, True] and count(Forecast) == 2


def test_a_batch_replaces_the_forecast_of_an_earlier_attempt(ana):
    made = points(np.ones((3, 4_000)), ids=("a", "b", "c"))
    for _ in range(2):
        ledger.record_large(entry(ana.id, made, job_id="job", kind="batch"))
    assert count(Forecast) == 1 and count(ForecastPoint) == 12_000


def serve(home: Path, port: int) -> subprocess.Popen:
    code = (
        "import uvicorn; from vur.serving.app import create_app; from vur.serving.middleware.guard import Guard; "
        f"uvicorn.run(Guard(create_app()), host='127.0.0.1', port={port}, log_level='critical')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_a_sent_forecast_is_in_the_ledger_after_a_crash(ana, runs, catalog, kind):
    if kind != "sqlite":
        pytest.skip("one service that starts is enough: the writer is the same")
    model = register(ana.id, runs["equipment"])
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server, answered = serve(catalog, port), []
    url, headers = f"http://127.0.0.1:{port}/api/v1/predictions/predict", {"Authorization": f"Bearer {ana.token}"}
    try:
        until = time.monotonic() + 180
        while not answered:
            try:
                answered.append(
                    httpx.post(url, json={"model": model.id}, headers=headers, timeout=120).json()["forecast_id"]
                )
            except httpx.TransportError:
                assert server.poll() is None and time.monotonic() < until
                time.sleep(0.1)

        def ask() -> None:
            with httpx.Client(timeout=30) as client:
                try:
                    while True:
                        answered.append(
                            client.post(url, json={"model": model.id}, headers=headers).json()["forecast_id"]
                        )
                except httpx.TransportError:
                    return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(answered) < 60:
            assert time.monotonic() < until
            time.sleep(0.001)
        server.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join(60)
    finally:
        server.kill()
        server.wait()
    with database.reading() as session:
        kept = dict(
            session.execute(select(ForecastPoint.forecast_id, func.count()).group_by(ForecastPoint.forecast_id))
            .tuples()
            .all()
        )
    assert len(answered) >= 60 and set(answered) <= kept.keys() and {kept[id] for id in answered} == {12}


@pytest.mark.slow
def test_a_full_disk_fails_all_waiting_requests_until_there_is_space(ana, runs, kind):
    if kind != "sqlite":
        pytest.skip("a full PostgreSQL disk cannot be made here")
    register(ana.id, runs["equipment"])
    assert ana.post("/predictions/predict", json={"model": "equipment"}).status_code == 200
    engine = database.engine()
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    engine.dispose()

    def limit(connection, record) -> None:
        connection.execute(f"PRAGMA max_page_count={pages + 3}")

    event.listen(engine, "connect", limit)
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.extend(
                ana.post("/predictions/predict", json={"model": "equipment"}) for _ in range(8)
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused and {(answer.status_code, answer.json()["code"]) for answer in refused} == {(507, "ledger.full")}
    event.remove(engine, "connect", limit)
    engine.dispose()
    assert ana.post("/predictions/predict", json={"model": "equipment"}).status_code == 200
    assert count(Forecast) == 2 + len(answers) - len(refused)


# --- what happened ---


def add_model(owner: str, mae: float = 1.0) -> Model:
    with database.writing() as session:
        model = Model(
            owner_id=owner,
            name="loja",
            algorithm="ets",
            status="trained",
            family="loja",
            tag="loja:1",
            metrics={"mae": mae},
        )
        session.add(model)
    return model


def happened(values: list[float], first: str = "2024-01-01", step: str = "D", id: str = "loja") -> pd.DataFrame:
    stamps = (np.datetime64(first, step) + np.arange(len(values))).astype("M8[ns]")
    return pd.DataFrame({"unique_id": id, "ds": stamps, "y": values})


def test_actual_values_match_their_forecasts(ana, bia):
    model = add_model(ana.id)
    for owner in (ana.id, bia.id):
        ledger.record(entry(owner, points([10, 11, 12]), model_id=model.id))
    ledger.record(entry(ana.id, points([10, 11, 12]), model_id="another"))
    models = {model.id: model.tag}
    assert scoring.score(models, happened([10.5, np.nan, 13, 99]), "D", owner_id=ana.id) == scoring.Scored(
        points=2, matched=2, unmatched=1
    )
    assert scoring.score(models, happened([10.5, 11.5]), "D") == scoring.Scored(points=3, matched=2, unmatched=0)
    assert scoring.score(models, happened([0, 0]), "D").points == 0
    assert scoring.score(models, happened([10.25]), "D", again=True).points == 2
    with database.reading() as session:
        own = session.scalars(
            select(ForecastPoint)
            .join(Forecast, Forecast.id == ForecastPoint.forecast_id)
            .where(Forecast.owner_id == ana.id, Forecast.model_id == model.id)
            .order_by(ForecastPoint.horizon)
        ).all()
        assert [row.actual for row in own] == [10.25, 11.5, 13.0] and all(row.scored_at is not None for row in own)
        assert (
            session.scalar(select(func.count()).select_from(ForecastPoint).where(ForecastPoint.actual.is_(None))) == 4
        )


def test_months_match_whatever_their_day_and_counts_match_exactly(ana):
    model = add_model(ana.id)
    ledger.record(entry(ana.id, points([1, 2], "2024-01", "M"), model_id=model.id, freq="MS"))
    ends = pd.DataFrame({"unique_id": "loja", "ds": pd.to_datetime(["2024-01-31", "2024-03-31"]), "y": [5.0, 6.0]})
    assert scoring.score({model.id: model.tag}, ends, "MS") == scoring.Scored(1, 1, 1)
    ledger.record(
        entry(
            ana.id,
            Points(["n"], np.array([7]), np.array([[8, 9]]), np.array([[1.0, 2.0]]), {}),
            model_id=model.id,
            freq="1",
        )
    )
    numbered = pd.DataFrame({"unique_id": "n", "ds": [9, 10], "y": [1.0, 1.0]})
    assert scoring.score({model.id: model.tag}, numbered, "1") == scoring.Scored(1, 1, 1)


def test_accuracy_counts_equal_forecasts_once_and_drift_needs_error_or_coverage(ana):
    model = add_model(ana.id)
    for _ in range(3):
        ledger.record(entry(ana.id, points([10, 20, 30]), model_id=model.id))
    scoring.score({model.id: model.tag}, happened([11, 18, 30]), "D")
    with database.reading() as session:
        found = scoring.scored_points(session, Principal(ana.id))
    live = scoring.accuracy(found)
    assert (live["n"], live["paths"], live["mae"], live["bias"]) == (3, 1, 1.0, pytest.approx(1 / 3, abs=1e-6))
    assert live["smape"] == pytest.approx(200 / 3 * (1 / 21 + 2 / 38), abs=1e-5)
    assert live["coverage"] == {"80": pytest.approx(200 / 3, abs=1e-4), "95": 100.0}
    assert [row["mae"] for row in scoring.by_horizon(found)] == [1.0, 2.0, 0.0]
    assert [row["period"] for row in scoring.by_period(found, "week")] == ["2024-01-01"]
    assert scoring.drift(live, {"mae": 0.1}) == {"drifting": False, "reasons": [], "ratio": 10.0, "judged": False}
    many = live | {"n": 40, "paths": 40}
    assert scoring.drift(many, {"mae": 0.9})["reasons"] == [] and scoring.drift(many, {"mae": 0.5})["reasons"] == [
        "error"
    ]
    assert scoring.drift(many | {"coverage": {"95": 70.0}}, {})["reasons"] == ["coverage"]
    assert scoring.drift(many | {"paths": 2, "coverage": {"95": 70.0}}, {})["reasons"] == []


@pytest.mark.slow
def test_the_ledger_is_limited_to_the_users_forecasts(ana, bia, runs):
    model = register(ana.id, runs["stores"])
    first = ana.post("/predictions/predict", json={"model": "stores", "series": ["norte", "x"], "horizon": 3}).json()[
        "forecast_id"
    ]
    live = ana.post("/predictions/real-time", json={"model": "stores", "horizon": 14}).json()
    listed = ana.get("/predictions", params={"sort": "created_at"}).json()
    assert [row["forecast_id"] for row in listed["items"]] == [first, live["forecast_id"]] and listed["total"] == 2
    assert (
        listed["items"][0] | {"n_series": 1, "n_errors": 1, "horizon": 3, "kind": "predict", "model_version": model.tag}
        == listed["items"][0]
    )
    assert ana.get("/predictions/history").json()["total"] == 2

    def total(**query) -> int:
        return ana.get("/predictions", params=query).json()["total"]

    assert [
        total(kind="real_time"),
        total(series="norte"),
        total(series="sul"),
        total(model=model.id),
        total(model="stores"),
        total(model="x"),
    ] == [1, 2, 1, 2, 2, 0]
    assert [total(since="2024-01-01"), total(until="2024-01-01"), total(search="stores:"), total(search="x%")] == [
        2,
        0,
        2,
        0,
    ]
    shown = ana.get(f"/predictions/{live['forecast_id']}", params={"limit": 2}).json()
    assert shown["total_series"] == 3 and len(shown["forecasts"]) == 2
    for id, one in shown["forecasts"].items():
        assert one | live["forecasts"][id] == one and one["actual"] == [None] * 14
    assert ana.get(f"/predictions/{first}").json()["errors"]["x"]["code"] == "predictions.unknown_series"
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-04-30", periods=14)]
    wrong = {"norte": {"timestamps": days, "values": [500.0] * 14}}
    told = ana.post("/predictions/actuals", json={"model": "stores", "series": wrong}).json()
    assert told == {"points": 17, "matched": 14, "unmatched": 0, "drifting": [model.id], "warnings": []}
    stats = ana.get("/predictions/stats", params={"period": "day"}).json()
    assert (stats["forecasts"], stats["by_kind"], stats["scored"]) == (2, {"predict": 1, "real_time": 1}, 17)
    one = stats["models"][0]
    assert one["n"] == 14 and one["champion"] and len(one["by_period"]) == 14
    assert one["drift"]["drifting"] and set(one["drift"]["reasons"]) >= {"error"}
    with database.reading() as session:
        assert session.scalars(select(Alert)).one().kind == "model_drift"
    assert bia.get("/predictions/stats").json()["models"] == []
    assert bia.post("/predictions/actuals", json={"model": "stores", "series": wrong}).status_code == 404
    assert (
        ana.get(f"/predictions/{live['forecast_id']}", params={"series": "norte"}).json()["forecasts"]["norte"][
            "actual"
        ]
        == [500.0] * 14
    )
    assert ana.get("/predictions/nothing").status_code == 404


def test_a_busy_or_full_catalog_has_an_error_of_its_own():
    from sqlalchemy.exc import IntegrityError, OperationalError

    full, busy = (
        OperationalError("x", None, Exception(text)) for text in ("database or disk is full", "database is locked")
    )
    assert [error.code for error in (ledger.readable(full), ledger.readable(busy)) if isinstance(error, VurError)] == [
        "ledger.full",
        "ledger.busy",
    ]
    assert isinstance(ledger.readable(IntegrityError("x", None, Exception())), IntegrityError)
