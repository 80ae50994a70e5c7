"""Demand is classified, and what is bought now and then is forecast by what it is worth, not by zeros."""

import numpy as np
import pandas as pd
import pytest

from vur.demand import DEMAND_CLASSES, demand_classes, demand_shares, mostly_intermittent
from vur.panel import Panel, make_panel


def panel_of(series: dict[str, np.ndarray], freq: str = "MS", start: str = "2018-01-01") -> Panel:
    """A panel of named series that begin together."""
    frames = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range(start, periods=len(y), freq=freq), "y": y})
        for name, y in series.items()
    ]
    return make_panel(pd.concat(frames), freq=freq)


def drawn(kind: str, rng: np.random.Generator, length: int = 200) -> np.ndarray:
    """A series of the class `kind`: demand in every step or in 3 of 10, of like or unlike amounts."""
    when = np.ones(length) if kind in ("smooth", "erratic") else rng.random(length) < 0.3
    what = 10 + rng.poisson(3, length) if kind in ("smooth", "intermittent") else np.ceil(rng.lognormal(1, 1.5, length))
    return when * what


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("freq", ["D", "W-SUN", "MS", "h"])
def test_each_class_is_recognised_at_every_frequency(seed: int, freq: str) -> None:
    rng = np.random.default_rng(seed)
    kinds = DEMAND_CLASSES[:4]
    table = demand_classes(panel_of({kind: drawn(kind, rng) for kind in kinds}, freq)).set_index("unique_id")
    assert table["demand_class"].to_dict() == {kind: kind for kind in kinds}
    assert table.loc["intermittent", "interval"] == pytest.approx(1 / 0.3, rel=0.25)


@pytest.mark.parametrize(
    ("values", "kind", "interval"),
    [
        (np.zeros(24), "intermittent", np.inf),
        (np.r_[np.zeros(20), 3, np.zeros(3)], "intermittent", 24),
        (np.array([3.0]), "smooth", 1),
        (np.array([0.0]), "intermittent", np.inf),
        (np.full(24, 7.0), "smooth", 1),
        (np.r_[np.zeros(30), np.arange(24) % 3 + 5.0], "smooth", 1),  # launched after 30 months
        (np.where(np.arange(60) % 3 == 0, 6.0, np.nan), "smooth", 1),  # what is missing is no zero
        (np.r_[-2.0, np.full(40, 5.0)], "smooth", 1),  # a return
        (np.r_[-10.0, -5, 0, 5, 10, -3] * 1.0, "not_demand", 1.5),
    ],
)
def test_edges(values: np.ndarray, kind: str, interval: float) -> None:
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2018-01-01", periods=len(values), freq="MS")})
    row = demand_classes(make_panel(frame.assign(y=values), freq="MS")).iloc[0]
    assert (row["demand_class"], row["interval"]) == (kind, interval)


def test_zeros_of_the_calendar_are_no_waiting_for_demand() -> None:
    rng = np.random.default_rng(3)
    days, hours = np.arange(210), np.arange(24 * 40)
    sundays = np.where(days % 7 == 6, 0, 5 + rng.poisson(20, 210)) * 1.0
    nights = np.where((hours % 24 >= 10) & (hours % 24 < 16), 5 + rng.poisson(20, 960), 0) * 1.0
    christmas = np.where(np.arange(120) % 12 == 11, 100.0 + rng.poisson(9, 120), 0)
    found = [panel_of({"a": sundays}, "D"), panel_of({"a": nights}, "h"), panel_of({"a": christmas})]
    assert [demand_classes(one)["interval"].iloc[0] for one in found] == [1, 1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_few_zeros_by_chance_are_no_calendar(seed: int) -> None:
    rng = np.random.default_rng(seed)
    panel = panel_of({f"p{i}": rng.poisson(rate, 120) * 1.0 for i, rate in enumerate(np.linspace(0.05, 0.3, 20))}, "D")
    table = demand_classes(panel)
    assert (table["interval"] > 2).all()
    assert mostly_intermittent(panel)


def test_class_of_a_panel_is_that_of_most_series_in_any_unit() -> None:
    rng = np.random.default_rng(4)
    series = {f"i{i}": drawn("lumpy", rng) for i in range(3)} | {f"s{i}": drawn("smooth", rng) for i in range(3)}
    assert not mostly_intermittent(panel_of(series))
    series["i3"] = drawn("intermittent", rng)
    shares = demand_shares(demand_classes(panel_of(series)))
    assert (shares["lumpy"], shares["smooth"], shares["intermittent"]) == (3 / 7, 3 / 7, 1 / 7)
    for unit in (1e-6, 1.0, 1e6):
        assert mostly_intermittent(panel_of({name: y * unit for name, y in series.items()}))
