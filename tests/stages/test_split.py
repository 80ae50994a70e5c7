"""Splits never let the future into the training part, whatever the panel and the specification."""

import json

import numpy as np
import pandas as pd
import pytest
from builders import flights, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.frequency import frequency
from vur.panel import Panel
from vur.stages.split import plan_split, split_table
from vur.stages.split.folds import SplitPlan, SplitSpec, future_covariates, training_panel, validation_frame


def made(lengths: list[int], ends: list[int], holes: list[int], alias: str = "D", seed: int = 0) -> Panel:
    """Series of the given lengths that end `ends` steps before a common end, with a hole at every `holes`-th row."""
    rng, grid = np.random.default_rng(seed), pd.date_range("2020-01-01", periods=260, freq=alias)
    parts = []
    for number, (length, end, hole) in enumerate(zip(lengths, ends, holes, strict=True)):
        stamps = grid[260 - end - length : 260 - end]
        y = rng.normal(10, 1, length)
        y[1:-1][::hole] = np.nan if hole < 50 else y[1:-1][::hole]
        parts.append(pd.DataFrame({"unique_id": f"s{number}", "ds": stamps, "y": y, "price": rng.random(length)}))
    return Panel(pd.concat(parts, ignore_index=True), frequency(alias), {"price": "known_future"})


panels = st.integers(1, 6).flatmap(
    lambda n: st.builds(
        made,
        st.lists(st.integers(1, 120), min_size=n, max_size=n),
        st.lists(st.integers(0, 9), min_size=n, max_size=n),
        st.lists(st.integers(2, 99), min_size=n, max_size=n),
        st.sampled_from(["D", "MS", "W-WED", "h", "B"]),
    )
)
specs = st.builds(
    SplitSpec,
    horizon=st.none() | st.integers(1, 30),
    step=st.none() | st.integers(1, 9),
    gap=st.integers(0, 5),
    window=st.sampled_from(["expanding", "sliding"]),
    test=st.sampled_from(["auto", False]),
)


@settings(max_examples=40, deadline=None)
@given(panels, specs)
def test_no_training_row_lies_after_a_cutoff(panel: Panel, spec: SplitSpec) -> None:
    try:
        plan = plan_split(panel, spec)
    except VurError as error:
        assert error.code == "split.too_short"
        return
    for fold in [*plan.folds, *([plan.test] if plan.test else [])]:
        train, scored = training_panel(panel, fold, plan), validation_frame(panel, fold, plan)
        ends = train.frame.groupby("unique_id")["ds"].max()
        assert ends.to_dict() == fold.cutoffs.to_dict()
        assert (scored["ds"] > scored["unique_id"].map(fold.cutoffs)).all()
        assert scored["step"].between(1, fold.steps).all() and fold.steps <= plan.horizon
        assert set(scored["unique_id"]) == set(fold.cutoffs.index)
        assert train.future is None
        x = future_covariates(panel, fold, plan)
        assert (x.groupby("unique_id").size() == plan.horizon + plan.gap).all() and set(x["unique_id"]) == set(
            ends.index
        )
        assert x["price"].notna().all()
        for name, rows in x.groupby("unique_id"):
            assert rows["ds"].tolist() == panel.freq.after(fold.cutoffs[name], plan.horizon + plan.gap)
        if fold.max_train:
            assert train.frame.groupby("unique_id").size().max() <= fold.max_train


@settings(max_examples=60, deadline=None)
@given(panels, specs)
def test_folds_go_forward_and_never_touch_the_test(panel: Panel, spec: SplitSpec) -> None:
    try:
        plan = plan_split(panel, spec)
    except VurError:
        return
    cutoffs = [fold.cutoffs for fold in plan.folds]
    for early, late in zip(cutoffs, cutoffs[1:], strict=False):
        common = early.index.intersection(late.index)
        assert (early[common] < late[common]).all()
    if plan.test:
        tested = validation_frame(panel, plan.test, plan).groupby("unique_id")["ds"].min()
        for fold in plan.folds:
            scored = validation_frame(panel, fold, plan).groupby("unique_id")["ds"].max()
            common = scored.index.intersection(tested.index)
            assert (scored[common] < tested[common]).all()
    assert SplitPlan.from_dict(json.loads(json.dumps(plan.to_dict()))).to_dict() == plan.to_dict()
    assert len(plan.describe("pt-BR")) == len(plan.describe("en")) == len(plan.notes)


def test_changing_the_future_changes_nothing_in_the_training_part() -> None:
    panel = flights(temp="known_future")
    plan = plan_split(panel, SplitSpec(horizon=28))
    fold = plan.folds[0]
    after = panel.frame["ds"] > panel.frame["unique_id"].map(fold.cutoffs)
    corrupted = panel.with_frame(panel.frame.assign(y=panel.frame["y"].mask(after, -1e9)))
    pd.testing.assert_frame_equal(training_panel(panel, fold, plan).frame, training_panel(corrupted, fold, plan).frame)


def test_flights_are_split_into_folds_and_a_test() -> None:
    panel = flights(temp="known_future")
    plan = plan_split(panel)
    assert (plan.horizon, plan.alignment, len(plan.folds)) == (28, "calendar", 5)
    assert set(plan.test.cutoffs) == {pd.Timestamp("2013-12-03")}
    table = split_table(panel, plan)
    assert table["scored_rows"].tolist() == [84] * 6 and table["fold"].tolist() == [1, 2, 3, 4, 5, 0]


def test_dates_and_shares() -> None:
    panel = flights(temp="known_future")
    plan = plan_split(panel, SplitSpec(horizon=7, validation_start="2013-10-01", test_start="2013-12-01"))
    first = validation_frame(panel, plan.folds[0], plan)
    assert first["ds"].min() == pd.Timestamp("2013-10-01") and len(plan.folds) == 61 // 7
    assert validation_frame(panel, plan.folds[-1], plan)["ds"].max() < pd.Timestamp("2013-12-01")
    assert validation_frame(panel, plan.test, plan)["ds"].min() == pd.Timestamp("2013-12-01")
    shares = plan_split(panel, SplitSpec(train_size=0.7, validation_size=0.2, test_size=0.1))
    assert (shares.folds[0].steps, shares.test.steps) == (73, 36)
    rest = plan_split(panel, SplitSpec(train_size=300, horizon=13))
    assert set(rest.folds[0].cutoffs) == {pd.Timestamp("2013-10-27")} and len(rest.folds) == 5


def test_gap_separates_training_and_scored_rows() -> None:
    panel = flights(temp="known_future")
    plan = plan_split(panel, SplitSpec(horizon=7, gap=3))
    scored = validation_frame(panel, plan.folds[0], plan)
    cutoff = plan.folds[0].cutoffs["EWR"]
    assert scored["ds"].min() == cutoff + pd.Timedelta(days=4) and scored["step"].min() == 1


def test_series_that_end_at_different_dates_are_cut_at_their_own_end() -> None:
    panel = made([100] * 4, [0, 1, 2, 3], [99] * 4)
    plan = plan_split(panel, SplitSpec(horizon=7))
    assert plan.alignment == "per_series" and plan.folds[-1].cutoffs.nunique() == 4
    assert any("25%" in note for note in plan.describe())


def test_integer_stamps() -> None:
    panel = panel_of(np.arange(40), "2", price=1.0)
    plan = plan_split(panel, SplitSpec(horizon=4, test_start=72))
    assert plan.test.cutoffs["a"] == 70
    again = SplitPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert validation_frame(panel, again.test, again)["ds"].tolist() == [72, 74, 76, 78]
    assert len(future_covariates(panel, again.test, again)) == 4


def test_short_series_are_left_out_and_named() -> None:
    panel = made([120, 120, 5], [0, 0, 0], [99] * 3)
    plan = plan_split(panel, SplitSpec(horizon=7))
    assert all("s2" not in fold.cutoffs for fold in plan.folds)
    assert any("s2" in note for note in plan.describe())


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8])
def test_a_tiny_panel_does_not_crash(length: int) -> None:
    plan = plan_split(made([length], [0], [99]))
    assert len(plan.folds) == (0 if length < 4 else 1)
    assert plan.test is None


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"shuffle": True}, "shuffle"),
        ({"horizon": 0}, "horizon"),
        ({"gap": -1}, "gap"),
        ({"folds": 2.5}, "folds"),
        ({"window": "rolling"}, "rolling"),
        ({"max_train": 9}, "sliding"),
        ({"test": "maybe"}, "maybe"),
        ({"train_size": 1.5}, "train_size"),
        ({"validation_size": 0.6, "test_size": 0.6}, "1.2"),
        ({"test": False, "test_size": 3}, "test_size"),
        ({"validation_size": 3, "validation_start": "2013-01-01"}, "validation_start"),
    ],
)
def test_meaningless_specifications_are_refused(options: dict, word: str) -> None:
    with pytest.raises(VurError, match=word) as caught:
        SplitSpec(**options)
    assert caught.value.stage == "split" and caught.value.text("pt-BR")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"test_start": "2020-01-01"}, "split.date"),
        ({"test_start": "soon"}, "split.date"),
        ({"horizon": 200, "folds": 3}, "split.too_short"),
        ({"test": True, "horizon": 364}, "split.too_short"),
        ({"validation_size": 30, "horizon": 10, "folds": 9, "step": 10}, "split.folds_do_not_fit"),
        ({"train_size": 360, "test_size": 20}, "split.too_short"),
    ],
)
def test_specifications_that_do_not_fit_the_data_are_refused(options: dict, code: str) -> None:
    with pytest.raises(VurError) as caught:
        plan_split(flights(temp="known_future"), SplitSpec(**options))
    assert caught.value.code == code and caught.value.text("pt-BR")


def test_a_horizon_longer_than_the_data_is_scored_as_far_as_they_go() -> None:
    plan = plan_split(flights(temp="known_future"), SplitSpec(horizon=400))
    assert (plan.horizon, len(plan.folds), plan.folds[0].steps) == (400, 1, 183)
    assert any("183 of the 400" in note for note in plan.describe())


def test_nothing_observed() -> None:
    panel = made([20], [0], [99])
    with pytest.raises(VurError, match="observed"):
        plan_split(panel.with_frame(panel.frame.assign(y=np.nan)))
