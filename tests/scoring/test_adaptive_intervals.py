"""Adaptive intervals: they keep their coverage when errors change after training; steps where they do not are named."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import fold_rows, panel_of, seasonal

from vur.errors import VurError
from vur.panel import Panel
from vur.scoring.adaptive import adapt, blend, update_calibration
from vur.scoring.coverage import coverage_by_step, coverage_sentences, step_list
from vur.scoring.intervals import Calibration, calibrate, interval_scores
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline, load_pipeline
from vur.text import LANGUAGES

pytestmark = pytest.mark.slow

LEVELS = (50, 80, 90, 95, 99)


def stream(sizes: np.ndarray, seed: int, series: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "unique_id": f"s{k}",
                "ds": np.arange(len(sizes)),
                "step": 1,
                "forecast": 100.0,
                "scale": 2.0**k,
                "y": 100 + 2.0**k * sizes * rng.normal(size=len(sizes)),
            }
        )
        for k in range(series)
    ]
    return pd.concat(parts, ignore_index=True).sort_values(["ds", "unique_id"], ignore_index=True)


def start(past: pd.DataFrame) -> Calibration:
    return calibrate(past.assign(fold=past["ds"] // 20), past.groupby("unique_id")["scale"].first())


def live(calibration: Calibration, rows: pd.DataFrame, learn: bool, block: int = 5) -> pd.DataFrame:
    """The bands in force at each stamp, learning after every `block` stamps."""
    bands = []
    for _, now in rows.groupby(rows["ds"] // block):
        bands.append(calibration.apply(now, LEVELS))
        calibration = update_calibration(calibration, now) if learn else calibration
    return pd.concat(bands)


def covered(bands: pd.DataFrame) -> dict[str, float]:
    return {name: value for name, value in interval_scores(bands, (80, 95)).items() if name.startswith("coverage")}


@pytest.mark.slow
def test_coverage_falls_when_errors_double_and_comes_back():
    """Errors double at 150: static intervals lose a quarter of their coverage, adaptive ones recover in 100 stamps."""
    stay, learn = [], []
    for seed in range(3):
        rows = stream(np.where(np.arange(600) < 300, 1.0, 2.0), seed)
        calibration = start(rows[rows["ds"] < 150])
        new = rows[rows["ds"] >= 150]
        stay.append(live(calibration, new, False))
        learn.append(live(calibration, new, True))
    stay, learn = pd.concat(stay), pd.concat(learn)
    before, shortly, later = (
        (lambda f: f[f["ds"] < 300]),
        (lambda f: f[f["ds"].between(300, 330)]),
        (lambda f: f[f["ds"] >= 400]),
    )
    assert covered(before(learn))["coverage-95"] == pytest.approx(95, abs=3) and covered(before(learn))[
        "coverage-80"
    ] == pytest.approx(80, abs=5)
    assert covered(shortly(learn))["coverage-95"] < 92
    assert covered(later(stay))["coverage-95"] < 75 and covered(later(stay))["coverage-80"] < 58
    assert covered(later(learn))["coverage-95"] == pytest.approx(95, abs=3)
    assert covered(later(learn))["coverage-80"] == pytest.approx(80, abs=5)


def test_intervals_narrow_with_the_errors():
    rows = stream(np.where(np.arange(500) < 200, 1.0, 0.4), 5)
    calibration = start(rows[rows["ds"] < 200])
    learnt = update_calibration(calibration, rows[rows["ds"] >= 200])
    probe = rows.tail(1)
    narrow, wide = (interval_scores(c.apply(probe, (95,)), (95,))["width-95"] for c in (learnt, calibration))
    assert 0.3 < narrow / wide < 0.55


def test_nested_never_crossing_and_the_same_after_json():
    for seed in range(6):
        rows = stream(np.random.default_rng(seed).choice([0.1, 1, 8], 120), seed, series=2)
        calibration = replace(start(rows[rows["ds"] < 60]), nonnegative=seed % 2 == 0, integer=seed % 3 == 0)
        learnt = update_calibration(calibration, rows[rows["ds"] >= 60])
        bands = learnt.apply(rows, (*LEVELS, 97.5))
        ordered = (
            [f"lo-{level:g}" for level in (99, 97.5, 95, 90, 80, 50)]
            + ["forecast"]
            + [f"hi-{level:g}" for level in (50, 80, 90, 95, 97.5, 99)]
        )
        assert (bands[ordered].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
        assert np.isfinite(bands[ordered]).all(axis=None)
        back = Calibration.from_dict(json.loads(json.dumps(learnt.to_dict())))
        pd.testing.assert_frame_equal(back.apply(rows, LEVELS), learnt.apply(rows, LEVELS))
        pd.testing.assert_frame_equal(
            update_calibration(back, rows).apply(rows), update_calibration(learnt, rows).apply(rows)
        )


def test_a_calibration_saved_before_adapting_existed_still_loads_and_learns():
    rows = stream(np.ones(100), 1)
    old = {name: value for name, value in start(rows).to_dict().items() if name != "adapted"}
    loaded = Calibration.from_dict(json.loads(json.dumps(old)))
    pd.testing.assert_frame_equal(loaded.apply(rows), start(rows).apply(rows))
    assert set(update_calibration(loaded, rows).adapted) == {"50", "80", "90", "95", "99"}


def test_the_level_moves_by_gamma_times_the_miss():
    """Gibbs & Candès: alpha rises by gamma * target after a hit and falls by gamma * (1 - target) after a miss."""
    rows = stream(np.ones(200), 2)
    calibration = start(rows)
    miss, hit = rows.tail(1).assign(y=1e6), rows.tail(1).assign(y=100.0)
    assert update_calibration(calibration, miss, gamma=0.01).effective(80) == pytest.approx(80 + 0.8)
    assert update_calibration(calibration, hit, gamma=0.01).effective(80) == pytest.approx(80 - 0.2)


@pytest.mark.slow
def test_the_level_stays_within_bounds():
    """A 95% interval never uses a level below 47.5% or above 99.5%, however long misses or hits go on."""
    rows = stream(np.ones(200), 2)
    probe, calibration = rows.tail(1), start(rows)
    worse = pd.concat([probe.assign(ds=k, y=1e6 * 2.0**k) for k in range(300)])  # each larger than all that was learnt
    better = pd.concat([probe.assign(ds=k, y=probe["forecast"]) for k in range(1500)])
    assert update_calibration(calibration, worse).effective(95) == pytest.approx(99.5)
    assert update_calibration(calibration, better).effective(95) == pytest.approx(47.5)
    for seen in (worse, better):
        adapted = update_calibration(calibration, seen)
        assert all(
            100 - (50 + (100 - level) / 2) - 1e-9 <= adapted.effective(level) <= 100 - (100 - level) / 10 + 1e-9
            for level in LEVELS
        )
        assert np.isfinite(adapted.apply(probe, LEVELS).filter(regex="^(lo|hi)-")).all(axis=None)


def test_the_same_errors_in_any_order_of_rows_give_the_same_intervals():
    rows = stream(np.linspace(1, 3, 80), 4, series=3)
    first, again, mixed = (
        update_calibration(start(rows), new) for new in (rows, rows, rows.sample(frac=1, random_state=0))
    )
    assert first.to_dict() == again.to_dict() == mixed.to_dict()


def test_no_new_errors_change_nothing():
    rows = stream(np.ones(100), 3)
    calibration = start(rows)
    assert update_calibration(calibration, rows.assign(y=np.nan)) is calibration
    assert update_calibration(calibration, rows.head(0)) is calibration
    constant = replace(calibration, scales={"s0": 0.0})
    assert update_calibration(constant, rows.drop(columns="scale")) is constant


def test_old_scores_lose_half_of_their_weight_over_the_half_life():
    mixed = blend(np.zeros(100), 50.0, np.ones(100), 50.0)
    assert mixed.mean() == pytest.approx(0.5) and len(mixed) == 1000
    rows = stream(np.zeros(60), 0).assign(y=lambda r: r["forecast"] + 5 * r["scale"])
    calibration = start(stream(np.ones(200), 0))
    learnt = update_calibration(calibration, rows, half_life=10)
    old, new = calibration.size * 0.5**6, (1 - 0.5**6) / (1 - 0.5**0.1)  # 60 stamps are six half-lives
    assert learnt.size == pytest.approx(old + new)
    assert (learnt.scores > 4).mean() == pytest.approx(new / (old + new), abs=0.02)


@pytest.mark.parametrize(("change", "named"), [({"gamma": 2.0}, "gamma"), ({"half_life": 0.0}, "half_life")])
def test_options_out_of_range_are_named(change, named):
    rows = stream(np.ones(50), 0)
    with pytest.raises(VurError, match=named):
        update_calibration(start(rows), rows, **change)
    with pytest.raises(VurError, match="'?y"):
        update_calibration(start(rows), rows.drop(columns="y"))


# --- a saved model ---


def shop(days: int, sizes: np.ndarray, seed: int = 0) -> Panel:
    """The first `days` days of two series with a weekly season, whose errors have the standard deviations `sizes`."""
    rng = np.random.default_rng(seed)
    series = {
        name: seasonal(len(sizes), 7, level=level, swing=10, noise=sizes, seed=rng)[:days]
        for name, level in (("a", 100), ("b", 200))
    }
    return panel_of(series, "D", "2023-01-01")


def fitted(panel: Panel, step: int = 7) -> Pipeline:
    """A pipeline calibrated on the last ten weeks that it did not see."""
    rows = []
    for fold in range(10):
        end = panel.frame["ds"].max() - pd.Timedelta(days=(10 - fold) * step)
        train = panel.with_frame(panel.frame[panel.frame["ds"] <= end])
        ahead = Pipeline(Candidate("ets", "ets", {"model": "ANA"})).fit(train).predict(step)
        ahead = ahead.assign(step=ahead.groupby("unique_id").cumcount() + 1, fold=fold)
        rows.append(ahead.merge(panel.frame, on=["unique_id", "ds"]))
    pipeline = Pipeline(Candidate("ets", "ets", {"model": "ANA"})).fit(panel)
    pipeline.calibration = calibrate(pd.concat(rows), pd.Series({"a": 5.0, "b": 5.0}))
    return pipeline


@pytest.mark.slow
def test_adapt_learns_moves_the_origin_and_is_saved(tmp_path):
    sizes = np.where(np.arange(420) < 200, 2.0, 6.0)
    pipeline = fitted(shop(200, sizes))
    static = fitted(shop(200, sizes))
    compared = adapt(pipeline, shop(340, sizes), steps=7)
    static.update(shop(340, sizes))
    assert len(compared) == 2 * 140 and compared["step"].max() == 7
    assert compared.groupby("unique_id")["ds"].is_monotonic_increasing.all()
    assert pipeline.ends["a"] == shop(340, sizes).frame["ds"].max()
    actual = shop(347, sizes).frame
    bands = {
        name: one.predict(7, levels=(95,)).merge(actual, on=["unique_id", "ds"])
        for name, one in (("learnt", pipeline), ("static", static))
    }
    width = {name: (frame["hi-95"] - frame["lo-95"]).mean() for name, frame in bands.items()}
    assert 1.8 < width["learnt"] / width["static"] < 4.5
    pipeline.save(tmp_path / "model")
    again = load_pipeline(tmp_path / "model").predict(7, levels=(80, 95))
    pd.testing.assert_frame_equal(again, pipeline.predict(7, levels=(80, 95)))


def test_adapt_without_anything_new_or_without_intervals_is_refused():
    panel = shop(100, np.full(120, 2.0))
    pipeline = Pipeline(Candidate("naive", "naive")).fit(panel)
    with pytest.raises(VurError, match="naive"):
        adapt(pipeline, panel)
    pipeline.calibration = Calibration(np.array([]), 0.0, 0.5, {"a": 1.0, "b": 1.0})
    with pytest.raises(VurError, match="2023-04-10") as caught:
        adapt(pipeline, panel)
    assert "observações" in caught.value.text("pt-BR")


def test_a_missing_day_and_a_new_series_do_not_stop_adapt():
    panel = shop(100, np.full(120, 2.0))
    pipeline = Pipeline(Candidate("seasonal_naive", "seasonal_naive")).fit(panel)
    pipeline.calibration = Calibration(np.array([]), 0.0, 0.5, {"a": 2.0, "b": 2.0})
    new = shop(114, np.full(120, 2.0)).frame
    new.loc[(new["unique_id"] == "a") & (new["ds"] == "2023-04-13"), "y"] = np.nan
    late = new[new["unique_id"] == "a"].tail(20).assign(unique_id="c")
    compared = adapt(pipeline, panel.with_frame(pd.concat([new, late])), steps=7)
    assert set(compared["unique_id"]) == {"a", "b"} and compared["y"].isna().sum() == 1
    assert "c" in pipeline.ends.index and "c" in pipeline.calibration.scales
    assert pipeline.calibration.size > 20


# --- coverage by step ---


def bands(power: float, level: float = 80.0, series: int = 30, folds: int = 5, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = fold_rows(series, folds, 7)
    return frame.assign(
        y=rng.normal(size=len(frame)) * frame["step"] ** power, forecast=0.0, **{"lo-80": -1.2816, "hi-80": 1.2816}
    )


def test_steps_that_do_not_hold_are_named():
    table = coverage_by_step(bands(0.5), (80,))
    assert table["verdict"].tolist()[0] == "holds" and table["verdict"].tolist()[-1] == "narrow"
    assert (np.diff(table["realised"]) < 6).all()
    for language in LANGUAGES:
        sentence = coverage_sentences(table, language)[0]
        assert step_list(table.loc[table["verdict"] == "narrow", "step"], language) in sentence and "80" in sentence
    wide = coverage_by_step(bands(0.0).assign(**{"lo-80": -3.0, "hi-80": 3.0}), (80,))
    assert (wide["verdict"] == "wide").all()
    both = coverage_by_step(bands(1.0).assign(**{"lo-80": -3.0, "hi-80": 3.0}), (80,))
    assert {"narrow", "wide"} <= set(both["verdict"])
    for table in (wide, both, coverage_by_step(bands(0.0), (80,))):
        assert all(coverage_sentences(table, language) for language in LANGUAGES)


def test_correct_intervals_are_rarely_flagged():
    accused = [(coverage_by_step(bands(0.0, seed=seed), (80,))["verdict"] != "holds").any() for seed in range(40)]
    assert np.mean(accused) <= 0.1


def test_series_that_move_together_count_less():
    rows = bands(0.0, series=40, folds=6)
    shock = np.random.default_rng(1).normal(size=(7, 8))
    same = rows.assign(y=shock[rows["fold"], rows["step"]])
    alone, together = coverage_by_step(rows, (80,)), coverage_by_step(same, (80,))
    assert together["effective"].iloc[0] < 12 and alone["effective"].iloc[0] > 120
    assert (together["high"] - together["low"]).mean() > 2 * (alone["high"] - alone["low"]).mean()


def test_unobserved_rows_do_not_count():
    rows = bands(0.0)
    table = coverage_by_step(rows.assign(y=rows["y"].where(rows["step"] != 3)), (80,))
    assert 3 not in table["step"].tolist() and table["rows"].eq(150).all()
    with pytest.raises(VurError, match="lo-95"):
        coverage_by_step(rows, (95,))
