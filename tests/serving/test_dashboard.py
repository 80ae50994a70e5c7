"""The dashboard: statistics over periods, activity, tasks, alerts; each user sees their own."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from test_datasets import PT, both, kind, sent, table  # noqa: F401

from vur.serving.views.dashboard import sentence
from vur.store import database
from vur.store.catalog import (
    Activity,
    Alert,
    Alias,
    Dataset,
    Forecast,
    ForecastPoint,
    Job,
    Model,
    Promotion,
    Share,
    new_id,
    now,
)
from vur.store.events import raise_alert, record_activity


def add(*rows) -> None:
    """Add rows to the catalog."""
    with database.writing() as session:
        session.add_all(rows)


def model(person, name: str = "m", *, days: float = 1, family: str | None = None, **values) -> Model:
    """A trained model, some days old."""
    id, moment = new_id(), now() - timedelta(days=days)
    values = {"metrics": {}, "status": "trained", "tag": f"{name}:{id[:8]}"} | values
    return Model(
        id=id,
        owner_id=person.id,
        name=name,
        algorithm="naive",
        family=family or id,
        trained_at=moment,
        created_at=moment,
        **values,
    )


def crown(person, *moves: tuple[Model, float]) -> None:
    """Make models champions of one family, one after the other, so many days ago."""
    alias = Alias(id=new_id(), owner_id=person.id, family=moves[-1][0].family, model_id=moves[-1][0].id)
    add(*(found for found, _ in moves))
    add(alias)
    add(
        *(
            Promotion(alias_id=alias.id, model_id=found.id, user_id=person.id, created_at=now() - timedelta(days=days))
            for found, days in moves
        )
    )


def stats(person) -> dict:
    """The statistics."""
    answer = person.get("/dashboard/stats")
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- statistics ---


@both
def test_an_empty_catalog_gives_zeros_and_nulls(ana):
    body = ana.get("/dashboard/stats").json()
    assert body["active_models"] == body["total_datasets"] == body["active_alerts"] == 0
    assert (
        body["average_accuracy"] is None
        and body["trends"]["accuracy_vs_last_month"] is None
        and body["median_mase"] is None
    )
    assert body["trends"]["models_this_month"] == "0" and body["trends"]["new_alerts_today"] == "0"


@both
def test_statistics_compare_with_the_previous_period(ana):
    add(*(model(ana, days=days) for days in (1, 2, 29, 31, 45, 61)), model(ana, days=1, tag=None, status="failed"))
    for name in ("a.csv", "b.csv", "c.csv"):
        sent(ana, table(), name)
    with database.writing() as session:
        session.execute(
            update(Dataset).where(Dataset.filename == "a.csv").values(created_at=now() - timedelta(days=10))
        )
        raise_alert(session, ana.id, "many_rejects", name="x", rejected=1, rows=2)
    body = stats(ana)
    assert body["active_models"] == 6 and body["total_datasets"] == 3 and body["active_alerts"] == 1
    assert body["trends"] == {
        "models_this_month": "+1",
        "accuracy_vs_last_month": None,
        "datasets_this_week": "+1",
        "new_alerts_today": "1",
    }
    assert body["periods"]["models"] == {"current": 3, "previous": 2} and body["periods"]["datasets"] == {
        "current": 2,
        "previous": 1,
    }


@both
def test_accuracy_covers_the_champions_now_and_a_month_ago(ana):
    family = new_id()
    crown(
        ana,
        (model(ana, family=family, days=40, metrics={"smape": 12.0, "mase": 1.4}), 40),
        (model(ana, family=family, days=5, metrics={"smape": 8.0, "mase": 0.9}), 5),
    )
    crown(ana, (model(ana, days=50, metrics={"wape": 6.0, "mase": 0.7}), 50))
    crown(ana, (model(ana, days=2, metrics={"mase": 0.5}), 2))
    add(model(ana, metrics={"smape": 99.0}))
    body = stats(ana)
    assert body["champions"] == 3 and body["average_accuracy"] == 93.0 and body["median_mase"] == 0.7
    assert body["trends"]["accuracy_vs_last_month"] == "+2.0%", "a month ago the median error was 9"


def test_accuracy_is_never_negative(ana):
    crown(ana, (model(ana, metrics={"smape": 180.0}), 1))
    assert stats(ana)["average_accuracy"] == 0


# --- activity ---


@both
def test_activity_is_described_newest_first(ana):
    id = sent(ana, table())["dataset_id"]
    ana.delete(f"/datasets/{id}")
    body = ana.get("/dashboard/activity", headers=PT).json()
    first, second = body["activities"]
    assert (
        first["type"] == "dataset_deleted"
        and first["message"] == "Conjunto de dados vendas excluído"
        and first["status"] == "success"
    )
    assert (
        second["message"] == "Conjunto de dados vendas enviado: 60 linhas"
        and second["link"] == f"/datasets/{id}"
        and second["timestamp"].endswith("Z")
    )
    ids = [one["id"] for one in body["activities"]]
    assert all(type(id) is int and 0 <= id < 2**53 for id in ids) and len(set(ids)) == 2
    assert ana.get("/dashboard/activity").json()["activities"][0]["message"] == "Dataset vendas deleted"
    assert ana.get("/dashboard/activity", params={"type": "dataset_deleted"}).json()["total"] == 1
    assert ana.get("/dashboard/activity", params={"limit": 1, "page": 2}).json()["activities"][0]["id"] == second["id"]
    assert (
        ana.get("/dashboard/activity", params={"since": (now() + timedelta(days=1)).isoformat()}).json()["total"] == 0
    )
    assert ana.get("/dashboard/activity", params={"since": "2024-01-01T00:00:00"}).status_code == 422


def test_a_text_that_cannot_be_filled_does_not_break_the_page(ana):
    add(
        Activity(owner_id=ana.id, kind="never_heard_of", values={}),
        Activity(owner_id=ana.id, kind="dataset_deleted", values={}),
        Alert(owner_id=ana.id, kind="never_heard_of", values={}),
    )
    assert {row["message"] for row in ana.get("/dashboard/activity").json()["activities"]} == {
        "never heard of",
        "dataset deleted",
    }
    assert ana.get("/dashboard/alerts").json()["items"][0]["message"] == "never heard of"


# --- tasks ---


def tasks(person, **headers) -> dict[str, dict]:
    """The recommended tasks by type."""
    body = person.get("/dashboard/tasks", headers=headers).json()
    assert body["total"] == len(body["tasks"])
    order = [("high", "medium", "low").index(task["priority"]) for task in body["tasks"]]
    assert order == sorted(order)
    return {task["type"]: task for task in body["tasks"]}


@both
def test_a_dataset_without_a_model_is_a_task_until_it_has_one(ana):
    id = sent(ana, table())["dataset_id"]
    found = tasks(ana, **PT)
    assert (
        list(found) == ["train_model"]
        and found["train_model"]["link"] == f"/datasets/{id}"
        and "60 linhas" in found["train_model"]["reason"]
    )
    add(model(ana, dataset_id=id, dataset_number=1))
    assert tasks(ana) == {}


@both
def test_retraining_is_recommended_for_a_model_older_than_its_data(ana):
    id = sent(ana, table())["dataset_id"]
    family = new_id()
    add(
        model(ana, "vendas", family=family, days=9, dataset_id=id, dataset_number=1),
        model(ana, "vendas", family=family, days=2, dataset_id=id, dataset_number=1),
    )
    with database.writing() as session:
        session.execute(update(Dataset).values(number=3))
    found = tasks(ana)
    assert list(found) == ["retrain"] and "version 1 of vendas; the current one is 3" in found["retrain"]["reason"]
    add(model(ana, family=family, days=1, dataset_id=id, dataset_number=3))
    assert tasks(ana) == {}


@both
def test_a_failed_run_is_a_task_until_a_later_one_succeeds(ana):
    failed = model(ana, "vendas")
    add(failed)
    error = {"code": "split.too_short", "stage": "split", "data": {"needed": 9, "longest": 5, "least": 3}}
    add(
        Job(
            id="j1",
            owner_id=ana.id,
            kind="train",
            state="failed",
            model_id=failed.id,
            error=error,
            created_at=now() - timedelta(hours=2),
        )
    )
    found = tasks(ana, **PT)["failed_run"]
    assert (
        found["priority"] == "high"
        and "A divisão precisa de 9 passos" in found["reason"]
        and found["link"] == f"/models/{failed.id}/training/status"
    )
    add(Job(id="j2", owner_id=ana.id, kind="train", state="succeeded", model_id=failed.id))
    assert tasks(ana) == {}


def scored(person, found: Model, outcomes: list[tuple[float, float, float, float]]) -> None:
    """Forecasts with an 80% interval and known actuals: `forecast, low, high, actual`."""
    for number, (forecast, low, high, actual) in enumerate(outcomes):
        head = Forecast(
            id=new_id(),
            owner_id=person.id,
            kind="predict",
            model_id=found.id,
            tag=found.tag,
            horizon=1,
            n_series=1,
            freq="D",
        )
        add(head)
        add(
            ForecastPoint(
                forecast_id=head.id,
                owner_id=person.id,
                tag=found.tag,
                unique_id="a",
                target_at=now() + timedelta(days=number),
                horizon=1,
                forecast=forecast,
                quantiles={"80": [low, high]},
                actual=actual,
                scored_at=now(),
            )
        )


@both
def test_retraining_is_recommended_for_a_champion_worse_than_its_backtest(ana):
    good, wrong, narrow = (model(ana, name, metrics={"mae": 1.0}) for name in ("good", "wrong", "narrow"))
    for one in (good, wrong, narrow):
        crown(ana, (one, 1))
    scored(ana, good, [(10.0, 8.0, 12.0, 10.5)] * 20)
    scored(ana, wrong, [(10.0, 0.0, 30.0, 15.0)] * 20)
    scored(ana, narrow, [(10.0, 9.9, 10.1, 10.5)] * 20)
    found = tasks(ana, **PT)
    assert (
        set(found) == {"drift", "coverage"}
        and found["drift"]["object_id"] == wrong.id
        and "5 vezes" in found["drift"]["reason"]
    )
    assert (
        found["coverage"]["object_id"] == narrow.id
        and found["coverage"]["reason"] == "O intervalo de 80% conteve 0% de 20 valores reais."
    )


def test_rejected_rows_and_missing_future_values_are_tasks(ana):
    bad = sent(ana, table(30).replace(b"2024-01-05,104", b"2024-01-05,muito"), "bad.csv")["dataset_id"]
    promo = b"date,sales,promo\n" + b"\n".join(
        f"2024-01-{day:02},{day % 7},{day % 2 + 0.5}".encode() for day in range(1, 31)
    )
    future = sent(ana, promo + b"\n2024-01-31,,1.5", "promo.csv")["dataset_id"]
    ana.put(f"/datasets/{future}/config", json={"roles": {"promo": "known_future"}})
    assert "future_values" not in tasks(ana), "nothing is computed for a dashboard"
    ana.get(f"/datasets/{future}/statistics")
    found = tasks(ana)
    assert (
        found["many_rejects"]["object_id"] == bad
        and "1 rows could not be read; 29 rows could" in found["many_rejects"]["reason"]
    )
    assert (
        found["future_values"]["object_id"] == future
        and "promo" in found["future_values"]["reason"]
        and "for only 1 of" in found["future_values"]["reason"]
    )


def test_incomplete_and_untrained_pipelines_are_tasks(ana):
    id = sent(ana, table())["dataset_id"]
    ana.post("/pipelines", json={"name": "Vendas", "dataset_id": id})
    found = tasks(ana, **PT)
    assert (
        list(found) == ["continue_pipeline"]
        and found["continue_pipeline"]["reason"] == "A próxima etapa é: Visualização."
    )
    with database.writing() as session:
        from vur.store.catalog import Pipeline
        from vur.store.pipelines import STEPS

        session.execute(update(Pipeline).values(completed=list(STEPS)))
    assert list(tasks(ana)) == ["train_pipeline"]


# --- alerts ---


def test_an_alert_says_model_date_and_numbers_as_its_reader_does(ana):
    told = {"series": "A", "stamp": "2024-03-27", "value": 1900.5, "low": 1.5, "high": 2.0}
    with database.writing() as session:
        raise_alert(session, ana.id, "interval_left", about=("monitor", "1"), model="shops", **told)
        raise_alert(session, ana.id, "interval_left", about=("monitor", "2"), **told | {"stamp": "2024-03-27 13:30"})
    said = sorted(one["message"] for one in ana.get("/dashboard/alerts", headers=PT).json()["items"])
    assert said == [
        "shops: A está fora do intervalo de previsão em 27/03/2024: 1.900, esperado de 1,50 a 2.",
        "–: A está fora do intervalo de previsão em 27/03/2024, 13:30: 1.900, esperado de 1,50 a 2.",
    ]


@both
def test_an_alert_is_open_until_it_is_acknowledged(ana):
    body = sent(ana, table(30).replace(b"2024-01-05,104", b"2024-01-05,muito"))
    alert = ana.get("/dashboard/alerts", headers=PT).json()["items"][0]
    assert (
        alert["state"] == "open"
        and alert["message"] == "1 linhas de vendas foram rejeitadas, 29 foram lidas"
        and alert["object_id"] == body["dataset_id"]
    )
    assert stats(ana)["active_alerts"] == 1
    done = ana.post(f"/dashboard/alerts/{alert['id']}/acknowledge").json()
    assert (
        done["state"] == "acknowledged"
        and stats(ana)["active_alerts"] == 0
        and ana.get("/dashboard/alerts").json()["total"] == 0
    )
    assert ana.get("/dashboard/alerts", params={"state": "all"}).json()["total"] == 1
    again = ana.post(f"/dashboard/alerts/{alert['id']}/acknowledge").json()
    assert again["acknowledged_at"] == done["acknowledged_at"]
    with database.writing() as session:
        for number in range(3):
            raise_alert(session, ana.id, "many_rejects", about=("dataset", str(number)), name="x", rejected=1, rows=2)
    assert ana.post("/dashboard/alerts/acknowledge").json() == {"acknowledged": 3} and stats(ana)["active_alerts"] == 0


# --- permissions ---


@both
def test_each_user_sees_their_own_and_viewers_change_nothing(ana, bia, vera, root):
    id = sent(ana, table(30).replace(b"2024-01-05,104", b"2024-01-05,muito"), "segredo.csv")["dataset_id"]
    crown(ana, (model(ana, "segredo", dataset_id=id, dataset_number=0, metrics={"smape": 5.0}), 1))
    alert = ana.get("/dashboard/alerts").json()["items"][0]["id"]
    for path in ("/dashboard/stats", "/dashboard/activity", "/dashboard/tasks", "/dashboard/alerts"):
        assert "segredo" not in bia.get(path).text
    assert stats(bia)["active_models"] == stats(bia)["total_datasets"] == 0 and stats(bia)["average_accuracy"] is None
    assert bia.post(f"/dashboard/alerts/{alert}/acknowledge").status_code == 404 and bia.post(
        "/dashboard/alerts/acknowledge"
    ).json() == {"acknowledged": 0}
    assert (
        vera.post(f"/dashboard/alerts/{alert}/acknowledge").status_code == 403
        and vera.post("/dashboard/alerts/acknowledge").status_code == 403
    )
    assert stats(root)["total_datasets"] == 1 and "segredo" in root.get("/dashboard/activity").text
    add(Share(kind="dataset", object_id=id, user_id=bia.id))
    assert stats(bia)["total_datasets"] == 1 and bia.get("/dashboard/tasks").json()["total"] == 0, (
        "what is shared to look at is not hers to mend"
    )
    with database.writing() as session:
        record_activity(
            session, ana.id, "dataset_prepared", user_id=bia.id, about=("dataset", id), name="dado da Ana", version=2
        )
    assert bia.get("/dashboard/activity").json()["total"] == 1, "she did it herself"


@pytest.mark.slow
def test_a_dashboard_over_many_rows_answers_quickly(ana):
    import time

    add(*(model(ana, f"m{number}", days=number % 90, metrics={"smape": number % 30}) for number in range(2000)))
    add(*(Activity(owner_id=ana.id, kind="dataset_deleted", values={"name": "x"}) for _ in range(5000)))
    for path in ("/dashboard/stats", "/dashboard/activity", "/dashboard/tasks"):
        started = time.monotonic()
        assert ana.get(path).status_code == 200
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("kind", "values", "language", "words"),
    [
        ("model_trained", {"name": "m", "algorithm": "ensemble"}, "pt-BR", "Modelo m treinado (Combinação)."),
        (
            "model_configured",
            {"name": "m", "algorithm": "auto"},
            "en",
            "Model m was configured (chosen automatically).",
        ),
        ("dataset_uploaded", {"name": "d", "rows": 1488}, "pt-BR", "Conjunto de dados d enviado: 1.488 linhas"),
        ("dataset_uploaded", {"name": "d", "rows": 1}, "en", "Dataset d uploaded: 1 row"),
    ],
)
def test_activities_name_algorithms_and_count_in_words(kind, values, language, words):
    assert sentence(f"activity.{kind}", values, language) == words


def test_that_something_was_shared_is_said_to_whom_it_was_shared_with_alone(ana, bia, root):
    with database.writing() as session:
        record_activity(session, bia.id, "shared_dataset", user_id=ana.id, by="Ana")
    told = {who: who.get("/dashboard/activity").json()["activities"] for who in (ana, bia, root)}
    assert [len(told[who]) for who in (ana, bia, root)] == [0, 1, 0]
