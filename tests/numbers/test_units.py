"""The same data in another unit give the same answer: kilos or tonnes, euros or cents, shares of 1 or of 100."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.explain.why import explain_point
from vur.forecasters.registry import algorithms
from vur.forecasters.statistical import METHODS, fit_series, forecast_one, unit_of
from vur.panel import Panel, make_panel
from vur.stages.features import FeatureSpec, resolve_features
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline
from vur.stages.preview.audit import audit
from vur.stages.preview.findings import audit_table
from vur.wording import digits_for, number

UNITS = (1e-9, 1e-6, 1e-3, 0.01, 1e3, 1e6, 1e9)
SLOW = ("prophet", "lstm", "network", "sarimax", "auto_arima", "random_forest")


def series(kind: int, seed: int, length: int) -> np.ndarray:
    """A walk, a season with noise, or growth with a spread that grows."""
    rng, t = np.random.default_rng(seed), np.arange(length)
    if kind == 0:
        return 50 + np.cumsum(rng.normal(0, 1.1, length))
    if kind == 1:
        return 10 + 2 * np.sin(2 * np.pi * t / 12) + rng.normal(0, 1, length)
    return np.exp(2 + 0.02 * t + rng.normal(0, 0.2, length))


def panel(unit: float, demand: bool = False) -> Panel:
    """Three monthly series of different kinds in a unit; or demand with many zeros."""
    frames = []
    for k in range(3):
        y = series(k, k, 72)
        if demand:
            y = np.where(np.random.default_rng(k).random(72) < 0.4, np.abs(y), 0.0)
        stamps = pd.date_range("2018-01-01", periods=72, freq="MS")
        frames.append(pd.DataFrame({"unique_id": f"s{k}", "ds": stamps, "y": y * unit}))
    return make_panel(pd.concat(frames))


def forecast(algorithm: str, unit: float, demand: bool = False) -> pd.Series:
    """The forecast of `algorithm` divided by the unit."""
    given = panel(unit, demand)
    pipeline = Pipeline(Candidate(algorithm, algorithm), features=resolve_features(FeatureSpec(), given), seed=1)
    return pipeline.forecast(given, 6)["forecast"] / unit


QUICK = [id for id in algorithms() if id not in SLOW]


@pytest.mark.parametrize("id", QUICK)
@pytest.mark.parametrize("demand", [False, True], ids=["series", "demand"])
def test_every_algorithm_gives_the_same_in_any_unit(id: str, demand: bool) -> None:
    here = forecast(id, 1.0, demand)
    for unit in (1e-6, 1e6):
        there = forecast(id, unit, demand)
        assert np.abs(there - here).max() <= 0.01 * here.abs().mean(), unit


@pytest.mark.slow
@pytest.mark.parametrize("id", [id for id in SLOW if id in algorithms() and id != "network"])
def test_every_slow_algorithm_gives_the_same_in_any_unit(id: str) -> None:
    here = forecast(id, 1.0)
    for unit in (1e-6, 1e6):
        assert np.abs(forecast(id, unit) - here).max() <= 0.01 * here.abs().mean(), unit


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("id", [id for id in METHODS if id not in SLOW])
def test_each_series_is_fitted_the_same_in_units_far_apart(id: str, seed: int) -> None:
    y = series(seed % 3, seed, (40, 60, 96)[seed % 3])
    if id in ("croston", "tsb"):
        y = np.where(np.random.default_rng(seed).random(len(y)) < 0.4, np.abs(y), 0.0)
    options = {name: one.default for name, one in algorithms()[id].parameters.items()}
    here = forecast_one(fit_series(id, y, [12], options).state, 12)
    for unit in UNITS:
        there = forecast_one(fit_series(id, y * unit, [12], options).state, 12) / unit
        assert np.abs(there - here).max() <= 0.005 * np.abs(here).mean(), unit


def test_a_unit_is_a_power_of_two_and_one_for_most_series() -> None:
    y = 1000 + 50 * np.random.default_rng(0).normal(size=60)
    assert unit_of(y) == unit_of(y * 1e3) == 1 and unit_of(np.full(9, 1e-7)) == 1 and unit_of(np.zeros(0)) == 1
    for factor in (1e-300, 1e-9, 1e-3, 1e9, 1e200):
        unit = unit_of(y * factor)
        assert np.frexp(unit)[0] == 0.5 and 16 <= np.abs(np.diff(y * factor / unit)).mean() < 32


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_a_whole_run_has_the_same_scores_and_winner(tmp_path: Path, unit: float) -> None:
    rng, t = np.random.default_rng(4), np.arange(72)
    y = 500 + 2 * t + 40 * np.sin(2 * np.pi * t / 12) + rng.normal(0, 15, 72)
    months = pd.date_range("2017-01-01", periods=72, freq="MS")
    given = {"horizon": 6, "folds": 2, "algorithms": ["theta", "recent_theta", "mstl"], "notebook": False}
    frames = [pd.DataFrame({"month": months, "v": y * each}) for each in (1.0, unit)]
    here, there = (vur.run(frame, **given, out=tmp_path) for frame in frames)
    boards = [run.leaderboard.set_index("algorithm")["mase"] for run in (here, there)]
    assert (boards[1].reindex(boards[0].index) / boards[0] - 1).abs().max() < 0.01
    assert here.record["winner"] == there.record["winner"]
    numbers = [run.forecast.drop(columns=["unique_id", "ds"]) for run in (here, there)]
    assert (numbers[1] / unit / numbers[0] - 1).abs().max(axis=None) < 0.01


def sales(unit: float, zeros: bool = False) -> Panel:
    """Daily sales of two shops with a promotion that is known a fortnight ahead."""
    frames = []
    for k in range(2):
        rng, t = np.random.default_rng(k), np.arange(154)
        promo = (rng.random(154) < 0.25).astype(float)
        y = 80 * (k + 1) + 10 * np.sin(2 * np.pi * t / 7) + 30 * promo + rng.normal(0, 4, 154)
        y = rng.poisson(np.where(promo > 0, 4.0, 1.0)) if zeros else y
        frame = pd.DataFrame({"unique_id": f"s{k}", "ds": pd.date_range("2024-01-01", periods=154), "promo": promo})
        frames.append(frame.assign(y=np.where(t < 140, y * unit, np.nan)))
    return make_panel(pd.concat(frames), roles={"promo": "known_future"})


@pytest.mark.parametrize("zeros", [False, True], ids=["sales", "counts"])
@pytest.mark.parametrize("id", ["theta", "ridge"])
def test_effects_of_columns_are_the_same_in_any_unit(id: str, zeros: bool) -> None:
    def made(unit: float) -> pd.Series:
        given = sales(unit, zeros)
        features = resolve_features(FeatureSpec(), given)
        pipeline = Pipeline(Candidate(id, id), features=features, adjusted=id == "theta").fit(given)
        return pipeline.predict(14)["forecast"] / unit

    here = made(1.0)
    for unit in (1e-9, 1e-6, 1e6):
        assert np.abs(made(unit) - here).max() <= 0.01 * here.abs().mean(), unit


@pytest.mark.parametrize("id", ["ets", "theta", "log_theta", "lightgbm", "mean"])
def test_explanations_have_the_same_shares_in_any_unit(id: str) -> None:
    def shares(unit: float) -> pd.Series:
        given = panel(unit)
        pipeline = Pipeline(Candidate(id, id), features=resolve_features(FeatureSpec(), given), seed=1).fit(given)
        found = explain_point(pipeline, given, "s1", pipeline.predict(3).query("unique_id == 's1'")["ds"].iloc[2])
        return found.table.set_index("what")["contribution"] / unit

    here = shares(1.0)
    for unit in (1e-9, 1e6):
        assert np.abs(shares(unit).sub(here, fill_value=0)).max() <= 0.01 * here.abs().max(), unit


def test_the_audit_finds_the_same_in_any_unit() -> None:
    def found(unit: float) -> list[tuple[str, str, int]]:
        given = panel(unit)
        wild = given.frame["y"].where(given.frame.index != 40, given.frame["y"] * 9)
        table = audit_table(audit(given.with_frame(given.frame.assign(y=wild))))
        return sorted(zip(table["code"], table["unique_id"].fillna(""), table["count"], strict=True))

    assert found(1.0) == found(1e-9) == found(1e6) and any(code == "outliers" for code, *_ in found(1.0))


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_small_numbers_are_shown_with_their_digits(language: str) -> None:
    for unit in (1e-3, 1e-6, 1e-9, 1e-12):
        values = np.array([1.234, 5.678]) * unit
        texts = [number(value, language, digits_for(values)) for value in values]
        assert all(any(c in "123456789" for c in text) for text in texts) and texts[0] != texts[1]
