"""Preprocessing can be inverted exactly, learns from the training part only, and changes nothing else."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import flights, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st

import vur
from vur.errors import VurError
from vur.panel import Panel
from vur.stages.preprocess import describe_preprocess, fit_preprocess
from vur.stages.preprocess.cleaning import MISSING, Groups, MissingMethod, OutlierSpec
from vur.stages.preprocess.preprocessor import Preprocessor, PreprocessSpec
from vur.stages.preprocess.transforms import DIFFERENCES, TRANSFORMS
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec, training_panel, validation_frame
from vur.stages.upload.files import UploadOptions
from vur.store.data import sources
from vur.store.runs import file_fingerprint
from vur.text import table
from vur.wizard.requests import preparation_plan
from vur.wizard.rows import change_rows, preview_pipeline

NAMES = (*TRANSFORMS, *DIFFERENCES)
SETTINGS = settings(max_examples=60, deadline=None)


def made(lengths: list[int], level: float, spread: float, holes: float, seed: int) -> Panel:
    """Monthly series with a season, of any level and spread, with random holes between the first and the last value."""
    rng, parts = np.random.default_rng(seed), {}
    for number, length in enumerate(lengths):
        y = level + spread * (rng.normal(size=length) + 2 * np.sin(np.arange(length) * np.pi / 6))
        y[1:-1][rng.random(max(length - 2, 0)) < holes] = np.nan
        parts[f"s{number}"] = y
    return panel_of(parts, "MS")


panels = st.builds(
    made,
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.sampled_from([-50.0, 0.0, 20.0, 1e6]),
    st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
    st.sampled_from([0.0, 0.2, 0.6]),
    st.integers(0, 10_000),
)
transforms = st.lists(st.sampled_from(NAMES), max_size=4).filter(
    lambda names: all(names.count(n) < 2 for n in TRANSFORMS)
)
missing = st.sampled_from(list(MISSING))
outliers = st.builds(
    OutlierSpec, st.sampled_from(["none", "iqr", "zscore", "hampel"]), st.sampled_from(["flag", "clip", "replace"])
)


def cleaned(pre: Preprocessor, panel: Panel) -> pd.DataFrame:
    """What the transforms were applied to: the panel through the same rules without transforms."""
    plain = PreprocessSpec(pre.spec.missing, pre.spec.outliers, (), pre.spec.season)
    return fit_preprocess(panel, plain).transform(panel).frame


@SETTINGS
@given(panels, missing, outliers, transforms)
def test_inverse_of_transform_is_the_identity(panel: Panel, fill: str, strange: OutlierSpec, names: list[str]) -> None:
    pre = fit_preprocess(panel, PreprocessSpec(fill, strange, tuple(names)))
    ready = pre.transform(panel)
    assert np.isfinite(ready.frame["y"]).all()
    back = pre.inverse(ready.frame, ("y",), origin="start").set_index(["unique_id", "ds"])["y"]
    before = cleaned(pre, panel).set_index(["unique_id", "ds"])["y"]
    scale = np.maximum(before.abs().groupby("unique_id").transform("max"), 1e-3)
    assert (np.abs(back - before[back.index]) <= 1e-9 * scale[back.index]).all()
    assert set(back.index.get_level_values(0)) == set(before.index.get_level_values(0)), "no series may vanish"


@SETTINGS
@given(panels, missing, transforms, st.integers(1, 15))
def test_forecasts_are_inverted_exactly_after_the_training_part(
    panel: Panel, fill: str, names: list[str], horizon: int
) -> None:
    """The transformed true future, inverted, is the true future: differences go on from the last training values."""
    plan = plan_split(panel, SplitSpec(horizon=horizon, test=False))
    for fold in plan.folds[-1:]:
        train = training_panel(panel, fold, plan)
        pre = fit_preprocess(train, PreprocessSpec(fill, transforms=tuple(names)))
        whole = panel.with_frame(panel.frame[panel.frame["unique_id"].isin(fold.cutoffs.index)])
        plain = fit_preprocess(train, PreprocessSpec(fill))
        truth = plain.transform(whole).frame
        try:
            ready = pre.transform(whole).frame
        except VurError as error:
            assert error.code == "preprocess.domain"  # a later value below zero, and a power that takes none
            return
        future = ready[ready["ds"] > ready["unique_id"].map(fold.cutoffs)]
        back = pre.inverse(future.rename(columns={"y": "forecast"})).set_index(["unique_id", "ds"])["forecast"]
        truth = truth.set_index(["unique_id", "ds"])["y"]
        scale = np.maximum(truth.abs().groupby("unique_id").transform("max"), 1e-3)[back.index]
        assert (np.abs(back - truth[back.index]) <= 1e-8 * scale).all()


@SETTINGS
@given(panels, missing, outliers, transforms, st.integers(0, 99))
def test_values_after_the_cutoff_never_change_the_state(
    panel: Panel, fill: str, strange: OutlierSpec, names: list[str], seed: int
) -> None:
    plan = plan_split(panel, SplitSpec(horizon=6, test=False))
    for fold in plan.folds[:1]:
        late = (panel.frame["ds"] > panel.frame["unique_id"].map(fold.cutoffs)).to_numpy()
        noise = np.random.default_rng(seed).normal(0, 1e6, len(panel.frame))
        corrupted = panel.with_frame(panel.frame.assign(y=np.where(late, noise, panel.frame["y"])))
        spec = PreprocessSpec(fill, strange, tuple(names))
        first, second = (fit_preprocess(training_panel(p, fold, plan), spec) for p in (panel, corrupted))
        assert json.dumps(first.to_dict()) == json.dumps(second.to_dict())
        # Even when the whole panel is transformed at once, rows of the training part come out the same.
        inside = PreprocessSpec(fill, strange, tuple(n for n in names if n != "box_cox"))
        pre = fit_preprocess(training_panel(panel, fold, plan), inside)
        keep = panel.frame["unique_id"].isin(fold.cutoffs.index)
        frames = [pre.transform(p.with_frame(p.frame[keep])).frame for p in (panel, corrupted)]
        early = [f[f["ds"] <= f["unique_id"].map(fold.cutoffs)].reset_index(drop=True) for f in frames]
        pd.testing.assert_frame_equal(*early)


@SETTINGS
@given(panels, missing)
def test_filling_never_changes_an_observation(panel: Panel, fill: str) -> None:
    ready = fit_preprocess(panel, PreprocessSpec(fill, OutlierSpec("zscore", "flag", 0.5))).transform(panel).frame
    both = ready.merge(panel.frame, on=["unique_id", "ds"], suffixes=("", "_was")).dropna()
    assert (both["y"] == both["y_was"]).all()
    assert len(ready) == len(panel.frame) or fill == "drop"
    steps = ready.groupby("unique_id")["ds"].agg(["min", "max", "size"])
    for low, high, size in steps.itertuples(index=False):
        assert len(pd.date_range(low, high, freq="MS")) == size, "the panel stays regular"
    assert steps["max"].to_dict() == panel.frame.groupby("unique_id")["ds"].max().to_dict(), "the forecast origin stays"


@SETTINGS
@given(panels, missing, outliers, transforms)
def test_a_preprocessor_survives_json(panel: Panel, fill: str, strange: OutlierSpec, names: list[str]) -> None:
    pre = fit_preprocess(panel, PreprocessSpec(fill, strange, tuple(names)))
    again = Preprocessor.from_dict(json.loads(json.dumps(pre.to_dict(), allow_nan=False)))
    pd.testing.assert_frame_equal(again.transform(panel).frame, pre.transform(panel).frame)
    ready = pre.transform(panel).frame
    pd.testing.assert_frame_equal(again.inverse(ready, ("y",), "start"), pre.inverse(ready, ("y",), "start"))
    assert len(again.flags) == len(pre.flags) and again.report.equals(pre.report)


def test_replacing_only_what_the_outlier_rule_found() -> None:
    panel = flights()
    spec = PreprocessSpec("linear", OutlierSpec("hampel", "replace"))
    pre = fit_preprocess(panel, spec)
    ready = pre.transform(panel).frame
    changed = ready[ready["y"].to_numpy() != panel.frame["y"].to_numpy()]
    assert 0 < len(changed) <= len(pre.flags) < 0.1 * len(ready)
    assert set(zip(changed["unique_id"], changed["ds"], strict=True)) <= set(
        zip(pre.flags["unique_id"], pre.flags["ds"], strict=True)
    )
    assert pd.Timestamp("2013-02-09") in set(pre.flags["ds"]), "the February blizzard stands out"


def test_clipping_stays_inside_the_band() -> None:
    panel = flights()
    pre = fit_preprocess(panel, PreprocessSpec(outliers=OutlierSpec("iqr", "clip")))
    ready = pre.transform(panel).frame
    band = pre.series.loc[ready["unique_id"]]
    assert (ready["y"].to_numpy() >= band["lower"].to_numpy()).all() and (
        ready["y"].to_numpy() <= band["upper"].to_numpy()
    ).all()
    assert pre.report["outliers"].sum() == len(pre.flags) > 0


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("forward", [1, 1, 1, 4, 4]),
        ("backward", [1, 4, 4, 4, 6]),
        ("linear", [1, 2, 3, 4, 5]),
        ("auto", [1, 2, 3, 4, 5]),
        ("mean", [1, 11 / 3, 11 / 3, 4, 11 / 3]),
        ("median", [1, 4, 4, 4, 4]),
        ("zero", [1, 0, 0, 4, 0]),
        ("seasonal", [1, 2, 3, 4, 5]),
    ],
)
def test_each_method_fills_as_its_name_says(method: str, expected: list[float]) -> None:
    panel = panel_of([1, np.nan, np.nan, 4, np.nan, 6], "MS")
    assert fit_preprocess(panel, PreprocessSpec(method)).transform(panel).frame["y"][:5].tolist() == pytest.approx(
        expected
    )


def test_a_fill_in_the_training_part_never_uses_the_first_value_after_it() -> None:
    panel = panel_of([1, 2, 3, np.nan, 100, 100], "MS")
    train = panel.with_frame(panel.frame.head(4))
    for method in ("linear", "backward", "auto"):
        assert fit_preprocess(train, PreprocessSpec(method)).transform(panel).frame["y"][3] == 3


def test_dropping_keeps_the_series_regular_and_its_end() -> None:
    y = np.arange(40.0)
    y[[3, 8, 38]] = np.nan
    panel = panel_of(y, "MS")
    pre = fit_preprocess(panel, PreprocessSpec("drop"))
    ready = pre.transform(panel).frame
    assert ready["y"].tolist() == list(range(9, 40)) and pre.report["trimmed"].tolist() == [9]


def test_rebasing_on_newer_history_without_refitting() -> None:
    panel = flights()
    plan = plan_split(panel, SplitSpec(horizon=14))
    train = training_panel(panel, plan.folds[0], plan)
    pre = fit_preprocess(train, PreprocessSpec(transforms=("standard", "seasonal_difference")))
    later = training_panel(panel, plan.folds[1], plan)
    moved = pre.rebase(later)
    assert np.array_equal(moved.steps[0].numbers["center"], pre.steps[0].numbers["center"])
    truth = validation_frame(panel, plan.folds[1], plan)
    ready = moved.transform(panel).frame.merge(truth[["unique_id", "ds"]])
    assert moved.inverse(ready, ("y",))["y"].to_numpy() == pytest.approx(truth["y"].to_numpy())
    with pytest.raises(VurError, match="rebase"):
        pre.inverse(ready, ("y",))


def test_unobserved_and_unknown_series() -> None:
    panel = made([20, 20, 20], 10, 1, 0, 0)
    empty = panel.with_frame(panel.frame.assign(y=panel.frame["y"].mask(panel.frame["unique_id"] == "s1")))
    pre = fit_preprocess(empty)
    assert pre.unobserved == ("s1",) and pre.transform(empty).ids == ["s0", "s2"]
    assert "s1" in describe_preprocess(pre, "pt-BR")[0]
    some = panel.with_frame(panel.frame[panel.frame["unique_id"] != "s2"])
    with pytest.raises(VurError, match="s2"):
        fit_preprocess(some).transform(panel)


def test_values_outside_the_domain_of_a_power_are_named() -> None:
    panel = made([30], 1e3, 1.0, 0, 0)
    pre = fit_preprocess(panel, PreprocessSpec(transforms=("box_cox",), box_cox_lambda=0.0))
    broken = panel.with_frame(panel.frame.assign(y=panel.frame["y"].where(panel.frame.index != 7, -3.0)))
    with pytest.raises(VurError, match="-3.0 at 2015-08-01"):
        pre.transform(broken)


def test_target_flags_are_cleared_by_a_transform() -> None:
    panel = flights()
    assert panel.integer and fit_preprocess(panel).transform(panel).integer
    assert not fit_preprocess(panel, PreprocessSpec(transforms=("standard",))).transform(panel).integer


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"missing": "guess"}, "guess"),
        ({"transforms": ("log",)}, "log1p"),
        ({"transforms": ("standard", "standard")}, "standard"),
        ({"season": 0}, "season"),
    ],
)
def test_meaningless_specifications_are_refused(options: dict, word: str) -> None:
    with pytest.raises(VurError, match=word) as caught:
        PreprocessSpec(**options)
    assert caught.value.stage == "preprocess" and caught.value.text("pt-BR")


@pytest.mark.parametrize("options", [{"method": "magic"}, {"treatment": "delete"}, {"threshold": 0.0}, {"window": 4}])
def test_meaningless_outlier_specifications_are_refused(options: dict) -> None:
    with pytest.raises(VurError) as caught:
        OutlierSpec(**options)
    assert caught.value.text("pt-BR")


def test_a_thousand_series_are_prepared_without_gaps() -> None:
    panel = made([150] * 1000, 100, 5, 0.05, 0)
    spec = PreprocessSpec("seasonal", OutlierSpec("hampel", "replace"), ("log1p", "difference"))
    pre = fit_preprocess(panel, spec)
    ready = pre.transform(panel)
    pre.inverse(ready.frame, ("y",), origin="start")
    assert ready.frame["y"].notna().all()


# A missing-value method is one entry of MISSING: here one is added, and works wherever methods are named.


def fill_last_week(values: np.ndarray, groups: Groups) -> np.ndarray:
    week_ago = np.where(groups.position >= 7, np.roll(values, 7), np.nan)
    return np.where(np.isnan(values), week_ago, values)


@pytest.fixture
def last_week(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MISSING, "last_week", MissingMethod(fill_last_week, names=("same_weekday",)))
    monkeypatch.setitem(
        table(), "prepare.method.last_week", {"en": "value of a week earlier", "pt-BR": "valor de uma semana antes"}
    )


def holed() -> pd.DataFrame:
    """Ten weeks with a value for each weekday, the last Tuesday missing; `visits` is ten times `y`."""
    days = pd.date_range("2024-01-01", periods=70)
    y = 100.0 * (1 + days.dayofweek)
    frame = pd.DataFrame({"ds": days, "y": y, "visits": 10 * y})
    frame.loc[64, ["y", "visits"]] = np.nan
    return frame


@pytest.mark.usefixtures("last_week")
def test_a_new_missing_method_works_in_a_run(tmp_path: Path):
    config = vur.Config.from_dict({"preprocess": {"missing": "last_week"}, "model": {"algorithms": ["seasonal_naive"]}})
    result = vur.run(
        holed()[["ds", "y"]], config=config, date="ds", target="y", horizon=7, out=tmp_path, notebook=False
    )
    assert result.forecast["forecast"].tolist() == [100.0 * (1 + day) for day in range(7)]


@pytest.mark.usefixtures("last_week")
def test_a_new_missing_method_works_in_the_wizard(tmp_path: Path):
    path = tmp_path / "holed.csv"
    holed().to_csv(path, index=False)
    stored = sources.read(path, file_fingerprint(path), UploadOptions(), "holed.csv").name
    data = {"date": "ds", "target": "y"}
    asked = {"missing_values": {"method": "same_weekday", "columns": ["y", "visits"]}}
    work = preparation_plan(asked, "y", "ds", {"ds": "date", "y": "numeric", "visits": "numeric"})
    assert work.preprocess == {"missing": "last_week"}
    seen = preview_pipeline(stored, data, work.preprocess, None, "en")
    assert "last_week" in seen["steps"][0] and [row["y"] for row in seen["after"]] == [200.0]
    changed = change_rows(stored, data, work.rows, str(tmp_path / "new.parquet"), "pt-BR")
    assert "valor de uma semana antes" in changed["steps"][0]
    assert pd.read_parquet(tmp_path / "new.parquet")["visits"].tolist() == [1000.0 * (1 + k % 7) for k in range(70)]


def test_a_method_that_is_not_in_the_table_is_named_with_those_that_are():
    with pytest.raises(VurError, match="auto | forward | backward | linear | seasonal | mean | median | zero | drop"):
        PreprocessSpec(missing="last_week")
