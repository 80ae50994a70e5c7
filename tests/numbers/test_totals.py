"""A total that is off by chance vetoes nobody, and no forecast of nothing takes its place."""

import math

import numpy as np
import pandas as pd
import pytest
from builders import panel_of

import vur
from vur.commands.run import print_summary
from vur.panel import Panel
from vur.scoring.metrics import is_reference
from vur.stages.model import ModelSpec, candidates
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training import Training, train
from vur.stages.training.choice import Rules, guarded, kept_totals, strayed, total_distance

HORIZON = 8


def spares(seed: int, quiet: int = 16, steps: int = 120, freq: str = "W-SAT") -> tuple[Panel, float]:
    """Twenty parts; the four large ones have no order in the last `quiet` steps. And their mean a step."""
    rng, series, mean = np.random.default_rng(seed), {}, 0.0
    for k in range(20):
        rate, size = rng.uniform(0.15, 0.35), 20.0 if k % 5 == 0 else 1.5
        y = (rng.random(steps) < rate) * np.ceil(size * rng.uniform(0.5, 1.5, steps))
        y[steps - (quiet if k % 5 == 0 else 2) :] = 0
        series[f"P{k:02}"] = y
        mean += rate * (size + 0.5)
    return panel_of(series, freq), mean


def trained(panel: Panel, *names: str) -> Training:
    model = ModelSpec(names)
    plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=2))
    return train(panel, plan, candidates(panel, model), model=model, clock=lambda: 0.0)


@pytest.mark.parametrize("freq", ["W-SAT", "MS"])
@pytest.mark.parametrize("seed", [1, 2, 4])
@pytest.mark.parametrize("names", [("tsb",), ("tsb", "sba", "mean")])
def test_quiet_folds_of_large_parts_do_not_end_in_a_forecast_of_nothing(
    seed: int, freq: str, names: tuple[str, ...]
) -> None:
    panel, mean = spares(seed, freq=freq)
    result = trained(panel, *names)
    board = result.leaderboard.set_index("algorithm")
    assert board.loc[list(names), "pbias"].min() > 50  # every total was far too high on these folds
    assert not is_reference(result.winner), result.choice
    total = result.pipeline.predict(HORIZON)["forecast"].sum()
    assert 0.4 * mean * HORIZON < total < 1.5 * mean * HORIZON


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_total_is_judged_against_chance_and_a_ratio_is_symmetric(scale: float) -> None:
    panel, _mean = spares(4)
    panel = panel.with_frame(panel.frame.assign(y=panel.frame["y"] * scale))
    ends = panel.frame.groupby("unique_id").tail(16)
    rate = ends["unique_id"].map(panel.frame.groupby("unique_id")["y"].mean())
    share = {"nothing": 0.0, "seventh": 0.14, "usual": 1.0, "fourfold": 4.0}
    rows = pd.concat([ends.assign(algorithm=name, forecast=rate * part) for name, part in share.items()])
    quiet, loud = rows.assign(y=rate * 0.5), rows.assign(y=rate)
    assert kept_totals(total_distance(quiet, panel)) == ["usual"]
    distance = total_distance(loud, panel)
    assert distance["nothing"] == -math.inf and distance["usual"] == 0
    assert distance["seventh"] < -0.9 and distance["fourfold"] > 0.9


def test_where_no_total_is_kept_the_least_biased_model_is_used_and_no_naive_forecast() -> None:
    panel, _mean = spares(5)
    distance = pd.Series({"tsb": math.log(2.0), "sba": math.log(2.4), "zero": math.log(0.14), "naive": math.log(1.6)})
    rules = Rules(panel, "rmsse", guard=True, horizon=HORIZON)
    assert guarded(["zero", "naive", "sba", "tsb"], distance, rules) == ([], "tsb", "least_biased")
    assert guarded(["naive"], distance, rules) == ([], "naive", "least_biased")
    kept = distance.where(distance.index != "naive", 0.0)
    assert strayed("naive", panel, HORIZON), "all parts end in a zero"
    assert guarded(["naive", "sba", "tsb"], kept, rules)[1:] == ("tsb", "least_biased")
    fair = kept.where(kept.index != "sba", 0.0)
    assert guarded(["naive", "tsb", "sba"], fair, rules)[1:] == ("sba", "strayed")


def test_a_seasonal_naive_forecast_of_a_summer_article_does_not_stray() -> None:
    month = np.arange(60) % 12
    summer = np.where((month >= 5) & (month < 8), 30.0, 0.0)
    panel = panel_of({"ice": summer, "fan": 2 * summer}, "MS")
    assert not strayed("seasonal_naive", panel, 6) and not strayed("seasonal_naive", panel, 12)
    assert strayed("naive", panel, 12) and not strayed("mean", panel, 12)


@pytest.mark.parametrize("metric", ["auto", "rmsse", "mape", "r2"])
def test_the_printed_leaderboard_has_the_column_that_it_ranks_on(metric: str, tmp_path, capsys) -> None:
    panel, _mean = spares(6, quiet=2)
    if metric in ("mape", "r2"):
        panel = panel.with_frame(panel.frame.assign(y=panel.frame["y"] + 50))
    result = vur.run(panel.frame, horizon=HORIZON, algorithms=["mean"], metric=metric, notebook=False, out=tmp_path)
    print_summary(result, "en")
    head = next(line for line in capsys.readouterr().out.splitlines() if "algorithm" in line and "chosen" in line)
    assert head.split().count(result.record["metric"]) == 1
    assert result.record["metric"] == {"auto": "rmsse"}.get(metric, metric)
