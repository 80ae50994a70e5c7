"""Intervals know the season and the level, a closed day has no width, and a step in the level counts once."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from builders import panel_of

from vur.panel import Panel, limits_of
from vur.scoring.intervals import Calibration, calibrate, interval_scale, score_range
from vur.scoring.spread import Spread, fit_spread
from vur.stages.model import Candidate, ModelSpec
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training import Training, fit_final, train
from vur.stages.training.evaluation import Setting, evaluate, fold_noise, fold_scales, forecast_fold
from vur.stages.training.leaderboard import residuals_of

HORIZON = {"MS": 12, "D": 7, "h": 24}
FIRST = {"MS": "2012-01-01", "D": "2022-01-03", "h": "2024-01-01"}


def noisy(freq: str, length: int, series: int, seed: int, sigma: Callable, mean: Callable | None = None) -> Panel:
    """Series around `mean(stamps)` with normal noise of `sigma(stamps)`, and one horizon more than `length` steps."""
    stamps = pd.date_range(FIRST[freq], periods=length + HORIZON[freq], freq=freq)
    rng = np.random.default_rng(seed)
    usual = np.full(len(stamps), 200.0) if mean is None else mean(stamps)
    return panel_of({f"s{k:02}": usual + rng.normal(0, sigma(stamps)) for k in range(series)}, freq, FIRST[freq])


def last_bands(panel: Panel, algorithm: str = "seasonal_naive", alone: bool = False, folds: int = 5) -> pd.DataFrame:
    """Intervals of the last horizon, which calibration has not seen; `alone` calibrates each series by itself."""
    horizon = HORIZON[panel.freq.alias]
    plan = plan_split(panel, SplitSpec(horizon=horizon, folds=folds, step=horizon, test=True))
    setting = Setting(panel, plan)
    rows = pd.concat(
        [
            forecast_fold(setting, Candidate(algorithm, algorithm), fold)[0].assign(fold=fold.number)
            for fold in (*plan.folds, plan.test)
        ]
    )
    ids = panel.ids
    return pd.concat([calibrated(panel, plan, rows, [id]) for id in ids] if alone else [calibrated(panel, plan, rows)])


def calibrated(panel: Panel, plan, rows: pd.DataFrame, ids: list[str] | None = None) -> pd.DataFrame:
    """The rows of the test with 80% and 95% intervals from the folds, for all series or for `ids` alone."""
    if ids is not None:
        panel = panel.with_frame(panel.frame[panel.frame["unique_id"].isin(ids)])
        rows = rows[rows["unique_id"].isin(ids)]
    scales = fold_scales(panel, plan, [*plan.folds, plan.test]).rename(columns={"interval": "size"})
    rows = rows.merge(scales[["fold", "unique_id", "size"]], on=["fold", "unique_id"]).rename(columns={"size": "scale"})
    noise = fold_noise(panel, plan)
    rows = rows.join(pd.concat([noise[number].at(part) for number, part in rows.groupby("fold")]))
    known, new = rows[rows["fold"] > 0], rows[rows["fold"] == 0]
    return calibrate(known, new.groupby("unique_id")["scale"].first()).apply(new)


def held(bands: pd.DataFrame, by: np.ndarray | pd.Series | None = None) -> dict:
    """Percent inside the 80% interval, by group."""
    inside = 100.0 * ((bands["y"] >= bands["lo-80"]) & (bands["y"] <= bands["hi-80"]))
    return {"all": inside.mean()} if by is None else inside.groupby(np.asarray(by)).mean().to_dict()


def trained(panel: Panel, *algorithms: str, **spec) -> Training:
    """A training of `algorithms` without an ensemble."""
    integer, nonnegative = limits_of(panel.frame)
    panel = Panel(panel.frame, panel.freq, integer=integer, nonnegative=nonnegative)
    names = [Candidate(name, name) for name in algorithms]
    return train(panel, plan_split(panel, SplitSpec(**spec)), names, model=ModelSpec(ensemble=False), clock=lambda: 0.0)


# --- season and level ---


def half_years(stamps: pd.DatetimeIndex) -> np.ndarray:
    return np.where(stamps.month <= 6, 2.0, 8.0)


def summer(stamps: pd.DatetimeIndex) -> np.ndarray:
    return 100 + 15 * np.sin(2 * np.pi * stamps.month / 12)


@pytest.mark.parametrize("alone", [False, True], ids=["panel", "one series"])
def test_calm_and_wild_half_years_each_keep_the_promise(alone):
    bands = pd.concat(
        [last_bands(noisy("MS", 120, 12 if alone else 20, seed, half_years, summer), alone=alone) for seed in (0, 1)]
    )
    by = held(bands, bands["ds"].dt.month <= 6)
    assert all(72 <= share <= 88 for share in by.values()), by
    assert 77 <= held(bands)["all"] <= 85


@pytest.mark.parametrize(
    ("freq", "length", "sigma", "group"),
    [
        ("D", 280, lambda t: np.where(t.dayofweek >= 5, 15.0, 4.0), lambda t: t.dt.dayofweek >= 5),
        (
            "h",
            24 * 28,
            lambda t: np.where((t.hour >= 8) & (t.hour < 20), 10.0, 2.0),
            lambda t: t.dt.hour.between(8, 19),
        ),
        ("MS", 120, lambda t: np.where(t.month == 12, 12.0, 3.0), lambda t: t.dt.month == 12),
    ],
    ids=["weekdays", "hours", "one month"],
)
def test_other_seasons_too(freq, length, sigma, group):
    bands = last_bands(noisy(freq, length, 40, 3, sigma))
    by = held(bands, group(bands["ds"]))
    assert all(70 <= share <= 90 for share in by.values()), by


def test_noise_that_grows_with_the_level_keeps_its_coverage_at_the_end():
    def grown(stamps):
        return 50 * 4 ** (np.arange(len(stamps)) / len(stamps))

    bands = last_bands(noisy("MS", 120, 40, 5, lambda t: 0.1 * grown(t), grown), "drift")
    assert 72 <= held(bands)["all"] <= 90


def test_a_spread_that_does_not_vary_is_not_made_to():
    panel = noisy("MS", 120, 20, 1, lambda t: np.full(len(t), 5.0), summer)
    at = fit_spread(panel.frame, "MS").at(panel.frame.assign(forecast=panel.frame["y"]))
    assert at["spread"].between(0.8, 1.25).mean() > 0.98 and at["lift"].between(0.8, 1.25).all()
    bands = last_bands(panel)
    width = (bands["hi-80"] - bands["lo-80"]).groupby(bands["ds"].dt.month).mean()
    assert width.max() / width.min() < 1.35


def test_a_fold_is_not_in_its_own_spread():
    panel = noisy("MS", 96, 2, 0, half_years)
    plan = plan_split(panel, SplitSpec(horizon=12, folds=3, test=True))
    cutoff = plan.folds[1].cutoffs.iloc[0]
    inside = (panel.frame["ds"] > cutoff) & (panel.frame["ds"] <= cutoff + pd.DateOffset(months=12))
    after = panel.frame["ds"] > plan.test.cutoffs.iloc[0]
    wild = panel.with_frame(panel.frame.assign(y=panel.frame["y"].where(~(inside | after), 1e5)))
    assert fold_noise(wild, plan)[2].to_dict() == fold_noise(panel, plan)[2].to_dict()
    assert fold_noise(wild, plan)[1].to_dict() != fold_noise(panel, plan)[1].to_dict()


def test_local_time_decides_which_hours_are_wild():
    stamps = pd.date_range("2024-01-01", periods=24 * 28, freq="h")
    local = stamps.tz_localize("UTC").tz_convert("America/New_York").hour
    y = 100 + np.random.default_rng(0).normal(0, np.where(local < 6, 1.0, 8.0))
    frame = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": y})
    found = fit_spread(frame, "h", "America/New_York")
    assert np.argmax(np.diff(found.pooled["slot"])) == 5  # from 5 to 6 o'clock there, not at 11 UTC
    at = found.at(frame.assign(forecast=100.0))["spread"].to_numpy()
    assert at[local < 6].mean() < 0.5 * at[local >= 6].mean()


# --- closed days ---


@pytest.mark.parametrize("day", [6, 2])
@pytest.mark.parametrize("algorithm", ["seasonal_naive", "ets"])
def test_a_weekday_that_is_always_zero_has_no_width(day, algorithm):
    rng = np.random.default_rng(day)
    stamps = pd.date_range(FIRST["D"], periods=210, freq="D")
    y = np.where(stamps.dayofweek == day, 0.0, 500 + rng.normal(0, 30, len(stamps)).round(1))
    frame = trained(panel_of(y, "D", FIRST["D"]), algorithm, horizon=7).pipeline.predict(7, levels=(80, 95))
    closed, width = frame["ds"].dt.dayofweek == day, frame["hi-95"] - frame["lo-95"]
    assert frame.loc[closed, "hi-95"].max() <= 50 and (width[~closed] > 80).all()


def test_closed_nights_and_weekends_have_no_width():
    stamps = pd.date_range(FIRST["h"], periods=24 * 7 * 6, freq="h")
    is_open = (stamps.hour >= 8) & (stamps.hour < 18) & (stamps.dayofweek < 5)
    y = np.where(is_open, 60 + np.random.default_rng(0).normal(0, 10, len(stamps)), 0.0)
    frame = panel_of(y, "h", FIRST["h"]).frame
    fixed = fit_spread(frame, "h").at(frame.assign(forecast=y))["fixed"].to_numpy()
    assert (fixed[~is_open] == 0).all() and np.isnan(fixed[is_open]).all()


def test_slow_demand_is_not_closed():
    rng = np.random.default_rng(1)
    panel = panel_of({f"s{k}": rng.poisson(0.2, 60).astype(float) for k in range(10)}, "MS")
    assert fit_spread(panel.frame, "MS").closed == {}


# --- steps in the level ---


@pytest.mark.parametrize("back", [3, 10, 15, 24])
@pytest.mark.parametrize("step", [100.0, -15.0, 1000.0])
def test_a_step_in_the_level_is_no_more_than_a_step(step, back):
    rng = np.random.default_rng(back)
    y = 20 + rng.normal(0, 1.5, 150) + np.where(np.arange(150) >= 150 - back, step, 0.0)
    frame = trained(panel_of(y, "D", FIRST["D"]), "theta", "ets", horizon=7).pipeline.predict(7, levels=(80, 95))
    reach = np.maximum(frame["hi-95"] - frame["forecast"], frame["forecast"] - frame["lo-95"])
    assert reach.max() <= 2 * abs(step), reach.max()


@pytest.mark.parametrize("algorithm", ["theta", "ets", "mstl", "drift", "lightgbm"])
def test_no_level_promises_steps_that_are_many_times_larger(algorithm):
    y = 20 + np.random.default_rng(4).normal(0, 1.5, 150) + np.where(np.arange(150) >= 135, 100.0, 0.0)
    panel, candidate = panel_of(y, "D", FIRST["D"]), Candidate(algorithm, algorithm)
    plan = plan_split(panel, SplitSpec(horizon=7))
    evaluation = evaluate(panel, plan, [candidate], clock=lambda: 0.0)
    errors = residuals_of(evaluation, algorithm, fold_scales(panel, plan), fold_noise(panel, plan))
    frame = fit_final(Setting(panel, plan), candidate, errors).predict(7, levels=(80, 95, 99.9))
    reach = [
        np.maximum(frame[f"hi-{level}"] - frame["forecast"], frame["forecast"] - frame[f"lo-{level}"]).max()
        for level in ("80", "95", "99.9")
    ]
    assert reach[0] < reach[1] <= 200 and reach[1] < reach[2] <= 300, reach


def test_two_steps_are_no_more_than_the_larger_one():
    y = 20 + np.random.default_rng(0).normal(0, 1.5, 180)
    y[100:] += 40
    y[165:] += 100
    frame = trained(panel_of(y, "D", FIRST["D"]), "theta", "ets", horizon=7).pipeline.predict(7, levels=(95,))
    assert np.maximum(frame["hi-95"] - frame["forecast"], frame["forecast"] - frame["lo-95"]).max() <= 200


def test_the_scale_forgets_a_step_but_not_noise():
    rng = np.random.default_rng(2)
    quiet = rng.normal(0, 1, 140)
    frame = pd.DataFrame({"unique_id": "a", "ds": range(140), "y": quiet + 200 * (np.arange(140) > 120)})
    assert interval_scale(frame, 7)["a"] < 1.5 * interval_scale(frame.assign(y=quiet), 7)["a"]
    assert interval_scale(frame.assign(y=10 * quiet), 7)["a"] == pytest.approx(
        10 * interval_scale(frame.assign(y=quiet), 7)["a"]
    )


# --- tails ---


@pytest.mark.parametrize("size", [12, 40, 99, 101, 400, 3000])
@pytest.mark.parametrize("draw", ["normal", "exponential", "heavy"])
def test_tails_are_drawn_out_and_never_cross(size, draw):
    rng = np.random.default_rng(size)
    made = {"normal": rng.normal, "exponential": rng.exponential, "heavy": lambda size: rng.standard_t(3, size)}[draw]
    scores = np.sort(made(size=size)) - (draw == "exponential")
    levels = [10, 50, 80, 90, 95, 97.5, 99, 99.5, 99.9, 99.99]
    lows, highs = np.array([score_range(scores, float(size), level) for level in levels]).T
    assert (np.diff(highs) >= 0).all() and (np.diff(lows) <= 0).all() and np.isfinite([lows, highs]).all()


def test_a_level_of_99_9_percent_is_neither_the_largest_score_nor_far_off():
    ends = [score_range(np.sort(np.random.default_rng(seed).normal(size=60)), 60.0, 99.9)[1] for seed in range(100)]
    assert 2.9 < np.median(ends) < 4.5  # 3.29 with all the data of the world


# --- a saved calibration ---


def test_a_calibration_from_before_the_spread_loads_and_applies():
    old = {"scores": [-1.0, 0.0, 1.0] * 10, "size": 30.0, "growth": 0.5, "scales": {"a": 2.0}, "factors": {}}
    loaded = Calibration.from_dict({**old, "nonnegative": False, "integer": False, "adapted": {}})
    ahead = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=3), "forecast": 10.0})
    width = loaded.apply(ahead, (80,)).eval("`hi-80` - `lo-80`").to_numpy()
    assert width == pytest.approx(4 * np.sqrt([1, 2, 3])) and loaded.noise is None


def test_a_series_that_is_new_takes_the_profile_of_the_panel():
    panel = noisy("MS", 120, 10, 0, half_years)
    found = fit_spread(panel.frame, "MS")
    ahead = pd.DataFrame(
        {"unique_id": "new", "ds": pd.date_range("2023-01-01", periods=12, freq="MS"), "forecast": 1.0}
    )
    spread = found.at(ahead)["spread"].to_numpy()
    assert spread[6:].min() > 2 * spread[:6].max()
    joined = Spread().joined(found, panel.ids)
    assert joined.at(ahead.assign(unique_id="s00")).equals(found.at(ahead.assign(unique_id="s00")))
