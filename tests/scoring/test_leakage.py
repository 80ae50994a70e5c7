"""The leakage canary: honest forecasters pass; each kind of look-ahead is detected and named."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import flights

from vur.errors import VurError
from vur.forecasters.base import create
from vur.frequency import frequency
from vur.panel import Panel
from vur.scoring.leakage import DRAWS, corrupt, leakage_canary
from vur.stages.split import plan_split
from vur.stages.split.folds import Fold, SplitSpec, future_covariates, training_panel
from vur.text import LANGUAGES


@pytest.fixture(scope="module")
def panel() -> Panel:
    airports = flights()
    frame = airports.frame.assign(hub=airports.frame["unique_id"].str.lower())
    frame["friday"] = frame["ds"].dt.dayofweek == 4
    frame["sky"] = np.where(frame["rain"] > 0, "rain", "dry")
    roles = {"friday": "known_future", "hub": "static", "sky": "past_only"}
    return replace(airports, frame=frame, roles=airports.roles | roles)


@pytest.fixture(scope="module")
def plan(panel):
    return plan_split(panel, SplitSpec(horizon=14, folds=2))


def honest(id, **parameters):
    def forecast(panel, fold, plan):
        model = create(id, **parameters).fit(training_panel(panel, fold, plan))
        return model.predict(plan.gap + plan.horizon, future_covariates(panel, fold, plan))

    return forecast


RIDGE = honest("ridge")


@pytest.mark.parametrize(
    ("id", "parameters"),
    [
        ("ridge", {}),
        ("lightgbm", {"rounds": 30}),
        ("random_forest", {"trees": 10}),
        ("seasonal_naive", {}),
        ("theta", {}),
    ],
)
def test_honest_forecasters_pass(panel, plan, id, parameters):
    result = leakage_canary(panel, plan, honest(id, **parameters))
    assert result.passed and result.max_difference == 0 and result.series == 3, result.text()
    assert result.fold in {fold.number for fold in plan.folds}


def scaler_fitted_on_everything(panel, fold, plan):
    mean, spread = (
        panel.frame["unique_id"].map(panel.frame.groupby("unique_id")["y"].agg(how)) for how in ("mean", "std")
    )
    frame = RIDGE(panel.with_frame(panel.frame.assign(y=(panel.frame["y"] - mean) / spread)), fold, plan)
    by = panel.frame.groupby("unique_id")["y"].agg(["mean", "std"]).loc[frame["unique_id"]]
    return frame.assign(forecast=frame["forecast"].to_numpy() * by["std"].to_numpy() + by["mean"].to_numpy())


def centred_rolling_mean(panel, fold, plan):
    smooth = panel.frame.groupby("unique_id")["y"].transform(lambda y: y.rolling(7, center=True, min_periods=1).mean())
    return RIDGE(panel.with_frame(panel.frame.assign(y=smooth)), fold, plan)


def past_only_covariate_at_forecast_time(panel, fold, plan):
    frame = RIDGE(panel, fold, plan).merge(panel.frame[["unique_id", "ds", "temp"]], on=["unique_id", "ds"])
    return frame.assign(forecast=frame["forecast"] + 0.01 * frame["temp"]).drop(columns="temp")


def past_only_covariate_declared_known(panel, fold, plan):
    """The role is changed inside the forecaster, after the canary has read the panel."""
    roles = {**panel.roles, "wind": "known_future"}
    return RIDGE(replace(panel, roles=roles), fold, plan)


def text_covariate_at_forecast_time(panel, fold, plan):
    frame = RIDGE(panel, fold, plan).merge(panel.frame[["unique_id", "ds", "sky"]], on=["unique_id", "ds"])
    return frame.assign(forecast=frame["forecast"] * np.where(frame["sky"] == "rain", 0.9, 1.0)).drop(columns="sky")


def filled_backwards(panel, fold, plan):
    holes = panel.frame.assign(
        y=panel.frame["y"].where(panel.frame["ds"].dt.dayofweek != fold.cutoffs.iloc[0].dayofweek)
    )
    return RIDGE(panel.with_frame(holes.assign(y=holes.groupby("unique_id")["y"].bfill().ffill())), fold, plan)


def one_row_too_many(panel, fold, plan):
    moved = replace(fold, cutoffs=fold.cutoffs + pd.Timedelta(days=1))
    return RIDGE(panel, moved, plan)


def clipped_to_the_range_of_all_rows(panel, fold, plan):
    top = panel.frame.groupby("unique_id")["y"].max()
    frame = RIDGE(panel, fold, plan)
    return frame.assign(
        forecast=np.minimum(frame["forecast"], 1.0 * frame["unique_id"].map(top)) + 1e-9 * frame["unique_id"].map(top)
    )


LEAKY = [
    scaler_fitted_on_everything,
    centred_rolling_mean,
    past_only_covariate_at_forecast_time,
    past_only_covariate_declared_known,
    text_covariate_at_forecast_time,
    filled_backwards,
    one_row_too_many,
    clipped_to_the_range_of_all_rows,
]


@pytest.mark.parametrize("leaky", LEAKY, ids=lambda f: f.__name__)
def test_leaks_are_caught_and_named(panel, plan, leaky):
    result = leakage_canary(panel, plan, leaky)
    assert not result.passed and result.cause == "leak" and result.max_difference > 0, result
    assert all(len(result.text(language)) > 40 for language in LANGUAGES)
    assert result.where is None or result.where.split()[0] in panel.ids


def test_an_error_on_garbage_is_a_leak_and_one_on_true_data_propagates(panel, plan):
    def refuses_large_values(panel, fold, plan):
        if panel.frame["y"].max() > 1e4:
            raise ValueError("too large")
        return RIDGE(panel, fold, plan)

    def broken(panel, fold, plan):
        raise RuntimeError("broken")

    result = leakage_canary(panel, plan, refuses_large_values)
    assert (result.passed, result.cause) == (False, "error") and "too large" in result.where
    with pytest.raises(RuntimeError, match="broken"):
        leakage_canary(panel, plan, broken)


def test_a_forecaster_without_a_seed_is_unstable_not_leaky(panel, plan):
    noise = np.random.default_rng(0)

    def unseeded(panel, fold, plan):
        frame = RIDGE(panel, fold, plan)
        return frame.assign(forecast=frame["forecast"] + noise.normal(size=len(frame)))

    assert leakage_canary(panel, plan, unseeded).cause == "unstable"


def test_what_is_known_is_left_alone_and_what_is_not_is_garbage(panel, plan):
    fold = plan.folds[0]
    spoilt = corrupt(panel, fold.cutoffs).frame
    after = (panel.frame["ds"] > panel.frame["unique_id"].map(fold.cutoffs)).to_numpy()
    pd.testing.assert_frame_equal(spoilt[~after], panel.frame[~after])
    pd.testing.assert_frame_equal(
        spoilt[["unique_id", "ds", "friday", "hub"]], panel.frame[["unique_id", "ds", "friday", "hub"]]
    )
    for column in ("y", "temp", "wind", "sky", "cancelled"):
        assert (spoilt.loc[after, column] != panel.frame.loc[after, column]).mean() > 0.99, column
    assert spoilt["y"].notna().all() and spoilt.dtypes.equals(panel.frame.dtypes)
    assert spoilt.loc[after, "y"].min() < -1e5 and spoilt.loc[after, "y"].max() > 1e5


def test_only_a_few_series_are_run_and_a_plan_without_folds_is_refused(panel, plan):
    frame = pd.concat(
        [panel.frame[["unique_id", "ds", "y"]].assign(unique_id=panel.frame["unique_id"] + str(i)) for i in range(10)]
    )
    many = Panel(frame.sort_values(["unique_id", "ds"], ignore_index=True), panel.freq)
    seen = []

    def counting(panel, fold, plan):
        seen.append(len(panel.ids))
        return honest("naive")(panel, fold, plan)

    many_plan = plan_split(many, SplitSpec(horizon=7, folds=1))
    assert leakage_canary(many, many_plan, counting, max_series=4).passed and seen == [4, 4, 4]
    seen.clear()
    two = leakage_canary(many, plan_split(many, SplitSpec(horizon=7, folds=2)), counting)
    assert seen == [5, 5, 5, 2, 2], "two draws on the first fold, a third on the last with fewer series"
    assert (two.draws, two.folds, two.series) == (3, 2, 5)
    with pytest.raises(VurError) as caught:
        leakage_canary(many, replace(many_plan, folds=(), test=None), counting)
    assert caught.value.text("pt-BR") != caught.value.text("en")


def asking_whether_the_future_is_higher(panel, fold, plan):
    """True of a growing series and of garbage, which is large."""
    past = training_panel(panel, fold, plan).frame["y"].max()
    frame = honest("drift")(panel, fold, plan)
    return frame.assign(forecast=frame["forecast"] * (1.1 if panel.frame["y"].max() > past else 1.0))


def peeking_in_the_last_fold(panel, fold, plan):
    leaks = scaler_fitted_on_everything if fold.number == plan.folds[-1].number else RIDGE
    return leaks(panel, fold, plan)


def test_several_draws_and_folds_find_what_one_does_not(panel, plan):
    growing = pd.DataFrame(
        {"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=90), "y": 100.0 + np.arange(90)}
    )
    grown = Panel(growing, frequency("D"))
    cases = (
        (panel, plan, peeking_in_the_last_fold, (3, 2)),
        (grown, plan_split(grown, SplitSpec(horizon=7, folds=2)), asking_whether_the_future_is_higher, (2, 1)),
    )
    for data, split, leaky, found in cases:
        assert leakage_canary(data, split, leaky, draws=DRAWS[:1]).passed
        result = leakage_canary(data, split, leaky)
        assert not result.passed and result.cause == "leak" and (result.draws, result.folds) == found


def test_series_that_end_at_different_times_are_cut_at_their_own_end():
    frame = pd.DataFrame(
        {"unique_id": ["a"] * 60 + ["b"] * 60, "ds": [*range(60), *range(100, 160)], "y": np.arange(120) % 7.0}
    )
    panel = Panel(frame, frequency("1"))
    fold = Fold(1, pd.Series([49, 149], index=pd.Index(["a", "b"], name="unique_id")))
    spoilt = corrupt(panel, fold.cutoffs).frame
    assert (spoilt["y"] != frame["y"]).groupby(frame["unique_id"]).sum().tolist() == [10, 10]


def test_garbage_in_future_rows_leaves_known_columns_alone(panel):
    later = panel.frame.head(3).assign(ds=pd.date_range("2014-01-01", periods=3), y=np.nan)
    spoilt = corrupt(replace(panel, future=later), pd.Series(pd.Timestamp("2013-12-31"), index=panel.ids)).future
    assert (spoilt["friday"] == later["friday"]).all() and (spoilt["temp"] != later["temp"]).all()
