# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""Predictions and batches of models whose stamps carry an offset from UTC."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from service import *  # noqa: F403 - fixtures
from trained_models import register

import vur
from vur.jobs import batch, lifecycle, queue
from vur.predictions import open_models
from vur.store.home import folder

pytestmark = pytest.mark.slow
QUICK: dict = {"algorithms": "seasonal_naive", "notebook": False, "folds": 2}


def isoformat(moments: pd.DatetimeIndex) -> list[str]:
    return [moment.isoformat() for moment in moments]


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_models, "_models", open_models.LruCache(open_models.MODELS))
    monkeypatch.setattr(queue, "enqueue", lambda ids: None)


def in_a_batch(person, model: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The forecasts of a batch on a file of `rows`."""
    file = {"file": ("new.csv", rows.to_csv(index=False))}
    answer = person.post("/predictions/batch/upload", data={"model": model}, files=file)
    spec = lifecycle.claim(answer.json()["job_id"], "tests")
    spec.folder.mkdir(parents=True, exist_ok=True)
    batch.work(spec, lambda *told, **data: None)
    return pd.read_csv(next(folder("results", spec.id).glob("forecast.csv")))


def test_days_of_a_local_calendar_are_predicted_in_it(ana, catalog: Path, tmp_path: Path) -> None:
    days = pd.date_range("2023-10-01", "2024-04-14", tz="Europe/Berlin")
    y = np.where(days.dayofweek == 6, 0.0, 50.0)
    table = pd.DataFrame({"day": isoformat(days), "orders": y})
    run = vur.run(table, horizon=7, target="orders", name="days", out=tmp_path, **QUICK)
    register(ana.id, run)
    coming = pd.date_range("2024-04-15", periods=3, tz="Europe/Berlin")
    ways = {
        "local": isoformat(coming),
        "utc": [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in coming.tz_convert("UTC")],
        "dates": [f"{day:%Y-%m-%d}" for day in coming],
    }
    for name, stamps in ways.items():
        rows = pd.DataFrame({"day": stamps, "orders": 60.0})
        answer = ana.post("/predictions/predict", json={"model": "days", "series": rows.to_dict("records")})
        assert answer.status_code == 200, answer.text
        (one,) = answer.json()["forecasts"].values()
        assert one["timestamps"][0][:10] == "2024-04-18", name
        assert one["forecast"] == [50, 50, 50, 0, 60, 60, 60], name
        found = in_a_batch(ana, "days", rows)
        assert found["ds"].str[:10].tolist() == [stamp[:10] for stamp in one["timestamps"]]
        assert found["forecast"].tolist() == one["forecast"]


def test_hours_are_predicted_in_the_zone_that_they_came_in(ana, catalog: Path, tmp_path: Path) -> None:
    hours = pd.date_range("2024-03-25", "2024-10-27 01:00", freq="h", tz="Europe/Berlin")  # then two comes twice
    table = pd.DataFrame({"t": isoformat(hours), "load": 100.0 + hours.hour})
    run = vur.run(table, horizon=3, target="load", name="hours", out=tmp_path, **QUICK)
    register(ana.id, run)
    (plain,) = ana.post("/predictions/predict", json={"model": "hours"}).json()["forecasts"].values()
    assert plain["timestamps"] == [
        "2024-10-27T02:00:00+02:00",
        "2024-10-27T02:00:00+01:00",
        "2024-10-27T03:00:00+01:00",
    ]
    coming = pd.date_range(hours[-1], periods=4, freq="h")[1:]
    for stamps in (isoformat(coming), isoformat(coming.tz_convert("UTC")), isoformat(coming.tz_convert("Asia/Tokyo"))):
        rows = pd.DataFrame({"t": stamps, "load": [1.0, 2.0, 3.0]})
        answer = ana.post("/predictions/predict", json={"model": "hours", "series": rows.to_dict("records")})
        (one,) = answer.json()["forecasts"].values()
        assert one["timestamps"][0] == "2024-10-27T04:00:00+01:00"
        assert in_a_batch(ana, "hours", rows)["ds"].tolist() == one["timestamps"]
