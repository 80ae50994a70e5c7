# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""Scored forecasts know what the seasonal naive forecast from the same origin had said, and so their skill."""

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select
from test_ledger import add_model, entry, happened, points
from trained_models import register, runs  # noqa: F401 - a fixture

from vur.store import database
from vur.store.accounts.access import Principal
from vur.store.catalog import ForecastPoint
from vur.store.forecasts import ledger, scoring
from vur.store.forecasts.ledger import Points


@pytest.fixture
def kind() -> str:
    return "sqlite"


def naive_values() -> list[float | None]:
    with database.reading() as session:
        return list(session.scalars(select(ForecastPoint.naive).order_by(ForecastPoint.id)))


def past(values: list[float], first: str) -> pd.DataFrame:
    return happened(values, first)


def test_the_naive_forecast_is_the_last_season_before_the_origin(ana):
    model = add_model(ana.id)
    ledger.record(entry(ana.id, points(np.full(9, 10.0)), model_id=model.id))
    week = past([1, 2, 3, 4, 5, 6, 7], "2023-12-25")
    actual = happened([11.0] * 9)
    scoring.score({model.id: model.tag}, actual, "D", past=lambda: week)
    assert naive_values() == [1, 2, 3, 4, 5, 6, 7, 1, 2], (
        "the second week repeats the last known one, not the forecast's"
    )
    with database.reading() as session:
        found = scoring.accuracy(scoring.scored_points(session, Principal(ana.id)))
    naive = np.abs(np.array([1, 2, 3, 4, 5, 6, 7, 1, 2]) - 11).mean()
    assert (found["naive_points"], found["naive_mae"]) == (9, pytest.approx(naive, abs=1e-5))
    assert found["skill"] == pytest.approx(1 - 1 / naive, abs=1e-5)


def test_values_that_scored_before_serve_a_later_origin(ana):
    model = add_model(ana.id)
    models = {model.id: model.tag}
    ledger.record(entry(ana.id, points(np.full(7, 10.0)), model_id=model.id))
    assert scoring.score(models, happened([20, 21, 22, 23, 24, 25, np.nan]), "D").points == 6
    assert naive_values() == [None] * 7, "nothing is known of the week before"
    ledger.record(entry(ana.id, points(np.full(7, 10.0), "2024-01-08"), model_id=model.id))
    scoring.score(models, happened([30] * 7, "2024-01-08"), "D", past=lambda: None)
    assert naive_values()[7:] == [20, 21, 22, 23, 24, 25, None]
    with database.reading() as session:
        found = scoring.accuracy(scoring.scored_points(session, Principal(ana.id)))
    assert (found["n"], found["naive_points"]) == (13, 6)
    assert found["naive_mae"] == 7.5 and found["skill"] == pytest.approx(1 - 20 / 7.5, abs=1e-5)


def test_months_and_counts_have_a_naive_forecast_too(ana):
    model = add_model(ana.id)
    ledger.record(entry(ana.id, points([1, 2], "2024-01", "M"), model_id=model.id, freq="MS"))
    year = pd.DataFrame(
        {"unique_id": "loja", "ds": pd.date_range("2023-01-31", periods=12, freq="ME"), "y": np.arange(12.0)}
    )
    scoring.score({model.id: model.tag}, happened([5.0, 6.0], "2024-01", "M"), "MS", past=lambda: year)
    assert naive_values() == [0.0, 1.0], "a season is a year, whatever the day of the month"
    ledger.record(
        entry(
            ana.id,
            Points(["n"], np.array([7]), np.array([[8, 9]]), np.array([[1.0, 2.0]]), {}),
            model_id=model.id,
            freq="1",
        )
    )
    counted = pd.DataFrame({"unique_id": "n", "ds": [6, 7, 8], "y": [5.0, 6.0, 7.0]})
    scoring.score({model.id: model.tag}, counted.iloc[2:], "1", past=lambda: counted.iloc[:2])
    assert naive_values()[2:] == [6.0, None], "without a season, the last value"


@pytest.mark.slow
def test_actual_values_of_a_real_model_are_compared_with_its_training_data(ana, runs):
    register(ana.id, runs["stores"])
    live = ana.post("/predictions/predict", json={"model": "stores", "series": ["norte"], "horizon": 7}).json()
    one = live["forecasts"]["norte"]
    values = [value + 1 for value in one["forecast"]]
    told = {"norte": {"timestamps": one["timestamps"], "values": values}}
    assert ana.post("/predictions/actuals", json={"model": "stores", "series": told}).json()["points"] == 7
    from trained_models import stores

    last = stores().query("loja == 'norte'")["vendas"].to_numpy()[-7:]
    assert naive_values() == pytest.approx(last.tolist())
    (found,) = ana.get("/predictions/stats").json()["models"]
    naive = np.abs(np.array(values) - last).mean()
    assert found["mae"] == 1 and found["naive_mae"] == pytest.approx(naive, abs=1e-5)
    assert found["skill"] == pytest.approx(1 - 1 / naive, abs=1e-5) and found["by_horizon"][0]["naive_points"] == 1
