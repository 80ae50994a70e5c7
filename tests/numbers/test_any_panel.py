"""Whatever the panel and the algorithms: a forecast that can be used, or a refusal that says why."""

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vur
from vur.errors import VurError

FREQUENCIES = ("YS", "QS", "MS", "ME", "W-MON", "D", "B", "h", "30min", "1")
ALGORITHMS = (
    "naive drift mean croston tsb theta log_theta recent_theta ces ridge linear_regression mstl holt_winters lightgbm "
    "random_forest arima ets"
).split()
EXAMPLES = int(os.environ.get("VUR_PROPERTY_EXAMPLES", "8"))


@dataclass(frozen=True)
class Shape:
    """How one series looks: its kind, length, distance of its end from the panel's end, and its unit."""

    kind: str
    length: int
    lag: int
    unit: float

    def values(self, rng: np.random.Generator) -> np.ndarray:
        """The series."""
        n, steps = self.length, np.arange(self.length)
        kinds = {
            "constant": lambda: np.full(n, 7.0),
            "zero": lambda: np.zeros(n),
            "noise": lambda: rng.normal(50, 5, n),
            "negative": lambda: rng.normal(-20, 9, n),
            "around_zero": lambda: rng.normal(0, 1, n),
            "seasonal": lambda: 100 + 30 * np.sin(2 * np.pi * steps / 12) + rng.normal(0, 2, n),
            "trend": lambda: 10 + 3.0 * steps + rng.normal(0, 1, n),
            "falling": lambda: 200 - 2.0 * steps + rng.normal(0, 1, n),
            "walk": lambda: 100 + np.cumsum(rng.normal(0, 3, n)),
            "demand": lambda: rng.poisson(0.3, n).astype(float),
            "lumpy": lambda: np.where(rng.random(n) < 0.2, rng.lognormal(3, 1, n), 0.0),
            "lognormal": lambda: rng.lognormal(3, 1, n),
            "step": lambda: np.where(steps < n // 2, 20.0, 120.0) + rng.normal(0, 1, n),
            "spiky": lambda: rng.normal(50, 3, n) + 5000.0 * (rng.random(n) < 0.05),
            "last_spike": lambda: np.r_[rng.normal(50, 3, n - 1), 9000.0],
            "one_value": lambda: np.r_[np.zeros(n - 1), 5.0],
        }
        return kinds[self.kind]() * self.unit


KINDS = (
    "constant zero noise negative around_zero seasonal trend falling walk demand lumpy lognormal step spiky last_spike "
    "one_value"
).split()
SHAPES = st.builds(
    Shape,
    st.sampled_from(KINDS),
    st.integers(1, 70),
    st.sampled_from((0, 0, 0, 1, 3, 20)),
    st.sampled_from((1.0, 1.0, 1e-6, 1e6)),
)


def build_panel(shapes: list[Shape], freq: str, gaps: float, seed: int) -> pd.DataFrame:
    """`unique_id, ds, y` of the series; a share of `gaps` of the rows is missing."""
    rng = np.random.default_rng(seed)
    grid = np.arange(200) if freq == "1" else pd.date_range("2015-01-05", periods=200, freq=freq)
    frames = []
    for number, shape in enumerate(shapes):
        stamps = grid[100 - shape.length - shape.lag : 100 - shape.lag]
        frame = pd.DataFrame({"unique_id": f"s{number}", "ds": stamps, "y": shape.values(rng)})
        kept = rng.random(len(frame)) >= gaps
        kept[[0, -1]] = True
        frames.append(frame[kept])
    return pd.concat(frames, ignore_index=True)


def check_forecast(frame: pd.DataFrame, forecast: pd.DataFrame, horizon: int) -> None:
    """Assert what every forecast keeps: finite, ordered intervals, and inside ten times the range of the history."""
    assert set(forecast["unique_id"]) <= set(frame["unique_id"])
    assert (forecast.groupby("unique_id").size() == horizon).all()
    numbers = forecast.drop(columns=["unique_id", "ds"]).to_numpy(float)
    assert np.isfinite(numbers).all(), forecast[~np.isfinite(numbers).all(axis=1)]
    room = 1e-9 * np.abs(numbers).max() + 1e-300
    for inner, outer in (("forecast", "80"), ("80", "95")):
        low = forecast["forecast"] if inner == "forecast" else forecast[f"lo-{inner}"]
        high = forecast["forecast"] if inner == "forecast" else forecast[f"hi-{inner}"]
        inside = (forecast[f"lo-{outer}"] <= low + room) & (forecast[f"hi-{outer}"] >= high - room)
        assert inside.all(), forecast[~inside]
    for name, rows in forecast.groupby("unique_id"):
        y = frame.loc[frame["unique_id"] == name, "y"].dropna()
        size = max(float(y.max() - y.min()), 0.5 * float(y.abs().max()))
        steepest = float(y.diff().abs().median()) if len(y) > 2 else 0.0
        reach = 10 * size + horizon * steepest + 1e-12
        assert rows["forecast"].between(y.min() - reach, y.max() + reach).all(), (name, y.tolist(), rows)
        if (y >= 0).all():
            assert (rows["forecast"] >= 0).all() and (rows["lo-95"] >= 0).all(), (name, rows)


def run_any(frame: pd.DataFrame, freq: str, horizon: int, algorithms: list[str], **more: Any) -> pd.DataFrame | None:
    """The forecast of a whole run without notebook, or None where the data are refused with cause and remedy."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return vur.run(
                frame, freq=freq, horizon=horizon, algorithms=algorithms, folds=None, notebook=False, **more
            ).forecast
    except VurError as refusal:
        assert refusal.cause("en") and refusal.remedy("en"), refusal
        return None


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True
)
@given(
    shapes=st.lists(SHAPES, min_size=1, max_size=4),
    freq=st.sampled_from(FREQUENCIES),
    horizon=st.integers(1, 14),
    gaps=st.sampled_from((0.0, 0.0, 0.1, 0.5)),
    algorithms=st.lists(st.sampled_from(ALGORITHMS), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 999),
)
def test_any_panel_gives_a_usable_forecast_or_a_reason(
    shapes: list[Shape], freq: str, horizon: int, gaps: float, algorithms: list[str], seed: int
) -> None:
    """Short, constant, zero, negative, spiky, gappy series and unequal ends, through random sets of algorithms."""
    frame = build_panel(shapes, freq, gaps, seed)
    forecast = run_any(frame, freq, horizon, algorithms)
    if forecast is not None:
        check_forecast(frame, forecast, horizon)


@pytest.mark.parametrize("seed", [1, 2])
def test_forecasts_of_sums_and_parts_add_up(seed: int) -> None:
    """Random parts with a hierarchy: every total is the sum of its parts, in every forecast."""
    rng = np.random.default_rng(seed)
    shapes = [Shape(str(rng.choice(KINDS)), int(rng.integers(30, 60)), 0, 1.0) for _ in range(4)]
    frame = build_panel(shapes, "MS", 0.1, seed)
    forecast = run_any(frame, "MS", 6, ["theta", "mean"], hierarchy="all")
    assert forecast is not None, "four series of 30 months and more can be forecast"
    total = forecast[~forecast["unique_id"].isin(frame["unique_id"])].set_index("ds")["forecast"]
    parts = forecast[forecast["unique_id"].isin(frame["unique_id"])].groupby("ds")["forecast"].sum()
    assert np.allclose(total, parts.reindex(total.index), rtol=1e-6, atol=1e-6 * parts.abs().max())
