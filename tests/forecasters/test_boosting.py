"""XGBoost and linear regression: accurate, reproducible, safe with collinear columns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import panel_of, seasonal

from vur.forecasters.base import create, load_forecaster
from vur.forecasters.design import least_squares
from vur.forecasters.registry import algorithm, algorithms, load_object
from vur.forecasters.regression import Regression, importance
from vur.frequency import frequency
from vur.panel import Panel
from vur.stages.features import FeatureSpec
from vur.text import LANGUAGES, translate


def weekly(series: int = 2, n: int = 200) -> Panel:
    rng = np.random.default_rng(0)
    values = {f"s{i}": 10.0**i * seasonal(n, 7, level=20, swing=5, noise=1, seed=rng) for i in range(series)}
    return panel_of(values, start="2024-01-01")


ON_FEATURES = [id for id, entry in algorithms().items() if entry.family == "machine_learning"]


def test_algorithms_on_features_use_covariates_of_every_role():
    assert {"linear_regression", "ridge", "random_forest", "lightgbm", "xgboost"} <= set(ON_FEATURES)
    assert all(issubclass(load_object(algorithm(id).target), Regression) for id in ON_FEATURES)
    assert all(set(algorithm(id).covariates) == {"known_future", "past_only", "static"} for id in ON_FEATURES)


@pytest.mark.parametrize("id", [id for id in ON_FEATURES if id != "linear_regression"])
def test_every_search_space_lies_within_the_allowed_values(id):
    entry = algorithm(id)
    assert 1 <= len(entry.tunable) <= 6
    for name, space in entry.tunable.items():
        parameter = entry.parameters[name]
        assert space["min"] < space["max"] and parameter.accepts(space["min"]) and parameter.accepts(space["max"]), name
        assert space["min"] <= parameter.default <= space["max"], name


def test_learning_rate_and_penalties_are_searched_on_a_logarithmic_scale():
    for id, name in (
        ("ridge", "alpha"),
        ("lightgbm", "learning_rate"),
        ("xgboost", "learning_rate"),
        ("xgboost", "min_child_weight"),
    ):
        assert algorithm(id).parameters[name].tune["log"]


def test_the_parameters_of_xgboost_are_described_in_both_languages():
    for parameter in algorithm("xgboost").parameters.values():
        assert len({translate(parameter.meaning, language) for language in LANGUAGES}) == 2


@pytest.mark.parametrize("objective", ["l1", "l2", "huber"])
def test_xgboost_is_read_back_from_its_own_format_and_forecasts_the_same(objective, tmp_path):
    panel = weekly()
    model = create("xgboost", rounds=30, objective=objective).fit(panel)
    before = model.predict(40)
    model.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "forecaster.json",
        "regression.json",
        "history.parquet",
        "model.ubj",
    }
    loaded = load_forecaster(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(40), before, check_exact=True)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "model.ubj").read_bytes() == (tmp_path / "model.ubj").read_bytes()


def test_a_seed_decides_the_trees_of_xgboost():
    panel = weekly()
    one, same, other = (
        create("xgboost", rounds=30, seed=s).fit(panel).predict(10)["forecast"].to_numpy() for s in (0, 0, 1)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.slow
def test_xgboost_gives_the_same_trees_on_one_thread_and_on_two():
    panel = weekly(12, 300)
    one, two = (create("xgboost", rounds=20, workers=w).fit(panel).predict(14) for w in (1, 2))  # over 20,000 rows
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_xgboost_stops_between_two_rounds():
    from vur.forecasters.parallel import Stopped

    model, asked = create("xgboost", rounds=10_000), []
    model.stop = lambda: asked.append(1) or len(asked) > 5
    with pytest.raises(Stopped):
        model.fit(weekly())
    assert len(asked) == 6


def test_outliers_do_not_pull_the_forecast_of_xgboost():
    panel = weekly(1)
    spoilt = panel.with_frame(panel.frame.assign(y=panel.frame["y"].where(panel.frame.index % 40 != 7, 1000.0)))
    clean, pulled = (create("xgboost", rounds=60).fit(p).predict(7)["forecast"].to_numpy() for p in (panel, spoilt))
    assert np.abs(pulled - clean).max() < 12 and clean.max() < 30


def test_least_squares_on_collinear_columns_takes_the_shortest_weights():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    X = np.hstack([x, x, np.ones((60, 1)), np.zeros((60, 2))])
    weights, intercept = least_squares(X, x @ [1.0, 2, -3] + 5, np.full(60, 0.7))
    np.testing.assert_allclose(weights, [0.5, 1, -1.5, 0.5, 1, -1.5, 0, 0, 0], atol=1e-8)
    assert intercept == pytest.approx(5)
    weights, intercept = least_squares(np.zeros((10, 2)), np.arange(10.0), np.ones(10))
    assert np.array_equal(weights, [0, 0]) and intercept == 4.5


def test_least_squares_agrees_with_the_library_where_there_is_one_answer():
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(1)
    X, weight = rng.normal(size=(80, 4)), rng.uniform(0.5, 2, 80)
    y = X @ [1, -1, 2, 0.5] + rng.normal(size=80)
    weights, intercept = least_squares(X, y, weight)
    peer = LinearRegression().fit(X, y, weight)
    np.testing.assert_allclose(weights, peer.coef_, rtol=1e-8)
    assert intercept == pytest.approx(peer.intercept_)


def test_linear_regression_survives_collinear_columns():
    panel = weekly()
    copy = panel.frame.assign(twin=1.0, other=2.0)
    panel = Panel(copy, panel.freq, {"twin": "known_future", "other": "known_future"})
    X = pd.DataFrame(
        [
            {"unique_id": id, "ds": day, "twin": 1.0, "other": 2.0}
            for id in panel.ids
            for day in pd.date_range("2024-07-19", periods=14)
        ]
    )
    spec = FeatureSpec(lags=tuple(range(1, 29)), differences=tuple(range(1, 20)))
    forecast = (
        create("linear_regression", features=spec).fit(panel).predict(14, X)["forecast"].to_numpy().reshape(2, 14)
    )
    assert np.isfinite(forecast).all() and (np.abs(forecast / [[20], [200]] - 1) < 0.5).all()


def test_linear_regression_learns_an_effect_in_full_that_ridge_shrinks():
    rng, n = np.random.default_rng(0), 300
    price = rng.uniform(8, 12, n)
    y = 100 - 5 * (price - 10) + rng.normal(0, 0.1, n)
    panel = Panel(
        pd.DataFrame({"unique_id": "s", "ds": pd.date_range("2024-01-01", periods=n), "y": y, "price": price}),
        frequency("D"),
        {"price": "known_future"},
    )
    X = pd.DataFrame({"unique_id": "s", "ds": pd.date_range("2024-10-27", periods=5), "price": 11.0})
    effect = {}
    for id, parameters in (("linear_regression", {}), ("ridge", {"alpha": 1000.0})):
        model = create(id, **parameters).fit(panel)
        effect[id] = (model.predict(5, X)["forecast"] - model.predict(5, X.assign(price=10.0))["forecast"]).mean()
    assert effect["linear_regression"] == pytest.approx(-5, abs=0.2)
    assert effect["linear_regression"] < effect["ridge"] < 0


def test_importance_of_xgboost_names_what_matters(tmp_path):
    rng, panel = np.random.default_rng(0), weekly()
    promo, junk = rng.integers(0, 2, len(panel.frame)), rng.normal(size=len(panel.frame))
    frame = panel.frame.assign(y=panel.frame["y"] * (1 + 0.5 * promo), promo=promo, junk=junk)
    model = create("xgboost", rounds=40).fit(
        Panel(frame, panel.freq, {"promo": "known_future", "junk": "known_future"})
    )
    table = importance(model)
    assert table["importance"].sum() == pytest.approx(1) and table["feature"].iloc[0] == "promo"
    assert table.set_index("feature")["importance"]["junk"] < 0.1


def test_a_saved_model_holds_no_pickle(tmp_path):
    for id in ("xgboost", "linear_regression"):
        create(id, **({"rounds": 5} if id == "xgboost" else {})).fit(weekly()).save(tmp_path / id)
        json.loads((tmp_path / id / "forecaster.json").read_text(encoding="utf-8"))
    assert not [p for p in Path(tmp_path).rglob("*") if p.suffix in (".pkl", ".joblib", ".pickle")]
