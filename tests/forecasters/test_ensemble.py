"""Ensemble: combining, choosing members, and the forecaster that holds them."""

import numpy as np
import pandas as pd
import pytest
from builders import panel_of, seasonal
from hypothesis import given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.forecasters.base import create, forecast_panel, load_forecaster
from vur.forecasters.ensemble import (
    MEDIAN,
    STATISTICAL,
    Ensemble,
    choose_blend,
    choose_members,
    choose_weights,
    clearly_better,
    combine,
    loss_function,
)
from vur.forecasters.parallel import Stopped
from vur.panel import Panel


@pytest.fixture(scope="module")
def panel() -> Panel:
    long = seasonal(60, level=60, trend=0.3, swing=9, noise=2)
    return panel_of({"a": long, "b": [4, 5]}, "MS", "2018-01-01")


def long(**members: list[float]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame({"algorithm": name, "unique_id": "x", "ds": range(len(values)), "forecast": values})
            for name, values in members.items()
        ],
        ignore_index=True,
    )


def scores(**values: float) -> pd.DataFrame:
    return pd.DataFrame({"algorithm": list(values), "mase": list(values.values())})


def test_median_ignores_a_member_that_diverges():
    assert combine(long(a=[1, 2], b=[2, 3], c=[1e9, -1e9]))["forecast"].tolist() == [2, 2]


def test_weighted_mean_and_missing_members():
    table = long(a=[1.0, 1.0], b=[5.0, np.nan])
    assert combine(table, {"a": 3, "b": 1}, "weighted")["forecast"].tolist() == [2.0, 1.0]
    assert combine(table, method="weighted")["forecast"].tolist() == [3.0, 1.0]
    with pytest.raises(VurError, match="add up to zero"):
        combine(table, {"b": 1}, "weighted")


def test_folds_are_not_mixed_and_other_columns_stay():
    table = pd.concat(
        [long(a=[1.0], b=[3.0]).assign(fold=1, y=9.0, step=1), long(a=[5.0], b=[7.0]).assign(fold=2, y=8.0, step=1)]
    )
    combined = combine(table)
    assert combined[["fold", "forecast", "y", "step"]].values.tolist() == [[1, 2, 9, 1], [2, 6, 8, 1]]


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=6),
    method=st.sampled_from(["median", "weighted"]),
)
def test_a_combination_lies_between_its_members(values, method):
    table = long(**{f"m{k}": row for k, row in enumerate(values)})
    combined = combine(table, method=method)["forecast"].to_numpy()
    low, high = np.min(values, axis=0), np.max(values, axis=0)
    slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
    assert (combined >= low - slack).all() and (combined <= high + slack).all()


def test_members_are_near_the_best_and_baselines_stay_out():
    assert choose_members(scores(naive=0.5, ets=0.8, theta=0.82, ces=0.84, mstl=2.0)) == ["ets", "theta", "ces"]
    assert choose_members(scores(naive=1.0)) == ["naive"]
    assert choose_members(scores(ets=1.0, theta=np.nan, naive=2.0)) == ["ets", "naive"]
    assert choose_members(scores()) == []
    many = scores(ridge=0.1, lightgbm=0.1, ets=1.0, theta=1.0, ces=1.0)
    assert choose_members(many)[:2] == ["lightgbm", "ridge"]


def test_one_fold_is_enough_and_a_skipped_fold_disqualifies():
    table = pd.DataFrame(
        {"algorithm": ["ets", "theta", "ces", "ets", "theta"], "fold": [1, 1, 1, 2, 2], "mase": [1, 1.1, 0.1, 1, 1.1]}
    )
    assert choose_members(table) == ["ets", "theta"]
    assert choose_members(table[table["fold"] == 1])[0] == "ces"


def test_weights_add_up_and_favour_the_better():
    weights = choose_weights(scores(ets=1.0, theta=2.0), ["ets", "theta"])
    assert weights["ets"] == pytest.approx(0.8) and sum(weights.values()) == pytest.approx(1)
    assert sum(choose_weights(scores(ets=0.0, theta=1.0), ["ets", "theta"]).values()) == pytest.approx(1)
    assert choose_weights(scores(ets=1.0), ["ets", "new"])["new"] == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 12),
    st.integers(2, 5),
    st.sampled_from(["mase", "mae", "rmse", "smape", "wape"]),
)
def test_a_blend_is_never_worse_out_of_fold_than_the_best_single_model_by_more_than_chance(
    seed, series, members, metric
):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "fold": 0,
            "unique_id": np.repeat([f"s{k}" for k in range(series)], 6),
            "y": rng.normal(20, 5, 6 * series),
            "mase": np.repeat(rng.uniform(0.5, 3, series), 6),
            "rmsse": 1.0,
        }
    )
    wide = pd.DataFrame(
        {f"m{k}": rows["y"] + rng.normal(rng.normal(), 0.2 + 3 * rng.random(), len(rows)) for k in range(members)}
    )
    weights = choose_blend(wide, rows, list(wide), metric)
    columns = wide.assign(**{MEDIAN: wide.median(axis=1)})
    blend = sum(weight * columns[name].to_numpy() for name, weight in weights.items())
    scale, power = ("rmsse", 2) if metric == "rmse" else ("mase", 1)
    errors = [
        (((forecast - rows["y"]).abs() / rows[scale]) ** power).groupby(rows["unique_id"]).mean().to_numpy()
        for forecast in (*wide.T.to_numpy(), blend)
    ]
    loss = loss_function(rows, metric)
    best = min(range(members), key=lambda k: loss(wide[f"m{k}"].to_numpy()))
    assert weights == {f"m{best}": 1.0} or not clearly_better(errors[best], errors[-1], members)
    assert sum(weights.values()) == pytest.approx(1) and min(weights.values()) > 0


def test_one_far_better_model_stands_alone():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "fold": 0,
            "unique_id": np.repeat([f"s{k}" for k in range(20)], 6),
            "y": rng.normal(20, 5, 120),
            "mase": 1.0,
            "rmsse": 1.0,
        }
    )
    wide = pd.DataFrame(
        {name: rows["y"] + rng.normal(0, size, 120) for name, size in (("good", 0.1), ("bad", 5.0), ("worse", 6.0))}
    )
    assert choose_blend(wide, rows, list(wide)) == {"good": 1.0}


def test_fit_predict_save_load_update(panel, tmp_path):
    model = create("ensemble").fit(panel)
    assert [member.id for member in model.members] == list(STATISTICAL)
    members = np.array([member.predict(12)["forecast"] for member in model.members])
    assert model.predict(12)["forecast"].tolist() == np.median(members, axis=0).tolist()
    assert forecast_panel(create("ensemble"), panel, 12).equals(model.predict(12))
    loaded = load_forecaster(model.save(tmp_path))
    assert loaded.predict(30).equals(model.predict(30))
    assert loaded.update(panel).predict(4).equals(model.update(panel).predict(4))
    assert model.fallbacks["unique_id"].tolist() == ["b"]


def test_members_with_their_own_parameters_keep_them(panel, tmp_path):
    model = Ensemble.of(
        [create("theta", model="STM"), create("arima", order=[0, 1, 1]), create("seasonal_naive", season=6)],
        {"theta": 2.0, "arima": 1.0, "seasonal_naive": 1.0},
        "weighted",
    ).fit(panel)
    loaded = load_forecaster(model.save(tmp_path))
    assert loaded.predict(9).equals(model.predict(9))
    assert loaded.members[0].parameters["model"] == "STM" and loaded.weights == model.weights


def test_progress_covers_all_members_and_stop_stops(panel):
    seen = []
    forecast_panel(create("ensemble", members=["theta", "ces"]), panel, 3, progress=lambda *pair: seen.append(pair))
    assert seen[-1] == (4, 4) and seen == sorted(seen)
    with pytest.raises(Stopped):
        forecast_panel(create("ensemble"), panel, 3, stop=lambda: True)


@pytest.mark.parametrize("members", [[], ["nobody"], ["ensemble"]])
def test_wrong_members_are_refused(members):
    with pytest.raises(VurError):
        create("ensemble", members=members)
