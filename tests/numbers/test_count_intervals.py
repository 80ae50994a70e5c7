"""Intervals of counts: in any unit, at the steps that are open, and never without an end."""

import numpy as np
import pandas as pd
import pytest
from builders import panel_of
from scipy.stats import poisson

import vur
from vur.panel import make_panel
from vur.scoring.counts import PLACES, Counts, common_step, count_ends, count_units, fit_counts, fit_noise, units_of
from vur.scoring.intervals import calibrate, interval_scale

UNITS = (12.0, 1 / 12, 1e-6, 1e6, 0.37)
LEVELS = (50, 80, 95, 99.9)


def lumpy(seed: int, series: int = 6, rows: int = 60, freq: str = "MS", dead: int = 0) -> pd.DataFrame:
    """Orders of one to a hundred in a month of three; the last `dead` series stopped half-way."""
    rng, stamps = np.random.default_rng(seed), pd.date_range("2019-01-01", periods=rows, freq=freq)
    y = (rng.random((series, rows)) < 0.35) * np.ceil(rng.lognormal(2.5, 0.9, (series, rows)))
    y[series - dead :, rows // 2 :] = 0
    ids = np.repeat([f"s{k}" for k in range(series)], rows)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(stamps, series), "y": y.ravel()})


def folds_of(frame: pd.DataFrame, forecast: np.ndarray, unit: float, folds: int = 3, horizon: int = 4) -> pd.DataFrame:
    """The last rows of each series as folds with this `forecast` of every row of `frame`, and its noise."""
    rows = frame.assign(forecast=forecast * unit, y=frame["y"] * unit)
    last = rows.groupby("unique_id").tail(folds * horizon).reset_index(drop=True)
    back = last.groupby("unique_id").cumcount()
    return last.assign(fold=back // horizon, step=back % horizon + 1)


def intervals_in(frame: pd.DataFrame, forecast: np.ndarray, unit: float) -> pd.DataFrame:
    """Intervals of the rows of the folds, from a calibration on them, divided by `unit`."""
    panel = make_panel(frame.assign(y=frame["y"] * unit), freq=pd.infer_freq(frame["ds"].unique()))
    rows, noise, scales = (
        folds_of(frame, forecast, unit),
        fit_noise(panel),
        interval_scale(panel.frame, panel.freq.season),
    )
    rows = rows.join(noise.at(rows))
    found = calibrate(rows, scales, noise=noise, nonnegative=panel.nonnegative, integer=panel.integer).apply(
        rows, LEVELS
    )
    return found[[f"{end}-{level:g}" for level in LEVELS for end in ("lo", "hi")]] / unit


def means(frame: pd.DataFrame) -> np.ndarray:
    return frame.groupby("unique_id")["y"].transform("mean").to_numpy()


def last_values(frame: pd.DataFrame) -> np.ndarray:
    return frame.groupby("unique_id")["y"].shift(1).fillna(0.0).to_numpy()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("seed", range(3))
def test_demand_has_the_same_intervals_in_every_unit(unit, seed):
    frame = lumpy(seed, dead=1)
    here, there = intervals_in(frame, means(frame), 1.0), intervals_in(frame, means(frame), unit)
    np.testing.assert_allclose(there, here, rtol=0.01, atol=1e-9)
    assert (there["lo-80"] <= 1e-9).all()
    here, there = intervals_in(frame, last_values(frame), 1.0), intervals_in(frame, last_values(frame), unit)
    np.testing.assert_allclose(there, here, rtol=0.01, atol=1.0)  # ends are whole where values are


@pytest.mark.parametrize("seed", range(8))
def test_no_interval_is_without_end(seed):
    rng = np.random.default_rng(seed)
    frame = lumpy(
        seed,
        series=int(rng.integers(1, 8)),
        rows=int(rng.integers(20, 120)),
        freq=str(rng.choice(["MS", "W-SAT", "D"])),
    )
    if seed % 2:  # one large order in years
        frame.loc[frame.index[len(frame) // 3], "y"] = 10.0 ** rng.integers(3, 7)
    for forecast in (
        last_values(frame),
        np.zeros(len(frame)),
        means(frame),
        np.full(len(frame), 1e-9),
        1e6 * means(frame),
    ):
        found = intervals_in(frame, forecast, float(rng.choice([1.0, *UNITS])))
        assert np.isfinite(found.to_numpy()).all()
        assert (found["lo-99.9"] <= found["lo-50"]).all() and (found["hi-50"] <= found["hi-99.9"]).all()


@pytest.mark.parametrize("dispersion", [0.0, 1e-9, 0.3, 50.0, 1000.0])
@pytest.mark.parametrize("mean", [0.0, 1e-12, 0.1, 30.0, 1e9])
def test_a_distribution_has_ends_at_every_level(dispersion, mean):
    rng = np.random.default_rng(0)
    for fell in (PLACES, np.zeros(201), np.r_[np.zeros(200), 1.0], np.sort(rng.random(201)), np.ones(201)):
        counts = Counts({"a": dispersion}, fell, 40.0)
        ends = [count_ends(counts, np.array([mean]), np.array([dispersion]), level) for level in (1, *LEVELS, 99.9999)]
        assert np.isfinite(ends).all() and (np.array(ends) >= 0).all()


def test_the_last_value_is_no_mean():
    """Nothing sold last month does not promise that nothing will be sold: the interval covers what the folds saw."""
    frame = lumpy(5, series=20)
    found = intervals_in(frame, last_values(frame), 1.0)
    y = folds_of(frame, last_values(frame), 1.0)["y"]
    inside = float(((y >= found["lo-80"]) & (y <= found["hi-80"])).mean())
    assert 0.76 < inside < 0.95


def test_demand_in_no_unit_at_all_can_be_nothing():
    frame = lumpy(3)
    rough = frame.assign(y=frame["y"] * np.random.default_rng(0).lognormal(0, 0.2, len(frame)))
    panel = make_panel(rough, freq="MS")
    assert units_of(panel).isna().all() and len(count_units(panel)) == 6
    found = intervals_in(rough, means(rough), 1.0)
    assert (found["lo-80"] == 0).all() and np.isfinite(found.to_numpy()).all()
    in_grams = intervals_in(rough, means(rough), 1e-6)
    np.testing.assert_allclose(in_grams, found, rtol=0.01)


def test_a_unit_is_that_of_the_panel_where_it_fits():
    values = [[0, 8, 0, 12, 0, 4] * 4, [1, 0, 3, 0, 0, 2] * 4, [0, 1, 0, 5, 0, 0] * 4, [0, 0.5, 1, 0, 0, 1.5] * 4]
    panel = panel_of({f"s{k}": np.array(y, float) for k, y in enumerate(values)}, "MS")
    assert units_of(panel).to_dict() == {"s0": 1.0, "s1": 1.0, "s2": 1.0, "s3": 0.5}
    assert common_step(np.array([24.0, 36.0, 0.0])) == 12.0
    assert np.isnan(common_step(np.random.default_rng(0).random(50)))


@pytest.mark.parametrize("rate", [4.0, 20.0])
@pytest.mark.parametrize("opens", ["evening", "weekdays"])
def test_zeros_while_closed_say_nothing_of_the_open_steps(rate, opens):
    rng = np.random.default_rng(7)
    if opens == "evening":
        stamps = pd.date_range("2024-03-04", periods=24 * 35, freq="h")
        open_ = (stamps.hour >= 18) | (stamps.hour < 2)
    else:
        stamps = pd.date_range("2023-01-02", periods=7 * 40, freq="D")
        open_ = stamps.dayofweek < 3
    freq, guests = "h" if opens == "evening" else "D", np.where(open_, rng.poisson(rate, len(stamps)), 0.0)
    panel = panel_of(guests, freq, start=str(stamps[0].date()))
    counts = fit_counts(panel)
    if rate == 20.0:
        assert counts is None
        return
    rows = panel.frame[np.asarray(open_)]
    lo, hi = count_ends(counts, np.full(len(rows), rate), counts.of(rows["unique_id"]), 80)
    assert 0.75 < float((poisson.cdf(hi, rate) - poisson.cdf(lo - 1, rate)).mean()) < 0.93
    assert counts.dispersions[panel.ids[0]] < 0.05


@pytest.mark.parametrize("seed", [1, 2])
def test_explicit_zeros_at_closed_hours_do_not_widen_the_evening(seed):
    rng = np.random.default_rng(seed)
    stamps = pd.date_range("2024-03-04", periods=24 * 35, freq="h")
    open_ = (stamps.hour >= 18) | (stamps.hour < 2)
    frame = pd.DataFrame({"t": stamps, "v": np.where(open_, rng.poisson(20, len(stamps)), 0)})
    made = vur.run(frame, horizon=24, folds=3, algorithms="mean,mstl", notebook=False).forecast
    evening = made[(made["ds"].dt.hour >= 18) | (made["ds"].dt.hour < 2)]
    sure = (poisson.cdf(evening["hi-80"], 20) - poisson.cdf(evening["lo-80"] - 1, 20)).mean()
    assert 0.7 < sure < 0.96
    assert (made.drop(evening.index)["hi-95"] == 0).all()


def test_a_run_on_lumpy_weeks_has_finite_intervals():
    frame = lumpy(11, series=8, rows=90, freq="W-SAT", dead=1).astype({"y": int})
    made = vur.run(frame, horizon=6, algorithms="naive", notebook=False)
    assert np.isfinite(made.forecast.select_dtypes(float)).all(axis=None)
    assert np.isfinite(made.leaderboard[["width-80", "width-95", "wql"]]).all(axis=None)
