"""Continuous predictions with a real model, on sources that get new rows, change or disappear."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psycopg
import pytest
from builders import daily_sales
from jobkit import until, worker
from sqlalchemy import select, update

from vur.errors import VurError
from vur.jobs import monitors as rounds
from vur.jobs.monitors import run_due_monitors
from vur.jobs.new_rows import in_source
from vur.serving.schemas.monitoring import MonitorStart
from vur.settings import settings
from vur.store import database
from vur.store.catalog import (
    Activity,
    Alert,
    DatabaseConnection,
    Event,
    Forecast,
    ForecastPoint,
    Model,
    Monitor,
    Share,
    User,
    now,
)
from vur.store.feeds import connections, monitors, reader
from vur.store.models import champions
from vur.store.models.registry import adopt

pytestmark = pytest.mark.slow
on_sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
DAYS = 84


def sales(days: int = DAYS, start: int = 0) -> pd.DataFrame:
    """Two shops with a pattern of a week and little noise."""
    rows = daily_sales({"A": 100.0, "B": 300.0}, start + days, seed=7)
    rows = rows[rows.groupby("unique_id").cumcount() >= start].round({"y": 3})
    rows["ds"] = rows["ds"].dt.strftime("%Y-%m-%d")
    return rows[["ds", "unique_id", "y"]].set_axis(["day", "shop", "sold"], axis=1).reset_index(drop=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """A data home with a trained model, and its tag."""
    import vur

    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VUR_HOME", str(home / "home"))
        settings.cache_clear()
        run = vur.run(
            sales(),
            date="day",
            target="sold",
            series="shop",
            algorithms="seasonal_naive",
            horizon=7,
            folds=3,
            name="Lojas",
            notebook=False,
            out=home / "out",
        )
        yield home / "home", run.record["model"]
    settings.cache_clear()


@pytest.fixture
def model(catalog, trained, ana) -> str:
    """Id of Ana's trained model."""
    shutil.copytree(
        trained[0], catalog, dirs_exist_ok=True, ignore=shutil.ignore_patterns("catalog.sqlite*", "secrets.json")
    )
    with database.writing() as session:
        return adopt(session, trained[1], ana.id).id


class Source:
    """A SQLite file that rows come into, registered by a user."""

    def __init__(self, person, folder: Path, name: str = "shop"):
        folder.mkdir(exist_ok=True)
        self.path = folder / f"{name}.sqlite"
        self.run("CREATE TABLE sales (day TEXT, shop TEXT, sold)")
        self.add(sales())
        answer = person.post(
            "/monitoring/databases",
            json={
                "name": name,
                "kind": "sqlite",
                "source": self.path.name,
                "table": "sales",
                "columns": {"date": "day", "target": "sold", "series": ["shop"]},
            },
        )
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]

    def run(self, *commands: str) -> None:
        with sqlite3.connect(self.path) as connection:
            for command in commands:
                connection.execute(command)
        connection.close()

    def add(self, rows: pd.DataFrame) -> None:
        with sqlite3.connect(self.path) as connection:
            rows.to_sql("sales", connection, index=False, if_exists="append")
        connection.close()


@pytest.fixture
def source(catalog, ana) -> Source:
    return Source(ana, catalog / "sources")


@pytest.fixture(autouse=True)
def own_rounds(monkeypatch) -> None:
    monkeypatch.setattr(rounds, "_rounds", [])


def start(person, model: str, source: Source, interval: float | None = 2) -> str:
    answer = person.post(
        "/monitoring/predictions/start",
        json={"model_id": model, "database_id": source.id, "interval_seconds": interval},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["monitor_id"]


def round_of(*ids: str) -> None:
    """One round of these monitors, as if they were due, by a worker."""
    with database.writing() as session:
        session.execute(update(Monitor).where(Monitor.id.in_(ids)).values(due_at=now()))
    run_due_monitors("worker")
    rounds.rounds().wait(60)


def monitor(person, id: str) -> dict:
    return person.get(f"/monitoring/predictions/{id}").json()


def rows(statement) -> list:
    with database.reading() as session:
        return list(session.scalars(statement))


def test_new_rows_are_scored_forecast_stored_and_published(model, source, ana):
    id = start(ana, model, source)
    round_of(id)
    first = monitor(ana, id)
    assert (first["status"], first["predictions"], first["error"]) == ("running", 1, None)
    assert first["last"]["origin"] == "2024-03-24" and first["next_run_at"] > first["last_run_at"]
    assert len(rows(select(ForecastPoint))) == 14

    round_of(id)
    assert monitor(ana, id)["predictions"] == 1, "nothing is new"
    source.add(sales(2, DAYS))
    round_of(id)
    second = monitor(ana, id)
    assert (second["predictions"], second["last"]["origin"], second["last"]["observed"], second["last"]["outside"]) == (
        2,
        "2024-03-26",
        4,
        0,
    )
    scored = rows(select(ForecastPoint).where(ForecastPoint.actual.is_not(None)))
    assert sorted((point.unique_id, point.horizon, point.actual) for point in scored) == sorted(
        (row.shop, (pd.Timestamp(row.day) - pd.Timestamp("2024-03-24")).days, row.sold)
        for row in sales(2, DAYS).itertuples()
    )
    heads = rows(select(Forecast).order_by(Forecast.created_at))
    assert [(head.kind, head.model_id, head.n_series) for head in heads] == [("monitor", model, 2)] * 2
    event = rows(select(Event).where(Event.type == "prediction").order_by(Event.id))[-1]
    assert event.owner_id == ana.id and event.data["monitor_id"] == id and event.data["forecast_id"] == heads[-1].id
    assert (
        event.data["forecasts"]["A"]["timestamps"][0] == "2024-03-27"
        and len(event.data["forecasts"]["A"]["forecast"]) == 7
    )

    late = sales(1, DAYS + 2)
    source.add(late[late["shop"] == "B"].assign(sold=900.0))
    round_of(id)
    third = monitor(ana, id)
    assert third["last"]["outside"] == 1 and third["last"]["origin"] == "2024-03-27"
    assert rows(select(Forecast).order_by(Forecast.created_at))[-1].n_series == 1, "only the series with a new value"
    alert = rows(select(Alert))[0]
    assert (alert.kind, alert.values["series"], alert.values["value"], alert.values["stamp"]) == (
        "interval_left",
        "B",
        900.0,
        "2024-03-27",
    )
    assert alert.values["low"] < alert.values["forecast"] < alert.values["high"] < 900
    assert [row.data["kind"] for row in rows(select(Event).where(Event.type == "alert"))] == ["interval_left"]


@on_sqlite
def test_a_forecast_moves_with_the_rows_of_the_source(model, source, ana):
    id = start(ana, model, source)
    new = sales(10, DAYS).assign(sold=lambda table: table["sold"] + 50)
    source.add(new)
    round_of(id)
    points = rows(select(ForecastPoint).where(ForecastPoint.unique_id == "A").order_by(ForecastPoint.horizon))
    assert [point.forecast for point in points] == pytest.approx(new[new["shop"] == "A"]["sold"].tolist()[-7:]), (
        "the last week of the source, not of the training"
    )
    assert points[0].target_at.date().isoformat() == "2024-04-04"


@on_sqlite
def test_a_promotion_applies_from_the_next_round(model, trained, source, ana):
    import vur

    with database.writing() as session:
        champions.promote(session, session.get_one(Model, model), ana.id)
    exact = ana.post(
        "/monitoring/predictions/start", json={"model_id": model, "database_id": source.id, "follow": False}
    ).json()
    assert exact["follow"] is False
    ana.post("/monitoring/predictions/stop", json={"monitor_id": exact["monitor_id"]})
    id = start(ana, model, source)
    assert monitor(ana, id)["follow"] is True, "what is started with a champion follows its family"
    round_of(id)
    assert monitor(ana, id)["last"]["model_version"] == trained[1]

    moved = vur.update_model(trained[1], sales(DAYS + 3)).tag
    with database.writing() as session:
        later = adopt(session, moved, ana.id)
        champions.promote(session, later, ana.id)
    source.add(sales(1, DAYS))
    round_of(id)
    found = monitor(ana, id)
    assert (found["last"]["model_version"], found["error"]) == (moved, None) and found["model_id"] == model
    assert rows(select(Forecast).order_by(Forecast.created_at))[-1].model_id == later.id


def test_a_monitor_on_postgresql(model, ana, root, postgresql):
    with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS rows_for_monitor")
        connection.execute("CREATE DATABASE rows_for_monitor")
    url = f"{postgresql}/rows_for_monitor"

    def add(table: pd.DataFrame) -> None:
        with psycopg.connect(url) as connection:
            connection.cursor().executemany("INSERT INTO sales VALUES (%s, %s, %s)", table.to_numpy().tolist())

    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE sales (day timestamptz, shop text, sold numeric(10, 3))")
    add(sales())
    made = root.post(
        "/monitoring/databases",
        json={
            "name": "Shop",
            "kind": "postgresql",
            "source": url,
            "table": "sales",
            "columns": {"date": "day", "target": "sold", "series": ["shop"]},
        },
    )
    with database.writing() as session:
        session.add(Share(kind="connection", object_id=made.json()["id"], user_id=ana.id, right="view"))
    id = ana.post(
        "/monitoring/predictions/start",
        json={"model_id": model, "database_id": made.json()["id"], "interval_seconds": 2},
    ).json()["monitor_id"]
    round_of(id)
    add(sales(1, DAYS))
    round_of(id)
    found = monitor(ana, id)
    assert (found["status"], found["predictions"], found["last"]["observed"], found["error"]) == ("running", 2, 2, None)


@on_sqlite
def test_a_source_that_disappears_and_recovers(model, source, catalog, ana):
    other = Source(ana, catalog / "sources", "other")
    id, healthy = start(ana, model, source), start(ana, model, other)
    round_of(id, healthy)
    away = source.path.rename(source.path.with_suffix(".away"))
    rests = []
    for _ in range(4):
        round_of(id, healthy)
        with database.reading() as session:
            row = session.get(Monitor, id)
            rests.append((row.due_at - row.last_run_at).total_seconds())
    failing = monitor(ana, id)
    assert (
        failing["status"] == "failing"
        and failing["error"]["code"] == "connections.no_file"
        and failing["error"]["failures"] == 4
    )
    assert rests == pytest.approx([4, 8, 16, 32], abs=0.5)
    assert [alert.kind for alert in rows(select(Alert))] == ["monitor_failed"], "one alert, however often it fails"
    assert monitor(ana, healthy)["status"] == "running"
    assert ana.get(f"/monitoring/databases/{source.id}").json()["status"] == "error"
    in_portuguese = ana.get(f"/monitoring/predictions/{id}", headers={"Accept-Language": "pt-BR"}).json()["error"][
        "detail"
    ]
    assert in_portuguese.startswith("Não há um arquivo shop.sqlite.")

    away.rename(source.path)
    source.add(sales(1, DAYS))
    round_of(id)
    well = monitor(ana, id)
    assert (well["status"], well["error"], well["predictions"]) == ("running", None, 2)
    assert rows(select(Alert))[0].resolved_at is not None
    assert "monitor_recovered" in [activity.kind for activity in rows(select(Activity))]
    assert ana.get(f"/monitoring/databases/{source.id}").json()["status"] == "connected"


@on_sqlite
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("ALTER TABLE sales RENAME COLUMN sold TO amount", "connections.column"),
        ("DROP TABLE sales", "connections.table"),
        ("UPDATE sales SET day = 'yesterday'", "panel."),
        ("UPDATE sales SET sold = 'many'", "panel."),
    ],
)
def test_a_changed_table_is_reported(model, source, ana, command, code):
    id = start(ana, model, source)
    round_of(id)
    source.add(sales(1, DAYS))
    source.run(command)
    round_of(id)
    failing = monitor(ana, id)
    assert failing["status"] == "failing" and failing["error"]["code"].startswith(code), failing["error"]
    if code == "panel.":
        told = failing["error"]["detail"]
        assert "in the source" in told and "pd." not in told and "frame[" not in told, told


def test_an_error_names_the_column_of_the_source():
    source = DatabaseConnection(columns={"date": "dia", "target": "vendas", "series": ["loja"]})
    saved = SimpleNamespace(head={"names": {"date": "day", "target": "sold", "series": ["shop"]}})
    wrong = VurError("panel.target_not_numeric", column="sold", row=3, value="many", count=1)
    assert "'vendas'" in in_source(wrong, source, saved).text()
    other = VurError("panel.empty")
    assert in_source(other, source, saved) is other


@on_sqlite
def test_an_invalid_value_stops_only_its_series_until_it_is_corrected(model, source, ana):
    id = start(ana, model, source)
    round_of(id)
    source.add(sales(1, DAYS))
    source.run(
        "UPDATE sales SET sold = 'broken' WHERE day = '2024-03-25' AND shop = 'B'",
        "INSERT INTO sales VALUES ('2024-03-25', 'unknown shop', 5)",
    )
    round_of(id)
    half = monitor(ana, id)
    assert (half["status"], half["last"]["observed"], half["last"]["skipped"], half["error"]["count"]) == (
        "running",
        1,
        1,
        1,
    )
    assert list(half["error"]["series"]) == ["B"] and "broken" in half["error"]["series"]["B"]
    source.run("UPDATE sales SET sold = 290 WHERE day = '2024-03-25' AND shop = 'B'")
    round_of(id)
    whole = monitor(ana, id)
    assert (whole["error"], whole["last"]["observed"], whole["predictions"]) == (None, 1, 3)


def test_a_monitor_is_leased_by_one_worker_and_by_another_after_it_died(model, source, ana):
    ids = [start(ana, model, source)]
    for number in range(5):
        with database.writing() as session:
            row = session.get(Monitor, ids[0])
            copy = Monitor(
                owner_id=ana.id,
                model_id=f"{number}",
                connection_id=source.id,
                interval_seconds=1,
                due_at=row.due_at,
                position={},
            )
            session.add(copy)
            session.flush()
            ids.append(copy.id)
    taken: list[tuple[str, str]] = []

    def take(name: str) -> None:
        for _ in range(6):
            with database.writing() as session:
                taken.extend(monitors.take_due(session, name, 2))

    threads = [threading.Thread(target=take, args=(f"worker {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(id for id, _ in taken) == sorted(ids)
    id, token = taken[0]
    with database.writing() as session:
        session.execute(update(Monitor).where(Monitor.id == id).values(due_at=now() - timedelta(seconds=1)))
        again = monitors.take_due(session, "another worker", 10)
        assert [found for found, _ in again] == [id]
        assert not monitors.move_on(session, id, token, 1, {"ends": {}}, 1), "the first one comes too late"
        assert monitors.move_on(session, *again[0], 1, {"ends": {}}, 1)


@on_sqlite
def test_a_long_round_renews_its_lease_and_a_stopped_one_is_discarded(model, source, ana, monkeypatch):
    id = start(ana, model, source)
    go = threading.Event()
    plain = rounds.read_rows
    monkeypatch.setattr(rounds, "read_rows", lambda *arguments: go.wait(20) and plain(*arguments))
    monkeypatch.setattr(rounds, "RENEW_SECONDS", 0)
    run_due_monitors("worker")
    with database.writing() as session:
        session.execute(update(Monitor).values(due_at=now() + timedelta(seconds=1)))
    run_due_monitors("worker")
    with database.reading() as session:
        assert session.get(Monitor, id).due_at > now() + timedelta(seconds=20)
    assert ana.post("/monitoring/predictions/stop", json={"monitor_id": id}).json()["status"] == "stopped"
    go.set()
    rounds.rounds().wait(30)
    found = monitor(ana, id)
    assert (found["status"], found["predictions"], found["next_run_at"]) == ("stopped", 0, None)
    assert rows(select(Event).where(Event.type == "prediction")) == []
    run_due_monitors("worker")
    rounds.rounds().wait(30)
    assert monitor(ana, id)["predictions"] == 0
    assert start(ana, model, source) == id, "started again, it is the same one"


@on_sqlite
def test_a_worker_that_dies_between_forecast_and_position_does_not_forecast_twice(model, source, ana, monkeypatch):
    id = start(ana, model, source)
    with monkeypatch.context() as broken:
        broken.setattr(monitors, "move_on", lambda *arguments, **options: 1 / 0)
        round_of(id)
    assert monitor(ana, id)["error"]["code"] == "monitors.unexpected" and len(rows(select(Forecast))) == 1
    round_of(id)
    found = monitor(ana, id)
    assert (found["status"], len(rows(select(Forecast))), found["last"]["forecast_id"]) == (
        "running",
        1,
        rows(select(Forecast))[0].id,
    )


@on_sqlite
def test_hanging_sources_leave_slots_for_the_others(model, source, catalog, ana, monkeypatch):
    go, plain = threading.Event(), rounds.read_rows
    with database.writing() as session:
        hanging = [
            Monitor(
                owner_id=ana.id,
                model_id=model,
                connection_id=source.id,
                interval_seconds=1,
                due_at=now() - timedelta(hours=1),
                state="failing",
                position={},
            )
            for _ in range(12)
        ]
        session.add_all(hanging)
    slow = {row.id for row in hanging}

    def read(source, saved, since):
        if current.id in slow:
            go.wait(20)
        return plain(source, saved, since)

    current = threading.local()
    run = rounds.Round.run

    def noted(self):
        current.id = self.monitor.id
        return run(self)

    monkeypatch.setattr(rounds.Round, "run", noted)
    monkeypatch.setattr(rounds, "read_rows", read)
    run_due_monitors("worker")
    id = start(ana, model, Source(ana, catalog / "sources", "other"))
    until = time.monotonic() + 15
    while monitor(ana, id)["predictions"] == 0 and time.monotonic() < until:
        time.sleep(0.1)
        run_due_monitors("worker")
    assert monitor(ana, id)["predictions"] == 1 and not go.is_set()
    go.set()
    rounds.rounds().wait(60)


@on_sqlite
def test_a_real_worker_follows_a_source_and_another_takes_over_when_it_is_killed(
    model, source, ana, catalog, monkeypatch
):
    id = start(ana, model, source, interval=1)

    with worker(catalog) as first:
        until(lambda: monitor(ana, id)["predictions"] == 1)
        source.add(sales(1, DAYS))
        until(lambda: monitor(ana, id)["predictions"] == 2)
        first.kill()
        with database.writing() as session:  # as if it were killed in the middle of a round
            session.execute(update(Monitor).values(lease_owner="dead:1", due_at=now() + timedelta(seconds=4)))
    source.add(sales(1, DAYS + 1))
    with worker(catalog):
        until(lambda: monitor(ana, id)["predictions"] == 3)
    assert len(rows(select(ForecastPoint).where(ForecastPoint.actual.is_not(None)))) == 2 + 4, (
        "of the first forecast, then of the first two"
    )
    assert monitor(ana, id)["status"] == "running" and rows(select(Alert)) == []


@on_sqlite
def test_rights_end_with_the_account_and_with_the_share(model, source, ana, bia):
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model, user_id=bia.id, right="view"))
        session.add(Share(kind="connection", object_id=source.id, user_id=bia.id, right="view"))
    id = start(bia, model, source)
    round_of(id)
    assert monitor(bia, id)["status"] == "running"
    with database.writing() as session:
        session.query(Share).filter(Share.kind == "connection").delete()
    round_of(id)
    assert monitor(bia, id)["error"]["code"] == "api.not_found"
    with database.writing() as session:
        session.get(User, bia.id).active = False
    round_of(id)
    with database.reading() as session:
        assert session.get(Monitor, id).error["code"] == "monitors.owner"


@on_sqlite
def test_a_null_interval_means_the_usual_one(model, source, ana):
    id = start(ana, model, source, interval=None)
    usual = MonitorStart.model_fields["interval_seconds"].default
    assert monitor(ana, id)["interval_seconds"] == usual


@on_sqlite
def test_what_cannot_be_started(model, source, ana, bia, vera):
    def ask(person, **changes) -> tuple[int, str]:
        answer = person.post(
            "/monitoring/predictions/start",
            json={"model_id": model, "database_id": source.id, "interval_seconds": 2} | changes,
        )
        return answer.status_code, answer.json()["code"]

    assert ask(bia) == (404, "api.not_found") and ask(vera) == (403, "api.forbidden")
    assert (
        ask(ana, model_id="none")
        == ask(ana, database_id="none")
        == ask(ana, pipeline_id="none")
        == (404, "api.not_found")
    )
    for wrong in (0, 0.5, -1, 1e9, "soon"):
        assert ask(ana, interval_seconds=wrong) == (422, "api.invalid")
    with database.writing() as session:
        untrained = Model(owner_id=ana.id, name="x", algorithm="naive", family="x")
        session.add(untrained)
    assert ask(ana, model_id=untrained.id) == (409, "models.not_trained")
    id = start(ana, model, source)
    assert ask(ana) == (409, "monitors.exists")
    assert ana.delete(f"/monitoring/databases/{source.id}").json()["code"] == "connections.in_use"
    assert bia.post("/monitoring/predictions/stop", json={"monitor_id": id}).status_code == 404
    assert (
        bia.get(f"/monitoring/predictions/{id}").status_code == 404
        and bia.get("/monitoring/predictions").json()["items"] == []
    )
    assert ana.get("/monitoring/predictions").json()["items"][0]["monitor_id"] == id
    assert ana.post("/monitoring/predictions/stop", json={"monitor_id": id}).status_code == 200
    source.path.unlink()
    assert ask(ana) == (422, "connections.no_file")
    assert ana.delete(f"/monitoring/predictions/{id}").status_code == 204
    assert ana.delete(f"/monitoring/databases/{source.id}").status_code == 204


@on_sqlite
def test_a_source_whose_series_columns_differ_is_reported(model, source, ana):
    ana.put(f"/monitoring/databases/{source.id}", json={"columns": {"date": "day", "target": "sold"}})
    id = start(ana, model, source)
    round_of(id)
    assert monitor(ana, id)["error"]["code"] == "monitors.series_columns"


@on_sqlite
def test_only_rows_since_the_position_are_read(model, source, ana, monkeypatch):
    read: list[int] = []
    plain = reader.Sql.read

    def counted(self, *arguments, **options):
        frame = plain(self, *arguments, **options)
        read.append(len(frame))
        return frame

    id = start(ana, model, source)
    round_of(id)
    source.add(sales(30, DAYS))
    round_of(id)
    monkeypatch.setattr(reader.Sql, "read", counted)
    round_of(id)
    assert read == [4], "of 228 rows the last two days of both shops"
    with database.reading() as session:
        assert connections.find(session, _who(ana), source.id).status == "connected"
        assert session.get(DatabaseConnection, source.id).version == 1


def _who(person):
    from vur.store.accounts.access import Principal

    return Principal(person.id, "analyst")
