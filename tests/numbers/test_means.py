"""A forecast is an expected value: its sums are right, it is not rounded, and a limit belongs to one series."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.explain.why import explain_point
from vur.forecasters.means import factor_estimates, gap_estimates, learn_prior, noise_of, shrunk
from vur.forecasters.statistical import fit_series, forecast_one
from vur.models.moving import merge_history
from vur.panel import Panel, holds, make_panel
from vur.scoring.intervals import calibrate
from vur.stages.features import FeatureSpec, resolve_features
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline, load_pipeline, whole_numbers
from vur.stages.preprocess import fit_preprocess
from vur.stages.preprocess.preprocessor import PreprocessSpec
from vur.stages.training import train
from vur.store.models.models import find_model
from vur.text import translate
from vur.wording import number


def counts(rates: list[float], months: int = 60, seed: int = 0) -> pd.DataFrame:
    """Poisson demand of parts `p0, p1, ...` by month."""
    rng = np.random.default_rng(seed)
    stamps = pd.date_range("2019-01-01", periods=months, freq="MS")
    frames = [
        pd.DataFrame({"unique_id": f"p{k}", "ds": stamps, "y": rng.poisson(rate, months).astype(float)})
        for k, rate in enumerate(rates)
    ]
    return pd.concat(frames, ignore_index=True)


def with_value(frame: pd.DataFrame, series: str, value: float) -> pd.DataFrame:
    """`frame` with `value` in the middle of `series`."""
    row = frame.index[frame["unique_id"] == series][30]
    return frame.assign(y=frame["y"].where(frame.index != row, value))


def forecast(panel: Panel, algorithm: str, horizon: int = 6, levels: tuple[int, ...] = (95,)) -> pd.DataFrame:
    """The forecast of one algorithm with intervals, calibrated on naive errors."""
    pipeline = Pipeline(Candidate(algorithm, algorithm)).fit(panel)
    rows = panel.frame.assign(forecast=panel.frame.groupby("unique_id")["y"].shift(1), step=1).dropna()
    scales = rows["y"].sub(rows["forecast"]).abs().groupby(rows["unique_id"]).mean()
    pipeline.calibration = calibrate(rows, scales, nonnegative=panel.nonnegative, integer=panel.integer)
    return pipeline.predict(horizon, levels=levels)


# --- limits by series ---


@pytest.mark.parametrize("value", [-1.0, 1.5])
@pytest.mark.parametrize("algorithm", ["tsb", "croston", "drift", "theta"])
def test_one_odd_value_in_one_series_changes_no_other(algorithm: str, value: float) -> None:
    frame = counts([0.8, 1.5, 2.5, 4.0, 3.0], seed=1)
    before, after = (
        forecast(make_panel(one), algorithm).query("unique_id != 'p4'")
        for one in (frame, with_value(frame, "p4", value))
    )
    assert np.allclose(before["forecast"], after["forecast"])
    for made in (before, after):
        assert (made["lo-95"] >= 0).all() and (made[["lo-95", "hi-95"]] % 1 == 0).all(axis=None)


def test_limits_are_those_of_the_data() -> None:
    frame = with_value(with_value(counts([2.0, 2.0, 2.0]), "p1", -1), "p2", 1.5)
    panel = make_panel(frame)
    assert panel.nonnegative == {"p0": True, "p1": False, "p2": True}
    assert panel.integer == {"p0": True, "p1": True, "p2": False}
    falling = panel.with_frame(panel.frame.assign(y=np.tile(np.linspace(20, 1, 60), 3)))
    ends = forecast(falling, "drift", 30).groupby("unique_id")["forecast"].min()
    assert ends["p1"] < 0 == ends["p0"] == ends["p2"]


def test_a_plain_bool_stands_for_all_and_an_unknown_series_has_no_limit() -> None:
    assert holds(True, ["a", "b"]).tolist() == [True, True]
    assert holds({"a": True, "b": False}, pd.Series(["b", "a", "c", "a"])).tolist() == [False, True, False, True]


def test_an_update_takes_limits_from_the_new_data() -> None:
    panel = make_panel(counts([2.0, 2.0], months=48))
    given = make_panel(counts([2.0, 2.0], months=50).groupby("unique_id").tail(2), freq="MS")
    given = replace(given, frame=given.frame.assign(y=[1.0, 2.0, -3.0, 0.5]))
    merged = merge_history(panel, given)
    assert merged.nonnegative == {"p0": True, "p1": False} and merged.integer == {"p0": True, "p1": False}
    pipeline = Pipeline(Candidate("mean", "mean")).fit(panel)
    pipeline.calibration = calibrate(
        pd.DataFrame({"unique_id": [], "step": [], "y": [], "forecast": []}), pd.Series({"p0": 3.0, "p1": 3.0})
    )
    made = pipeline.update(merged).predict(1, levels=(95,)).set_index("unique_id")["lo-95"]
    assert made["p0"] == 0 and made["p1"] < 0 and made["p1"] % 1 > 0


def test_a_pipeline_saved_with_plain_booleans_opens(tmp_path: Path) -> None:
    panel = make_panel(counts([2.0, 2.0]))
    pipeline = Pipeline(Candidate("mean", "mean")).fit(panel)
    pipeline.save(tmp_path)
    path = tmp_path / "pipeline.json"
    content = json.loads(path.read_text())
    assert content["point"] == "mean"
    content["panel"] |= {"integer": True, "nonnegative": True}
    del content["point"]
    path.write_text(json.dumps(content))
    probe = pd.read_parquet(tmp_path / "probe.parquet")
    probe.assign(forecast=probe["forecast"].round()).to_parquet(tmp_path / "probe.parquet")
    head = tmp_path / "forecaster" / "forecaster.json"
    head.write_text(json.dumps(json.loads(head.read_text()) | {"versions": {"numpy": "0.1"}}))
    pd.testing.assert_frame_equal(load_pipeline(tmp_path).predict(3), pipeline.predict(3))


# --- never rounded ---


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("algorithm", ["croston", "tsb", "mean"])
def test_slow_movers_do_not_round_to_nothing(algorithm: str, seed: int) -> None:
    rates = np.random.default_rng(seed).uniform(0.15, 0.45, 20)
    made = forecast(make_panel(counts(list(rates), seed=seed + 10)), algorithm)
    assert made["forecast"].sum() == pytest.approx(6 * rates.sum(), rel=0.4)
    assert (made["lo-95"] <= made["forecast"]).all() and (made["forecast"] <= made["hi-95"]).all()


def test_training_scores_what_users_get() -> None:
    panel = make_panel(counts([0.3, 0.4, 0.2], seed=3))
    from vur.stages.model import ModelSpec, candidates
    from vur.stages.split import plan_split
    from vur.stages.split.folds import SplitSpec

    plan = plan_split(panel, SplitSpec(horizon=6, folds=2, test=False))
    result = train(panel, plan, candidates(panel, ModelSpec(algorithms=("mean",))), clock=lambda: 0.0)
    rows = result.evaluation.forecasts.query("algorithm == 'mean'")
    assert rows["forecast"].between(0.05, 0.8).all()


# --- whole numbers, as an option ---


@pytest.fixture(scope="module")
def slow_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, vur.RunResult]:
    """The same slow movers, with expected values and in whole numbers."""
    frame = counts([0.3, 0.2, 0.45, 0.15, 0.4, 0.35], months=48, seed=5)
    out = tmp_path_factory.mktemp("runs")
    given = {"horizon": 6, "algorithms": ["mean"], "folds": 2, "notebook": False, "out": out, "name": "slow"}
    return {whole: vur.run(frame, whole=whole, **given) for whole in (False, True)}


def test_whole_numbers_are_shown_and_totals_add_expected_values(slow_runs: dict[bool, vur.RunResult]) -> None:
    plain, whole = (slow_runs[kind].forecast for kind in (False, True))
    assert (plain["forecast"] % 1 > 0).any() and (whole.filter(regex="forecast|-") % 1 == 0).all(axis=None)
    sums = [frame.groupby("unique_id")["forecast"].sum() for frame in (plain, whole)]
    assert (sums[0] - sums[1]).abs().max() <= 0.5 + 1e-9 and sums[0].sum() > 5
    for language in ("en", "pt-BR"):
        from vur.runs.api import render_again

        pages = {kind: render_again(run.id, language, out=run.folder.parent) for kind, run in slow_runs.items()}
        text = {kind: re.sub(r"<[^>]+>", " ", page.read_text()) for kind, page in pages.items()}
        assert translate("report.recipe.mean", language) in text[False]
        assert translate("report.recipe.whole", language) in text[True]
        total = plain["forecast"].sum()
        assert number(total, language, 2) in text[False] and f" {number(total, language, 0)} " in text[True]


def test_a_run_and_its_model_say_what_a_forecast_is(slow_runs: dict[bool, vur.RunResult]) -> None:
    for kind, run in slow_runs.items():
        assert (run.record["point"], run.record["whole"]) == ("mean", kind)
        assert run.config.training.whole is kind
        metadata = find_model(run.model_tag).info.metadata
        assert (metadata["point"], metadata["whole"]) == ("mean", kind)
        frames = {asked: vur.forecast(run.model_tag, 6, whole=asked) for asked in (None, False, True)}
        pd.testing.assert_frame_equal(frames[None], frames[kind])
        pd.testing.assert_frame_equal(frames[True], whole_numbers(frames[False]))
        pd.testing.assert_series_equal(frames[None]["forecast"], run.forecast["forecast"])


@pytest.mark.parametrize("seed", range(3))
def test_whole_numbers_keep_every_running_sum_within_a_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {"unique_id": np.repeat(["a", "b", "c"], 24), "ds": np.tile(range(24), 3), "forecast": rng.gamma(1, 0.5, 72)}
    )
    rows = rows.assign(**{"lo-80": rows["forecast"] * 0.4, "hi-80": rows["forecast"] * 2}).sample(
        frac=1, random_state=seed
    )
    shown = whole_numbers(rows)
    assert shown.index.equals(rows.index) and (shown.filter(regex="forecast|-80") % 1 == 0).all(axis=None)
    assert ((shown["lo-80"] <= shown["forecast"]) & (shown["forecast"] <= shown["hi-80"])).all()
    assert (shown["forecast"] >= 0).all() and (shown["forecast"] - rows["forecast"]).abs().max() < 1
    sums = [one.sort_values("ds").groupby("unique_id")["forecast"].cumsum() for one in (shown, rows)]
    assert (sums[0] - sums[1]).abs().max() <= 0.5 + 1e-9


# --- logarithms ---


def lognormal(sigma: float, seed: int, length: int = 84, season: float = 0.0, parts: int = 20) -> tuple[Panel, float]:
    """Lognormal series by month, and the mean of the next year's total."""
    rng, t = np.random.default_rng(seed), np.arange(length + 12)
    base = 3 + season * np.sin(2 * np.pi * t / 12)
    stamps = pd.date_range("2010-01-01", periods=length, freq="MS")
    frames = [
        pd.DataFrame({"unique_id": f"s{k:02}", "ds": stamps, "y": np.exp(base[:length] + rng.normal(0, sigma, length))})
        for k in range(parts)
    ]
    return make_panel(pd.concat(frames)), float(parts * np.exp(base[length:] + sigma**2 / 2).sum())


@pytest.mark.parametrize(
    ("sigma", "length", "season"), [(0.7, 84, 0.0), (0.7, 144, 0.5), (0.9, 60, 0.0), (0.3, 48, 0.0)]
)
def test_totals_of_logarithms_are_expectations(sigma: float, length: int, season: float) -> None:
    ratios = []
    for seed in range(5):
        panel, expected = lognormal(sigma, seed, length, season)
        made = Pipeline(Candidate("log_theta", "log_theta")).forecast(panel, 12)
        ratios.append(made["forecast"].sum() / expected)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_without_noise_logarithms_are_not_changed() -> None:
    t = np.arange(96)
    for noise in (0.0, 0.001):
        y = np.exp(4 + 0.01 * t + 0.3 * np.sin(2 * np.pi * t / 12) + np.random.default_rng(0).normal(0, noise, 96))
        state = fit_series("log_theta", y, [12], {}).state
        assert state["factor"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_factor_of_a_mean_is_bounded_on_wild_series(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for y in (
        np.exp(rng.standard_t(1.5, 30)),
        np.exp(np.cumsum(rng.normal(0, 0.8, 25))),
        np.where(np.arange(40) == 20, 1e6, 1 + rng.random(40)),
        rng.lognormal(0, 2, 9),
    ):
        fitted = fit_series("log_theta", y, [12], {})
        made = forecast_one(fitted.state, 12)
        assert np.isfinite(made).all() and made.max() <= 10 * y.max()


@pytest.mark.parametrize("algorithm", ["mean", "theta", "ets", "seasonal_naive", "lightgbm"])
@pytest.mark.parametrize("transforms", [("log1p",), ("box_cox",), ("log1p", "standard")], ids="-".join)
def test_totals_through_a_curved_transform_are_expectations(algorithm: str, transforms: tuple[str, ...]) -> None:
    ratios = []
    for seed in range(4):
        panel, expected = lognormal(0.7, seed)
        features = resolve_features(FeatureSpec(), panel)
        spec = PreprocessSpec(transforms=transforms)
        made = Pipeline(Candidate(algorithm, algorithm), preprocess=spec, features=features).forecast(panel, 12)
        ratios.append(made["forecast"].sum() / expected)
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("transform", ["log1p", "box_cox"])
def test_demand_on_logarithms_keeps_its_total(transform: str) -> None:
    frame = counts([0.4, 0.8, 1.5, 3.0] * 3, months=72, seed=2)
    panel = make_panel(frame)
    made = Pipeline(Candidate("mean", "mean"), preprocess=PreprocessSpec(transforms=(transform,))).forecast(panel, 12)
    usual = frame.groupby("unique_id")["y"].mean()
    assert made["forecast"].sum() == pytest.approx(12 * usual.sum(), rel=0.05)


@pytest.mark.parametrize("transform", ["log1p", "box_cox"])
def test_without_noise_a_curved_transform_changes_nothing(transform: str) -> None:
    t = np.arange(96)
    y = np.exp(4 + 0.3 * np.sin(2 * np.pi * t / 12))
    panel = make_panel(pd.DataFrame({"ds": pd.date_range("2012-01-01", periods=96, freq="MS"), "y": y}))
    pre = fit_preprocess(panel, PreprocessSpec(transforms=(transform,)))
    ahead = pd.DataFrame({"unique_id": "y", "ds": pd.date_range("2020-01-01", periods=3, freq="MS"), "forecast": 4.0})
    plain, mean = (pre.inverse(ahead, mean=one)["forecast"] for one in (False, True))
    assert np.allclose(mean, plain, rtol=1e-4)
    seen = pre.transform(panel).frame
    assert np.allclose(pre.inverse(seen, ("y",))["y"], y)


def test_a_saved_pipeline_keeps_its_expected_values(tmp_path: Path) -> None:
    panel, _ = lognormal(0.7, 0, parts=3)
    spec = PreprocessSpec(transforms=("box_cox", "difference"))
    pipeline = Pipeline(Candidate("theta", "theta"), preprocess=spec).fit(panel)
    pd.testing.assert_frame_equal(load_pipeline(pipeline.save(tmp_path)).predict(6), pipeline.predict(6))
    content = json.loads((tmp_path / "pipeline.json").read_text())
    for step in content["preprocessor"]["steps"]:  # as older versions wrote it
        for name in ("errors", "last", "top"):
            step["numbers"].pop(name, None)
    (tmp_path / "pipeline.json").write_text(json.dumps(content))
    assert (load_pipeline(tmp_path).predict(6)["forecast"] <= pipeline.predict(6)["forecast"] + 1e-9).all()


def test_a_value_is_explained_to_the_last_digit_of_its_mean() -> None:
    panel, _ = lognormal(0.5, 1, season=0.4, parts=2)
    for algorithm, transforms in (
        ("log_theta", ()),
        ("ets", ("box_cox",)),
        ("theta", ("log1p",)),
        ("naive", ("log1p",)),
    ):
        pipeline = Pipeline(Candidate(algorithm, algorithm), preprocess=PreprocessSpec(transforms=transforms)).fit(
            panel
        )
        row = pipeline.predict(3).query("unique_id == 's01'").iloc[2]
        found = explain_point(pipeline, panel, "s01", row["ds"])
        assert found.forecast == pytest.approx(row["forecast"])
        assert found.baseline + found.table["contribution"].sum() == pytest.approx(row["forecast"])


@pytest.mark.parametrize("algorithm", ["ets", "ces", "theta", "mstl", "ridge", "lightgbm", "xgboost"])
def test_every_kind_of_forecaster_gives_means_of_skewed_values(algorithm: str) -> None:
    ratios = []
    for seed in range(4):
        panel, expected = lognormal(0.7, seed)
        made = Pipeline(Candidate(algorithm, algorithm), features=resolve_features(FeatureSpec(), panel)).forecast(
            panel, 12
        )
        ratios.append(made["forecast"].sum() / expected)
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("log", [True, False], ids=["logarithms", "values"])
def test_what_a_median_lacks_to_a_mean_is_learnt_from_noise(log: bool) -> None:
    rng = np.random.default_rng(5)
    values = np.exp(rng.normal(3, 0.6, (40, 96)))
    noise = noise_of(list(np.log(values) if log else values), 12)
    if log:
        share, error, variance = factor_estimates(noise, "median")
        factor = np.exp(variance * shrunk(share, error, learn_prior(share, error, 0.5)))
        assert np.mean(factor) == pytest.approx(np.exp(0.18), rel=0.03)
    else:
        gap, error, spread = gap_estimates(noise, "median")
        found = spread * shrunk(gap, error, learn_prior(gap, error))
        assert np.mean(found) == pytest.approx(np.exp(3) * (np.exp(0.18) - 1), rel=0.25)
    assert all(len(one) == 0 for one in noise_of([np.full(40, 3.0), np.arange(4.0)], 12))


def test_a_median_that_was_asked_for_is_called_one() -> None:
    panel, _ = lognormal(0.3, 0, parts=6)
    features = resolve_features(FeatureSpec(), panel)
    for objective, point in ((None, "mean"), ("l2", "mean"), ("l1", "median")):
        parameters = {} if objective is None else {"objective": objective}
        pipeline = Pipeline(Candidate("lightgbm", "lightgbm", parameters), features=features).fit(panel)
        assert pipeline.point == point
    assert Pipeline(Candidate("log_theta", "log_theta")).fit(panel).point == "mean"


@pytest.mark.slow
def test_a_network_forecasts_means_of_skewed_values(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    ratios = []
    for seed in range(3):
        panel, expected = lognormal(0.7, seed)
        pipeline = Pipeline(Candidate("lstm", "lstm"), features=resolve_features(FeatureSpec(), panel)).fit(panel)
        made = pipeline.predict(12)
        ratios.append(made["forecast"].sum() / expected)
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)
    pd.testing.assert_frame_equal(load_pipeline(pipeline.save(tmp_path)).predict(12), made)
