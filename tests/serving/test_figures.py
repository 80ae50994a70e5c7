"""The figures of the dashboard over time, tasks and alerts as links to pages, champions' forecasts."""

from datetime import timedelta

from databases import both, kind  # noqa: F401 - a fixture
from sqlalchemy import update
from test_dashboard import add, crown, model
from test_datasets import sent, table
from test_model_health import forecast

from vur.store import database
from vur.store.catalog import Alert, Dataset, Forecast, ForecastPoint, Run, new_id, now
from vur.store.home import folder


def figures(person) -> dict:
    answer = person.get("/dashboard/figures")
    assert answer.status_code == 200, answer.text
    return answer.json()


@both
def test_a_figure_without_history_has_no_trend(ana):
    body = figures(ana)
    assert body["models"] == {"value": 0, "before": None, "change": None, "points": None}
    assert body["skill"]["value"] is None and body["live_skill"]["points"] is None
    sent(ana, table())
    assert figures(ana)["datasets"] == {"value": 1, "before": None, "change": None, "points": None}, "it began just now"


@both
def test_figures_have_the_history_of_the_catalog(ana, bia):
    family = new_id()
    crown(
        ana,
        (model(ana, family=family, days=20, metrics={"skill": 0.1}), 20),
        (model(ana, family=family, days=5, metrics={"skill": 0.4}), 5),
    )
    crown(ana, (model(ana, days=9, metrics={"skill": 0.2}), 9))
    moment = now()
    add(
        Alert(owner_id=ana.id, kind="x", created_at=moment - timedelta(days=40)),
        Alert(owner_id=ana.id, kind="x", created_at=moment - timedelta(days=9), resolved_at=moment - timedelta(days=3)),
        Alert(
            owner_id=ana.id, kind="x", created_at=moment - timedelta(days=7), acknowledged_at=moment - timedelta(days=3)
        ),
    )
    body = figures(ana)
    assert (body["models"]["value"], body["models"]["before"], body["models"]["change"]) == (3, 1, 2)
    assert [point["value"] for point in body["models"]["points"]] == [1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3], (
        "from the first model on"
    )
    assert (body["skill"]["value"], body["skill"]["change"]) == (30.0, 20.0)
    assert [point["value"] for point in body["skill"]["points"]][-5:] == [15.0, 15.0, 30.0, 30.0, 30.0]
    assert [point["value"] for point in body["alerts"]["points"]][-6:] == [1, 2, 3, 3, 1, 1]
    assert len(body["alerts"]["points"]) == 16 and body["alerts"]["value"] == 1
    assert figures(bia)["models"]["value"] == 0 and figures(bia)["skill"]["value"] is None


@both
def test_live_skill_is_of_all_that_had_been_compared_at_each_time(ana):
    one, other = model(ana, metrics={"skill": 0.4}), model(ana)
    add(one, other)
    first = forecast(one, [(10.0, 11.0, 12.0)] * 4)
    forecast(one, [(10.0, 11.0, 14.0)] * 4, step=9)
    forecast(other, [(10.0, 11.0, 12.0), (10.0, None, None), (10.0, 11.0, None)])
    with database.writing() as session:
        early = update(ForecastPoint).where(ForecastPoint.forecast_id == first)
        session.execute(early.values(scored_at=now() - timedelta(days=5)))
    found = figures(ana)["live_skill"]
    assert [point["value"] for point in found["points"]] == [0, 0, 25.0], "two models now: 50 and 0 percent"
    assert (found["value"], found["change"], found["values"]) == (25.0, 25.0, 9)


def test_tasks_alerts_and_activities_name_their_page(ana):
    bad = sent(ana, table(30).replace(b"2024-01-05,104", b"2024-01-05,muito"), "bad.csv")["dataset_id"]
    places = {one["type"]: (one["page"], one["parameters"]) for one in ana.get("/dashboard/tasks").json()["tasks"]}
    assert places == {
        "many_rejects": ("data", {"dataset": bad, "view": "rejects"}),
        "train_model": ("pipeline", {"dataset": bad}),
    }
    alert = ana.get("/dashboard/alerts").json()["items"][0]
    assert (alert["page"], alert["parameters"]) == ("data", {"dataset": bad})
    activity = ana.get("/dashboard/activity").json()["activities"][0]
    assert (activity["page"], activity["parameters"]) == ("data", {"dataset": bad})


# --- champions ---


def champion(person, days: float, dataset_id: str | None, text: str | None):
    """A champion whose run forecast what `text` says; no run without it."""
    found = model(person, f"m{days:g}", days=days, dataset_id=dataset_id, metrics={"skill": 0.25}, run_id="r")
    found.facts, found.dataset_number = {"freq": "D"}, 1
    crown(person, (found, days))
    if text is not None:
        place = folder("results", found.id)
        place.mkdir(parents=True)
        (place / "forecast.csv").write_text(text, encoding="utf-8")
        with database.writing() as session:
            session.add(
                Run(run_id="r", model_id=found.id, owner_id=person.id, status="finished", folder=f"results/{found.id}")
            )
    return found


TWO = """unique_id,ds,forecast,lo-80,hi-80
Norte,2024-03-01,100,90,110
Norte,2024-03-02,102,91,
Sul,2024-03-01,10,9,11
Sul,2024-03-02,10,9,11
"""


def test_champions_forecasts_follow_the_last_actual_values(ana, bia):
    csv = table(60)  # to 29 February
    id = sent(ana, csv)["dataset_id"]
    assert ana.put(f"/datasets/{id}/config", json={"series_columns": ["region"]}).status_code == 200
    one = champion(ana, 1, id, TWO)
    gone = champion(ana, 2, None, None)
    items = ana.get("/dashboard/forecasts", params={"actuals": 6}).json()["items"]
    assert [item["model_id"] for item in items] == [one.id, gone.id]
    assert items[1]["forecast"] is None and items[1]["actual"] is None, "neither invented nor an error"
    found, actual = items[0]["forecast"], items[0]["actual"]
    assert (found["series"], found["series_count"], found["source"], items[0]["skill"]) == (
        "Norte",
        2,
        "training",
        0.25,
    )
    assert found["values"] == [100, 102] and found["intervals"]["80"] == {"lo": [90, 91], "hi": [110, None]}
    assert (
        found["stamps"] == [1709251200000, 1709337600000] and actual["stamps"][-1] == found["stamps"][0] - 2 * 86400000
    )
    assert actual["values"] == [100 + 54 % 7, 100 + 56 % 7, 100 + 58 % 7], "the days of its series in six steps"
    assert len(ana.get("/dashboard/forecasts?limit=1").json()["items"]) == 1
    assert bia.get("/dashboard/forecasts").json() == {"items": []}
    with database.writing() as session:
        session.execute(update(Dataset).values(config={}))
    assert ana.get("/dashboard/forecasts").json()["items"][0]["actual"] is None, "its series is no longer in the data"


def test_a_later_forecast_of_the_ledger_goes_before_that_of_the_training(ana):
    one = champion(ana, 1, None, TWO.replace("Norte", "norte"))
    forecast(one, [(7.0, None, None), (8.0, None, None)], "batch", 9)
    forecast(one, [(1.0, None, None)], "predict", -9)
    found = ana.get("/dashboard/forecasts").json()["items"][0]["forecast"]
    assert (found["source"], found["values"], found["series_count"]) == ("ledger", [7, 8], 2)
    with database.writing() as session:
        session.execute(update(Forecast).values(owner_id=ana.id, model_id="another"))
    assert ana.get("/dashboard/forecasts").json()["items"][0]["forecast"]["source"] == "training"
