"""The registry of algorithms: what `auto` tries, and a new forecaster, which needs only its entry and its class."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import panel_of
from samples import ROOT

from vur.forecasters.base import create
from vur.forecasters.baselines import Baseline
from vur.forecasters.ensemble import choose_members
from vur.forecasters.registry import PRESETS, REGISTRY, Algorithm, Auto, algorithm_name, algorithms, register
from vur.frequency import Frequency
from vur.panel import Panel
from vur.stages.model import ModelSpec, auto_algorithms, candidates

ORDER = (
    "naive seasonal_naive drift mean croston sba tsb adida imapa log_theta recent_theta theta ces ridge "
    "linear_regression mstl holt_winters lightgbm lightgbm_count xgboost arima random_forest ets ensemble prophet lstm "
    "network sarimax auto_arima"
)


def make(y: np.ndarray, series: int = 1, alias: str = "MS", season: int = 12, **roles: str) -> Panel:
    freq = Frequency(alias, season, (season,) if season > 1 else ())
    return panel_of({f"s{k}": y for k in range(series)}, freq, "1990-01-01", roles, **dict.fromkeys(roles, 1.0))


def wave(length: int) -> np.ndarray:
    return 50 + 10 * np.sin(np.arange(length) / 3)


PANELS = {
    "tiny": lambda: make(np.array([5.0, 6.0, 7.0]), alias="YS", season=1),
    "monthly": lambda: make(wave(120)),
    "at 300 rows": lambda: make(wave(300)),
    "above 300 rows": lambda: make(wave(301)),
    "intermittent": lambda: make(np.resize([0, 0, 3, 0, 0], 60)),
    "intermittent, 300 rows": lambda: make(np.resize([0, 0, 3, 0, 0], 300)),
    "every third month": lambda: make(np.array([0, 0, 3] * 20)),  # known from the season
    "nearly intermittent": lambda: make(np.array([0, 3, 3, 3] * 20)),
    "never positive": lambda: make(-wave(120)),
    "no season": lambda: make(wave(60), alias="YS", season=1),
    "weekly": lambda: make(wave(260), alias="W-MON", season=52),
    "covariates": lambda: make(wave(120), price="known_future"),
    "past covariates": lambda: make(wave(120), price="past_only"),
    "integers": lambda: make(wave(400), alias="1", season=1),
    "lstm from 3000": lambda: make(wave(1000), series=3),
    "just below 3000": lambda: make(wave(2999), alias="D", season=7),
    "20000 rows": lambda: make(wave(1000), series=20, alias="D", season=7),
    "20001 rows": lambda: make(wave(20001), alias="h", season=24),
    "50000 rows": lambda: make(wave(1000), series=50, alias="D", season=7, price="known_future"),
    "50001 rows": lambda: make(wave(50001), alias="h", season=24, price="known_future"),
    "500001 rows": lambda: make(wave(500001), alias="min", season=60),
    "600001 rows": lambda: make(wave(600001), alias="min", season=60),
    "unobserved": lambda: make(np.full(12, np.nan)),
}
EXPECTED = {  # fast, balanced, best
    "tiny": (
        "naive drift mean log_theta theta ces mstl",
        "naive drift mean log_theta recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive drift mean log_theta recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
    "monthly": (
        "naive seasonal_naive drift mean log_theta theta ces mstl",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
    "at 300 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "ets auto_arima",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "xgboost random_forest ets prophet auto_arima",
    ),
    "above 300 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "xgboost random_forest ets prophet auto_arima",
    ),
    "intermittent": (
        "naive seasonal_naive drift mean sba tsb adida",
        "naive seasonal_naive drift mean sba tsb adida imapa ets",
        "naive seasonal_naive drift mean croston sba tsb adida imapa ets",
    ),
    "intermittent, 300 rows": (
        "naive seasonal_naive drift mean sba tsb adida lightgbm_count",
        "naive seasonal_naive drift mean sba tsb adida imapa lightgbm_count ets",
        "naive seasonal_naive drift mean croston sba tsb adida imapa lightgbm_count ets",
    ),
    "every third month": (
        "naive seasonal_naive drift mean theta ces mstl",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
    "nearly intermittent": (
        "naive seasonal_naive drift mean theta ces mstl",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
    "never positive": (
        "naive seasonal_naive drift mean theta ces mstl",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
    "no season": (
        "naive drift mean log_theta theta ces mstl",
        "naive drift mean log_theta recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive drift mean log_theta recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
    "weekly": (
        "naive seasonal_naive drift mean log_theta theta ces mstl",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces mstl holt_winters ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces mstl holt_winters ets prophet",
    ),
    "covariates": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters ets auto_arima",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters ets prophet "
        "sarimax auto_arima",
    ),
    "past covariates": (
        "naive seasonal_naive drift mean log_theta theta ces mstl",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
    "integers": (
        "naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm ets",
        "naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm xgboost "
        "random_forest ets auto_arima",
    ),
    "lstm from 3000": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "xgboost random_forest ets prophet lstm auto_arima",
    ),
    "just below 3000": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "xgboost random_forest ets prophet auto_arima",
    ),
    "20000 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "xgboost random_forest ets prophet lstm auto_arima",
    ),
    "20001 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "xgboost random_forest ets prophet lstm auto_arima",
    ),
    "50000 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl holt_winters lightgbm "
        "xgboost random_forest ets prophet lstm sarimax auto_arima",
    ),
    "50001 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm xgboost "
        "random_forest ets lstm",
    ),
    "500001 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm ets",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm ets",
    ),
    "600001 rows": (
        "naive seasonal_naive drift mean log_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm",
        "naive seasonal_naive drift mean log_theta recent_theta theta ces ridge mstl lightgbm",
    ),
    "unobserved": (
        "naive seasonal_naive drift mean theta ces mstl",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets auto_arima",
        "naive seasonal_naive drift mean recent_theta theta ces mstl holt_winters ets prophet auto_arima",
    ),
}


@pytest.mark.parametrize("name", PANELS)
def test_auto_tries_the_same_candidates_on_every_kind_of_panel(name: str) -> None:
    panel = PANELS[name]()
    assert tuple(" ".join(auto_algorithms(panel, preset)) for preset in PRESETS) == EXPECTED[name]


def test_algorithms_are_listed_by_cost_then_family() -> None:
    assert " ".join(id for id in algorithms() if id in ORDER.split()) == ORDER


class RecentMedian(Baseline):
    """The median of the last twelve values, repeated."""

    id = "recent_median"

    def _fit(self, panel: Panel) -> None:
        super()._fit(panel)
        self.levels = np.array([[y.tail(12).median()] for _, y in panel.frame.groupby("unique_id")["y"]])


@pytest.fixture
def recent_median() -> Iterator[Algorithm]:
    rule = Auto("balanced", most=1_000, suits=lambda panel: panel.season > 1)
    name, target = "Median of the last year", f"{__name__}:RecentMedian"
    yield register(Algorithm("recent_median", name, "classical", "local", 0.002, target, auto=rule, robust=True))
    del REGISTRY["recent_median"]


def test_auto_follows_the_rule_of_a_new_forecaster(recent_median: Algorithm) -> None:
    assert "recent_median" not in auto_algorithms(make(wave(120)), "fast")
    assert "recent_median" in auto_algorithms(make(wave(120)), "balanced")
    assert "recent_median" not in auto_algorithms(make(wave(1_001)), "balanced")
    assert "recent_median" not in auto_algorithms(make(wave(120), season=1), "best")
    assert "recent_median" in [one.id for one in candidates(make(wave(120)), ModelSpec())]


def test_a_new_forecaster_is_known_by_name_and_trait(recent_median: Algorithm) -> None:
    scores = pd.DataFrame({"algorithm": ["recent_median", "auto_arima", "naive"], "mase": [0.8, 0.9, 0.5]})
    assert choose_members(scores, least=1) == ["recent_median"]  # robust: the bar that the other misses
    assert algorithm_name("recent_median", "pt-BR") == "Median of the last year"
    assert create("recent_median").fit(make(np.arange(24.0))).predict(2)["forecast"].tolist() == [17.5, 17.5]


def test_a_rule_may_be_any_function() -> None:
    register(Algorithm("odd", "Odd", "classical", "local", 0.1, "", auto=lambda panel, preset: panel.series == 3))
    try:
        assert [("odd" in auto_algorithms(make(wave(24), series=n))) for n in (2, 3)] == [False, True]
    finally:
        del REGISTRY["odd"]


NEW_MODULE = """
import numpy as np

from vur.forecasters.baselines import Baseline
from vur.forecasters.registry import Algorithm, Auto, register

register(Algorithm("recent_median", "Median of the last year", "classical", "local", 0.002,
                   "vur.forecasters.recent_median:RecentMedian", auto=Auto()))


class RecentMedian(Baseline):
    id = "recent_median"

    def _fit(self, panel):
        super()._fit(panel)
        self.levels = np.array([[y.tail(12).median()] for _, y in panel.frame.groupby("unique_id")["y"]])
"""


@pytest.mark.slow
def test_a_new_file_competes_in_a_run(tmp_path: Path) -> None:
    """One file in the folder of forecasters, and `vur run` shows it on the leaderboard by its name."""
    for name in ("vur", "nbs/runs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "vur" / "forecasters" / "recent_median.py").write_text(NEW_MODULE, encoding="utf-8")
    pd.DataFrame(
        {"month": pd.date_range("2018-01-01", periods=60, freq="MS").strftime("%Y-%m-%d"), "sales": wave(60).round(2)}
    ).to_csv(tmp_path / "sales.csv", index=False)
    command = textwrap.dedent("""
        import sys
        from vur.cli import main
        sys.exit(main(["run", "sales.csv", "--name", "sales", "--preset", "fast", "--out", "reports"]))
    """)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "VUR_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    (leaderboard,) = (tmp_path / "reports").rglob("leaderboard.csv")
    assert "recent_median" in pd.read_csv(leaderboard)["algorithm"].tolist()
    assert "Median of the last year" in leaderboard.with_name("report.html").read_text(encoding="utf-8")
