"""Shares of features add up to the forecast, and shuffling tells a driver from noise on rows the model never saw."""

import numpy as np
import pandas as pd
import pytest
from builders import daily_sales

from vur.errors import VurError
from vur.explain.attribution import (
    evaluation_rows,
    feature_group,
    feature_groups,
    feature_member,
    feature_shares,
    forecast_rows,
    pipeline_importance,
    row_shares,
    shuffle_importance,
)
from vur.forecasters.base import create
from vur.forecasters.ensemble import Ensemble
from vur.panel import Panel, make_panel
from vur.stages.features import FeatureSpec
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec

pytestmark = pytest.mark.slow

QUICK = {
    "ridge": {},
    "linear_regression": {},
    "lightgbm": {"rounds": 30},
    "xgboost": {"rounds": 30},
    "random_forest": {"trees": 10},
}
DAYS, AHEAD = 210, 21


def shops(seed: int = 0) -> tuple[Panel, pd.DataFrame]:
    """Daily sales with a week, a promotion worth 8, a column of noise, and what is known of the coming days."""
    levels = dict.fromkeys(("s0", "s1", "s2"), 14.0)
    frame = daily_sales(levels, DAYS, AHEAD, start="2023-01-02", growth=5, week=4, promo=8, noise=0.7, seed=seed)
    frame["noise"] = np.random.default_rng(seed + 100).normal(size=len(frame))
    frame["kind"] = np.where(frame["unique_id"] == "s0", "old", "new")
    panel = make_panel(frame, roles={"promo": "known_future", "noise": "known_future", "kind": "static"})
    return panel, panel.future


@pytest.fixture(scope="module")
def fitted() -> dict:
    panel, future = shops()
    return {"panel": panel, "future": future} | {id: create(id, **options).fit(panel) for id, options in QUICK.items()}


@pytest.mark.parametrize("id", QUICK)
def test_shares_add_up_to_every_step_of_the_forecast(fitted, id):
    model, future = fitted[id], fitted["future"]
    expected = model.predict(AHEAD, future)
    for series in ("s0", "s2"):
        shares = feature_shares(model, series, AHEAD, future, list(range(1, AHEAD + 1)))
        path = expected.loc[expected["unique_id"] == series, "forecast"].to_numpy()
        np.testing.assert_allclose(shares.sum(axis=1), path, rtol=1e-9)
        assert set(shares.columns) == {"level", "season", "covariate:promo", "covariate:noise", "static", "step"}


@pytest.mark.parametrize("id", QUICK)
def test_the_share_of_the_promotion_is_its_true_effect(fitted, id):
    """With and without promotion the shares differ by about 8; those of the noise column stay small."""
    model, future = fitted[id], fitted["future"]
    on, off = (feature_shares(model, "s0", 3, future.assign(promo=value)).iloc[-1] for value in (1, 0))
    assert on["covariate:promo"] - off["covariate:promo"] == pytest.approx(8, abs=2.5)
    assert abs(on["covariate:noise"]) < 1.2
    assert on["covariate:promo"] > 0 > off["covariate:promo"]


def test_shares_of_a_linear_model_are_exactly_its_coefficients(fitted):
    """Coefficient times deviation from the mean, category columns counted with the column they were made from."""
    model, behind = fitted["ridge"], forecast_rows(fitted["ridge"], "s1", 5, fitted["future"])
    base, shares = row_shares(model, behind.X[[4]], 5)
    place = list(model.names).index("promo")
    z = model.scaling.apply(behind.X[[4]])[0]
    assert shares[0, place] == pytest.approx(z[place] * model.weights[4, place])
    assert base[0] == pytest.approx(model.intercept[4], abs=1e-9)
    assert shares[0].sum() + base[0] == pytest.approx(float(model._step(behind.X[[4]], 5)[0]), rel=1e-12)


def test_missing_values_do_not_break_the_sum():
    """Short history leaves lags empty; every tree library sends them its own way."""
    panel, future = shops()
    short = panel.with_frame(panel.frame.groupby("unique_id").tail(30))
    for id in ("lightgbm", "xgboost", "random_forest"):
        model = create(id, **QUICK[id]).fit(short)
        new = panel.with_frame(panel.frame.groupby("unique_id").tail(11))
        model.update(new)
        behind = forecast_rows(model, "s0", 2, future)
        assert np.isnan(behind.X).any()
        forecast = model.predict(2, future).query("unique_id == 's0'")["forecast"].iloc[-1]
        assert feature_shares(model, "s0", 2, future).sum(axis=1).iloc[0] == pytest.approx(forecast, rel=1e-9)


def test_shares_that_do_not_add_up_are_refused(fitted, monkeypatch):
    model = fitted["lightgbm"]
    behind = forecast_rows(model, "s1", 2, fitted["future"])
    monkeypatch.setattr(type(model), "_step", lambda self, X, step: np.full(len(X), 1e3))
    with pytest.raises(VurError, match="LightGBM|lightgbm") as caught:
        row_shares(model, behind.X, 1)
    assert "previsão" in caught.value.text("pt-BR")


def test_groups_are_what_a_reader_knows():
    panel, _ = shops()
    model = create("lightgbm", rounds=5, features=FeatureSpec(country="BR")).fit(panel)
    named = dict(zip(model.names, feature_groups(model), strict=True))
    assert (
        named["holiday"] == "holidays"
        and named["lag7"] == "level"
        and named["dayofweek"] == "season"
        and named["promo"] == "covariate:promo"
    )
    assert (
        feature_group("sin_365.25_1", model.design) == "season"
        and feature_group("difference7", model.design) == "level"
    )


# --- importance by shuffling ---


@pytest.mark.parametrize("id", ["ridge", "lightgbm", "random_forest"])
def test_a_driver_ranks_first_and_the_interval_of_noise_contains_zero(id):
    panel, _ = shops(seed=4)
    pipeline = Pipeline(Candidate(id, id, QUICK[id])).fit(panel)
    found = pipeline_importance(
        pipeline, panel, plan_split(panel, SplitSpec(horizon=14, folds=2)), max_rows=1000, repeats=8
    )
    assert found.held_out and found.algorithm == id and found.rows <= 1000
    table = found.table.set_index("group")
    assert found.table["group"].iloc[0] == "covariate:promo" and table.loc["covariate:promo", "low"] > 0.5
    assert table.loc["season", "low"] > 0
    assert table.loc["covariate:noise", "low"] <= 0 <= table.loc["covariate:noise", "high"]
    assert (table["low"] <= table["increase"]).all() and (table["increase"] <= table["high"]).all()


def test_targets_lie_after_the_cutoff_only():
    """Changed targets after the cutoff change the evaluation rows; earlier ones only change features of the past."""
    panel, _ = shops()
    cutoffs = panel.frame.groupby("unique_id")["ds"].max() - pd.Timedelta("14D")
    model = create("ridge", steps=7).fit(
        panel.with_frame(panel.frame[panel.frame["ds"] <= panel.frame["unique_id"].map(cutoffs)])
    )
    everything = np.ones(len(panel.frame), bool)
    rows = evaluation_rows(model, panel, cutoffs, everything, max_rows=10_000)
    assert len(rows.y) == 3 * 14 * 7
    late = panel.frame["ds"] > panel.frame["unique_id"].map(cutoffs)
    changed = evaluation_rows(
        model,
        panel.with_frame(panel.frame.assign(y=panel.frame["y"].mask(late, 0.0))),
        cutoffs,
        everything,
        max_rows=10_000,
    )
    assert not np.allclose(rows.y, changed.y)
    assert len(evaluation_rows(model, panel, cutoffs, (~late).to_numpy(), max_rows=10_000).y) == 0


def test_importance_is_deterministic_and_depends_on_the_seed():
    panel, _ = shops()
    cutoffs = panel.frame.groupby("unique_id")["ds"].max() - pd.Timedelta("14D")
    model = create("ridge").fit(panel)
    rows = evaluation_rows(model, panel, cutoffs, np.ones(len(panel.frame), bool), 300)
    first = shuffle_importance(model, rows, 5, seed=1)
    pd.testing.assert_frame_equal(first, shuffle_importance(model, rows, 5, seed=1))
    assert not first["increase"].equals(shuffle_importance(model, rows, 5, seed=2)["increase"])


def test_importance_of_an_ensemble_is_of_its_heaviest_member_on_features():
    panel, _ = shops()
    light, line = create("lightgbm", rounds=5), create("ridge")
    together = Ensemble.of(
        [create("theta"), light, line], {"theta": 1.0, "lightgbm": 1.0, "ridge": 3.0}, "weighted"
    ).fit(panel)
    holder = type("Holder", (), {"forecaster": together})()
    assert feature_member(holder).id == "ridge"
    plain = type("Holder", (), {"forecaster": create("theta").fit(panel)})()
    assert feature_member(plain) is None


def test_importance_without_folds_says_that_the_model_was_trained_on_the_rows():
    panel, _ = shops()
    short = panel.with_frame(panel.frame.groupby("unique_id").tail(25))
    for data in (panel, short):
        found = pipeline_importance(Pipeline(Candidate("ridge", "ridge")).fit(data), data, None, repeats=3)
        assert found is not None and not found.held_out
