"""Optimisation of parameters: what is tried, what ends it, how it goes on, and that its gains are told honestly."""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import MemoryCache, panel_of, seasonal

from vur.errors import VurError
from vur.forecasters.baselines import Baseline
from vur.forecasters.registry import REGISTRY, Algorithm, Parameter, register
from vur.panel import Panel
from vur.report.sections import Facts
from vur.report.sections import tuning as section
from vur.stages.model import Candidate, ModelSpec
from vur.stages.model.search_space import OptimizeSpec
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training.budget import Note, Watch
from vur.stages.training.evaluation import Setting, evaluate, fold_key
from vur.stages.training.leaderboard import leaderboard
from vur.stages.training.trials import Trial
from vur.stages.training.tuning import Tuning, tune, tune_candidates

pytestmark = pytest.mark.slow


class Off:
    """A cache that is switched off, as in a run with `--fresh`."""

    def get(self, key):
        return None

    def put(self, key, frame):
        pass


class Clock:
    """Seconds that move on when a model is fitted."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()
FITS: list[dict] = []
EVENTS: dict = {}


class Bowl(Baseline):
    """The seasonal naive forecast, moved by a bowl over `x` and `y`; fails for large `x`.

    Counts its fits and takes a second.
    """

    id = "bowl"

    def _fit(self, panel):
        FITS.append(dict(self.parameters))
        CLOCK.now += 1.0
        if len(FITS) == EVENTS.get("ctrl_c_at"):
            raise KeyboardInterrupt
        x, y = self.parameters["x"], self.parameters["y"]
        if x > 8:
            raise ArithmeticError(f"x = {x:g} is too large")
        super()._fit(panel)
        self.levels = panel_levels(panel) + (x - 3) ** 2 + 0.05 * abs(y - 4)


def panel_levels(panel):
    return np.array([rows["y"].to_numpy()[-12:] for _, rows in panel.frame.groupby("unique_id")])


def register_bowl() -> Candidate:
    register(
        Algorithm(
            "bowl",
            "Bowl",
            "classical",
            "local",
            0.01,
            f"{__name__}:Bowl",
            {
                "x": Parameter("float", 7.0, "m", min=0, max=100, tune={"min": 0.0, "max": 10.0}),
                "y": Parameter("int", 9, "m", min=0, max=50, tune={"min": 0, "max": 9}),
            },
        )
    )
    return Candidate("bowl", "bowl")


@pytest.fixture(autouse=True)
def bowl():
    FITS.clear()
    EVENTS.clear()
    CLOCK.now = 0.0
    yield register_bowl()
    REGISTRY.pop("bowl")


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(0)
    series = {f"s{k}": seasonal(72, level=100 + 10 * k, noise=5, seed=rng) for k in range(2)}
    return panel_of(series, "MS", "2017-01-01")


@pytest.fixture(scope="module")
def setting(panel) -> Setting:
    return Setting(panel, plan_split(panel, SplitSpec(horizon=6, folds=4)))


@pytest.fixture(scope="module")
def long(setting) -> Tuning:
    """A search of 32 combinations on RMSE."""
    return tune(setting, register_bowl(), OptimizeSpec(32, metric="rmse"), watch=watch())


def watch(**options) -> Watch:
    return Watch(CLOCK, **options)


def essence(tuning: Tuning) -> list:
    return [(trial.number, trial.parameters, trial.state, trial.value) for trial in tuning.trials]


# --- what is gained ---


@pytest.mark.parametrize("method", ["bayesian", "random", "grid"])
def test_every_method_finds_better_parameters(setting, bowl, method):
    tuning = tune(setting, bowl, OptimizeSpec(20, method), watch=watch())
    assert tuning.trials[0].parameters == {"x": 7.0, "y": 9} and tuning.trials[0].value == tuning.default_value
    assert tuning.improved and tuning.value < 0.5 * tuning.default_value and tuning.gain > 0.5
    assert abs(tuning.parameters["x"] - 3) < 2
    assert tuning.value == min(t.value for t in tuning.trials if t.state == "complete")


@pytest.mark.slow
def test_real_models_are_never_worse_than_with_default_parameters(setting):
    spaces = {
        "ridge": {"alpha": {"min": 0.1, "max": 1e4, "log": True}},
        "theta": {"model": {}, "decomposition": {}},
        "lightgbm": {"rounds": {"min": 5, "max": 15}, "leaves": {"choices": [3, 7]}},
    }
    names = [Candidate(name, name) for name in ("seasonal_naive", "ridge", "theta")]
    names.append(Candidate("lightgbm", "lightgbm", {"rounds": 10}))
    evaluation = evaluate(setting.panel, setting.plan, names, clock=CLOCK)
    for metric, chosen in (("rmse", ["ridge", "theta", "lightgbm"]), ("r2", ["ridge"])):
        spec = OptimizeSpec(5, metric=metric, search_space={id: spaces[id] for id in chosen})
        result = tune_candidates(setting, evaluation, names, spec, watch=watch())
        board = leaderboard(result.evaluation, setting.plan, setting.panel, metric=metric).set_index("algorithm")
        assert [tuning.candidate for tuning in result.tunings] == chosen
        for tuning in result.tunings:
            assert tuning.gain >= 0
            name = f"{tuning.candidate}-tuned"
            assert tuning.improved == (name in board.index)
            assert board.loc[tuning.candidate, metric] == pytest.approx(tuning.default_value)
            if tuning.improved:
                assert (
                    board.loc[name, metric] == pytest.approx(tuning.value)
                    and board.loc[name, "rank"] < board.loc[tuning.candidate, "rank"]
                )
        assert any(tuning.improved for tuning in result.tunings)


def test_the_best_value_of_r2_is_the_largest(setting, bowl):
    tuning = tune(setting, bowl, OptimizeSpec(12, "random", "r2"), watch=watch())
    assert tuning.value == max(t.value for t in tuning.trials if t.state == "complete") > tuning.default_value
    assert tuning.table()["best"].is_monotonic_increasing


def test_default_parameters_that_stay_best_are_kept(setting, bowl):
    best = replace(bowl, parameters={"x": 3.0, "y": 4})
    spec = OptimizeSpec(6, search_space={"bowl": {"x": {"min": 5.0, "max": 8.0}}})
    evaluation = evaluate(setting.panel, setting.plan, [best], clock=CLOCK)
    result = tune_candidates(setting, evaluation, [best], spec, watch=watch())
    tuning = result.tunings[0]
    assert (tuning.improved, tuning.gain, tuning.parameters, result.candidates) == (False, 0.0, {"x": 3.0, "y": 4}, ())
    assert result.evaluation.status["algorithm"].tolist() == ["bowl"]


def test_given_parameters_are_the_start_and_stay_unless_named(setting, bowl):
    given = replace(bowl, parameters={"y": 1})
    tuning = tune(setting, given, OptimizeSpec(5), watch=watch())
    assert all(set(trial.parameters) == {"x"} for trial in tuning.trials) and tuning.parameters["y"] == 1
    named = tune(setting, given, OptimizeSpec(5, search_space={"bowl": {"y": {"min": 0, "max": 9}}}), watch=watch())
    assert named.trials[0].parameters == {"y": 1} and {t.parameters["y"] for t in named.trials} > {1}


# --- failures, duplicates, pruning ---


def test_failing_combinations_are_listed_with_their_reason_and_then_avoided(setting, bowl):
    spec = OptimizeSpec(40, search_space={"bowl": {"x": {"min": 0.0, "max": 20.0}}})  # three fifths of it fail
    tuning = tune(setting, bowl, spec, watch=watch())
    failed = [trial for trial in tuning.trials if trial.state == "failed"]
    assert len(tuning.trials) == 41 and len(failed) > 5
    assert all(
        "ArithmeticError: x = " in trial.reason and trial.value is None and trial.parameters["x"] > 8
        for trial in failed
    )
    assert "Falhou com ArithmeticError" in failed[0].reason.say("pt-BR")
    assert sum(trial.state == "failed" for trial in tuning.trials[-16:]) < 16 * 0.3
    assert tuning.improved


def test_combinations_that_the_algorithm_refuses_fail_alone(setting, bowl):
    checked = replace(REGISTRY["bowl"], check=f"{__name__}:refuse")
    register(checked)
    tuning = tune(setting, bowl, OptimizeSpec(10, "random"), watch=watch())
    refused = [trial for trial in tuning.trials if trial.state == "failed" and trial.parameters["x"] <= 8]
    assert refused and all(trial.parameters["y"] < 4 and "VurError" in trial.reason for trial in refused)
    assert all(fit["y"] >= 4 for fit in FITS)
    assert tuning.improved


def refuse(values):
    if values["y"] < 4:
        raise VurError("tuning.iterations", value=values["y"], limit=9)


def test_a_failing_default_does_not_end_the_search(setting, bowl):
    broken = replace(bowl, parameters={"x": 50.0})
    tuning = tune(
        setting,
        broken,
        OptimizeSpec(6, "random", search_space={"bowl": {"x": {"min": 1.0, "max": 6.0}}}),
        watch=watch(),
    )
    assert (tuning.trials[0].state, tuning.default_value, tuning.gain, tuning.improved) == ("failed", None, None, True)


def test_when_everything_fails_nothing_is_tuned(setting, bowl):
    broken = replace(bowl, parameters={"x": 50.0})
    spec = OptimizeSpec(3, search_space={"bowl": {"x": {"min": 20.0, "max": 60.0}}})
    result = tune_candidates(
        setting, evaluate(setting.panel, setting.plan, [broken], clock=CLOCK), [broken], spec, watch=watch()
    )
    assert [trial.state for trial in result.tunings[0].trials] == ["failed"] * 4
    assert (result.candidates, result.tunings[0].value, result.tunings[0].improved) == ((), None, False)


@pytest.mark.parametrize("cache", [None, MemoryCache(), Off()], ids=["no cache", "cache", "cache switched off"])
def test_nothing_is_computed_twice(setting, bowl, cache):
    setting = replace(setting, cache=cache)
    evaluation = evaluate(setting.panel, setting.plan, [bowl], clock=CLOCK, cache=cache)
    FITS.clear()
    spec = OptimizeSpec(30, search_space={"bowl": {"x": {"choices": [2, 5]}, "y": {"choices": [3, 4, 5]}}})
    result = tune_candidates(setting, evaluation, [bowl], spec, watch=watch())
    tuning = result.tunings[0]
    assert len(tuning.trials) == 7 and tuning.total == 6  # all six combinations and the default
    fits = [json.dumps(fit, sort_keys=True) for fit in FITS]
    folds = {text: fits.count(text) for text in fits}
    best = json.dumps({"x": tuning.parameters["x"], "y": tuning.parameters["y"]}, sort_keys=True)
    canary = folds.pop(best) - 4  # the leakage check of the winner is the only other work
    assert canary in (3, 4, 5) and all(count <= 4 for count in folds.values())
    assert json.dumps({"x": 7.0, "y": 9}, sort_keys=True) not in folds
    assert "no other was found" in tuning.notes[0]


def test_poor_combinations_are_pruned(setting, bowl):
    tuning = tune(setting, bowl, OptimizeSpec(30, "random"), watch=watch())
    pruned = [trial for trial in tuning.trials if trial.state == "pruned"]
    assert pruned and all(1 < len(trial.running) < 4 and trial.number > 5 for trial in pruned)
    assert "of 4 folds" in pruned[0].reason
    median = np.median([trial.running[1] for trial in tuning.trials if trial.state == "complete"])
    assert (
        all(trial.running[-1] > tuning.value for trial in pruned)
        and min(trial.value for trial in pruned) > 0.5 * median
    )
    fits = sum(len(trial.running) for trial in tuning.trials if trial.state != "failed") + sum(
        t.state == "failed" for t in tuning.trials
    )
    assert len(FITS) == fits < 4 * 31


def test_one_fold_is_enough_to_search_but_not_for_an_honest_value(panel, bowl):
    one = Setting(panel, plan_split(panel, SplitSpec(horizon=6, folds=1)))
    tuning = tune(one, bowl, OptimizeSpec(10), watch=watch())
    assert (
        tuning.improved and tuning.honest_value is None and {t.state for t in tuning.trials} <= {"complete", "failed"}
    )


def test_without_refitting_the_folds_are_followed_by_one_fit(panel, bowl):
    moved = Setting(panel, plan_split(panel, SplitSpec(horizon=6, folds=3, refit=False)))
    tuning = tune(
        moved, bowl, OptimizeSpec(3, "random", search_space={"bowl": {"x": {"min": 1.0, "max": 6.0}}}), watch=watch()
    )
    assert tuning.improved and len(tuning.trials) == 4


def test_no_folds_is_an_error(setting, bowl):
    with pytest.raises(VurError, match="'bowl' cannot be optimised"):
        tune(replace(setting, plan=replace(setting.plan, folds=())), bowl, OptimizeSpec(3), watch=watch())


# --- the same again ---


@pytest.mark.parametrize("method", ["bayesian", "random", "grid"])
def test_the_same_seed_gives_the_same_search(setting, bowl, method):
    first, second = (tune(setting, bowl, OptimizeSpec(9, method), watch=watch()) for _ in range(2))
    other = tune(replace(setting, seed=1), bowl, OptimizeSpec(9, method), watch=watch())
    assert essence(first) == essence(second) and essence(first) != essence(other)
    assert len({json.dumps(t.parameters) for t in first.trials}) == 10


@pytest.mark.parametrize("method", ["bayesian", "random", "grid"])
def test_a_resumed_search_equals_an_uninterrupted_one(setting, bowl, method, tmp_path):
    whole = tune(setting, bowl, OptimizeSpec(16, method), watch=watch())
    EVENTS["ctrl_c_at"] = len(FITS) + 24
    keeper = watch()
    first = tune(setting, bowl, OptimizeSpec(16, method), watch=keeper, storage=tmp_path)
    assert keeper.interrupted and 3 < len(first.trials) < 17 and first.improved
    assert essence(first) == essence(whole)[: len(first.trials)]
    EVENTS.clear()
    before = len(FITS)
    resumed = tune(setting, bowl, OptimizeSpec(16, method), watch=watch(), storage=tmp_path)
    assert essence(resumed) == essence(whole)
    assert (resumed.parameters, resumed.honest_value, resumed.importances) == (
        whole.parameters,
        whole.honest_value,
        whole.importances,
    )
    again = len(FITS) - before
    assert again < sum(len(t.running) or 1 for t in whole.trials[len(first.trials) :]) + 1
    assert essence(tune(setting, bowl, OptimizeSpec(16, method), watch=watch(), storage=tmp_path)) == essence(whole)
    assert len(FITS) == before + again


def test_another_space_or_other_data_begin_a_new_study(setting, bowl, tmp_path):
    tune(setting, bowl, OptimizeSpec(3), watch=watch(), storage=tmp_path)
    fewer = tune(setting, bowl, OptimizeSpec(1), watch=watch(), storage=tmp_path)
    assert len(fewer.trials) == 2 and len(list(tmp_path.glob("*.journal"))) == 1
    tune(
        setting,
        bowl,
        OptimizeSpec(3, search_space={"bowl": {"x": {"min": 1, "max": 2}}}),
        watch=watch(),
        storage=tmp_path,
    )
    changed = replace(
        setting, panel=replace(setting.panel, frame=setting.panel.frame.assign(y=setting.panel.frame["y"] + 1))
    )
    tune(changed, bowl, OptimizeSpec(3), watch=watch(), storage=tmp_path)
    assert len(list(tmp_path.glob("*.journal"))) == 3


def test_a_damaged_study_is_named(setting, bowl, tmp_path):
    tune(setting, bowl, OptimizeSpec(2), watch=watch(), storage=tmp_path)
    path = next(tmp_path.glob("*.journal"))
    path.write_text("\n".join(["nothing", *path.read_text().splitlines()]) + "\n")
    with pytest.raises(VurError, match="cannot be read") as caught:
        tune(setting, bowl, OptimizeSpec(4), watch=watch(), storage=tmp_path)
    assert str(path) in caught.value.text("pt-BR") and "recomeça" in caught.value.text("pt-BR")
    evaluation = evaluate(setting.panel, setting.plan, [bowl], clock=CLOCK)
    result = tune_candidates(setting, evaluation, [bowl], OptimizeSpec(4), watch=watch(), storage=tmp_path)
    assert "optimisation of bowl failed" in result.notes[0] and result.evaluation.forecasts.equals(evaluation.forecasts)


# --- what ends it ---


def test_stop_ends_with_the_best_so_far(setting, bowl):
    keeper = watch(stop=lambda: len(FITS) >= 22)
    tuning = tune(setting, bowl, OptimizeSpec(50, "random"), watch=keeper)
    assert keeper.interrupted and 5 <= len(tuning.trials) < 12 and tuning.improved
    assert f"stopped after {len(tuning.trials)} of 51" in tuning.notes[0]


def test_ctrl_c_ends_with_the_best_so_far(setting, bowl):
    EVENTS["ctrl_c_at"] = 30
    evaluation = evaluate(setting.panel, setting.plan, [bowl], clock=CLOCK)
    keeper = watch()
    result = tune_candidates(setting, evaluation, [bowl], OptimizeSpec(50, "random"), watch=keeper)
    assert keeper.interrupted and result.evaluation.interrupted
    assert [candidate.id for candidate in result.candidates] == ["bowl-tuned"]
    assert "bowl-tuned" in set(result.evaluation.forecasts["algorithm"])


def test_the_search_respects_its_time_limit(setting, bowl):
    tuning = tune(setting, bowl, OptimizeSpec(500, "random", time_limit=40.0), watch=watch())
    assert 25 < CLOCK.now <= 40 and tuning.seconds <= 40
    assert "have exceeded the time limit" in tuning.notes[0]


def test_the_search_respects_the_time_budget_of_the_training(setting, bowl):
    keeper = watch(budget=50.0, per_fold={"theta": 5.0})  # 11 s of it are kept for the final fits
    tune(setting, bowl, OptimizeSpec(500, "random"), watch=keeper)
    assert 25 < CLOCK.now <= 39 and not keeper.interrupted


def test_the_time_limit_is_shared_by_the_algorithms(setting, bowl):
    register(replace(REGISTRY["bowl"], id="bowl2"))
    names = [bowl, Candidate("bowl2", "bowl2")]
    evaluation = evaluate(setting.panel, setting.plan, names, clock=CLOCK)
    started = CLOCK.now
    result = tune_candidates(
        setting,
        evaluation,
        names,
        OptimizeSpec(500, "random", time_limit=80.0, algorithms=["bowl", "bowl2"]),
        watch=watch(),
    )
    REGISTRY.pop("bowl2")
    counts = [len(tuning.trials) for tuning in result.tunings]
    assert CLOCK.now - started < 80 + 8 and min(counts) > 0.5 * max(counts) > 5


def test_no_time_at_all_tries_nothing(setting, bowl):
    evaluation = evaluate(setting.panel, setting.plan, [bowl], clock=CLOCK)
    result = tune_candidates(setting, evaluation, [bowl], OptimizeSpec(9), watch=watch(budget=0.0))
    assert result.tunings[0].trials == () and result.candidates == () and len(result.tunings[0].notes) == 1


# --- which algorithms ---


def test_the_best_tunable_ones_are_tuned_when_none_is_named(setting, bowl):
    names = [
        Candidate("seasonal_naive", "seasonal_naive"),
        Candidate("ridge", "ridge"),
        replace(bowl, parameters={"x": 3.2}),
        Candidate("random_forest", "random_forest", {"trees": 3}),
    ]
    evaluation = evaluate(setting.panel, setting.plan, names, clock=CLOCK)
    order = leaderboard(evaluation, setting.plan, setting.panel)["algorithm"].tolist()
    result = tune_candidates(setting, evaluation, names, OptimizeSpec(1), watch=watch())
    assert [tuning.candidate for tuning in result.tunings] == [name for name in order if name != "seasonal_naive"][:2]


def test_those_that_the_user_named_are_tuned(setting, bowl):
    names = [Candidate("seasonal_naive", "seasonal_naive"), Candidate("ridge", "ridge"), bowl]
    evaluation = evaluate(setting.panel, setting.plan, names, clock=CLOCK)

    def tuned(spec, model=None):
        result = tune_candidates(setting, evaluation, names, spec, model=model or ModelSpec(), watch=watch())
        return [tuning.candidate for tuning in result.tunings], list(result.notes)

    assert tuned(OptimizeSpec(1, algorithms=["bowl"])) == (["bowl"], [])
    assert tuned(OptimizeSpec(1), ModelSpec(("bowl", "seasonal_naive"))) == (["bowl"], [])
    assert tuned(OptimizeSpec(1), ModelSpec(("seasonal_naive",))) == ([], [Note("tuning.note.nothing")])
    assert tuned(OptimizeSpec(0), ModelSpec(("bowl",))) == ([], [])


def test_an_algorithm_whose_parameters_are_all_given_is_left_alone_with_a_note(setting, bowl):
    given = replace(bowl, parameters={"x": 3.0, "y": 4})
    evaluation = evaluate(setting.panel, setting.plan, [given], clock=CLOCK)
    result = tune_candidates(setting, evaluation, [given], OptimizeSpec(3, algorithms=["bowl"]), watch=watch())
    assert result.tunings == () and "all tunable parameters are given" in result.notes[0]


def test_an_algorithm_that_was_too_slow_is_not_searched(setting, bowl):
    evaluation = evaluate(setting.panel, setting.plan, [bowl], clock=CLOCK)
    evaluation = replace(
        evaluation, status=evaluation.status.assign(state="skipped"), forecasts=evaluation.forecasts.head(0)
    )
    result = tune_candidates(setting, evaluation, [bowl], OptimizeSpec(3, algorithms=["bowl"]), watch=watch())
    assert result.tunings == () and "did not finish" in result.notes[0]


def test_one_named_for_the_search_only_competes_with_default_and_tuned(setting, bowl):
    names = [Candidate("seasonal_naive", "seasonal_naive")]
    evaluation = evaluate(setting.panel, setting.plan, names, clock=CLOCK)
    result = tune_candidates(setting, evaluation, names, OptimizeSpec(4, "random", algorithms=["bowl"]), watch=watch())
    assert [candidate.id for candidate in result.candidates] == ["bowl", "bowl-tuned"]
    assert set(result.evaluation.status["algorithm"]) == {"seasonal_naive", "bowl", "bowl-tuned"}


# --- the leaderboard, honesty ---


def test_the_leaderboard_shows_default_and_tuned_with_a_warning(setting, bowl):
    names = [Candidate("seasonal_naive", "seasonal_naive"), bowl]
    evaluation = evaluate(setting.panel, setting.plan, names, clock=CLOCK)
    result = tune_candidates(setting, evaluation, names, OptimizeSpec(20, "random"), watch=watch())
    board = leaderboard(result.evaluation, setting.plan, setting.panel).set_index("algorithm")
    assert (
        board.loc["bowl-tuned", "mase"] == pytest.approx(result.tunings[0].value)
        and board.loc["bowl", "mase"] > board.loc["bowl-tuned", "mase"]
    )
    note = board.loc["bowl-tuned", "note"]
    assert "chosen among 21 combinations" in note and "save" in note and "%" in note
    assert "nestas mesmas janelas" in note.say("pt-BR")
    assert board.loc["bowl-tuned", "seconds"] == pytest.approx(4.0)
    assert result.evaluation.canary.set_index("algorithm").loc["bowl-tuned", "passed"]
    assert len(result.evaluation.forecasts) == 3 * len(evaluation.forecasts) // 2


@pytest.mark.slow
def test_luck_is_not_reported_as_a_gain(panel):
    """`x` changes nothing but the noise: the gain of the best of many is luck, as choosing without each fold shows."""
    register(
        Algorithm(
            "dice",
            "Dice",
            "classical",
            "local",
            0.01,
            f"{__name__}:Dice",
            {"x": Parameter("float", 0.5, "m", min=0, max=1, tune={"min": 0.0, "max": 1.0})},
        )
    )
    setting = Setting(panel, plan_split(panel, SplitSpec(horizon=3, folds=5)))
    gains, honest = [], []
    for seed in range(3):
        tuning = tune(replace(setting, seed=seed), Candidate("dice", "dice"), OptimizeSpec(20, "random"), watch=watch())
        typical = np.median([trial.value for trial in tuning.trials if trial.state == "complete"])
        gains.append(1 - tuning.value / typical)
        honest.append(1 - tuning.honest_value / typical)
    REGISTRY.pop("dice")
    assert min(gains) > 0.02 and np.mean(honest) < np.mean(gains) / 2


class Dice(Baseline):
    """The seasonal naive forecast with noise that is seeded by a parameter and the length of the history."""

    id = "dice"

    def _fit(self, panel):
        super()._fit(panel)
        rng = np.random.default_rng([int(self.parameters["x"] * 1e6), len(panel.frame)])
        self.levels = panel_levels(panel) + rng.normal(0, 3, (len(self.ids), 12))


def test_a_real_gain_has_an_unbiased_estimate(long):
    assert long.honest_gain == pytest.approx(long.gain, rel=0.15)


# --- progress, saving, report ---


def test_progress_reports_trials_and_the_best_so_far(setting, bowl):
    told = []
    tune(
        setting,
        bowl,
        OptimizeSpec(10, "random"),
        watch=watch(),
        progress=lambda fraction, key, **data: told.append((fraction, key, data)),
    )
    fractions, keys, data = zip(*told, strict=True)
    assert list(fractions) == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0
    assert set(keys) == {"tuning.progress.trial"} and data[-1]["trial"] == data[-1]["trials"] == 10
    best = [entry["best"]["value"] for entry in data if "best" in entry]
    assert (
        best == sorted(best, reverse=True)
        and data[-1]["best"]["algorithm"] == "bowl-tuned"
        and data[-1]["best"]["metric"] == "MASE"
    )


def test_a_tuning_survives_saving(setting, bowl):
    tuning = tune(
        setting,
        bowl,
        OptimizeSpec(20, "random", search_space={"bowl": {"x": {"min": 0, "max": 12}, "y": {"min": 0, "max": 9}}}),
        watch=watch(),
    )
    again = Tuning.from_dict(json.loads(json.dumps(tuning.to_dict(), allow_nan=False)))
    assert again == tuning and again.gain == tuning.gain
    assert {t.state for t in again.trials} == {"complete", "pruned", "failed"}
    assert again.table()["reason"].map(lambda note: isinstance(note, Note)).sum() == sum(
        t.state != "complete" for t in again.trials
    )


def test_importances_need_fifteen_trials_and_find_the_parameter_that_matters(setting, bowl, long):
    assert tune(setting, bowl, OptimizeSpec(10), watch=watch()).importances == {}
    found = long.importances
    assert list(found) == ["x", "y"] and sum(found.values()) == pytest.approx(1) and found["x"] > 0.6


class Trained:
    """What the report's section looks at of a training."""

    def __init__(self, tunings, winner="bowl-tuned", test_scores=()):
        self.tunings, self.winner, self.test_scores = tunings, winner, test_scores


def told(training, language="en"):
    return section.part(section.collect(Facts(None, training, None, pd.DataFrame())), language)


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_the_report_shows_trials_gain_and_unbiased_gain(long, language):
    tuning = long
    part = told(Trained([tuning], test_scores=[1, 2]), language)
    text = " ".join(part.sentences)
    comma = (lambda value: value.replace(".", ",")) if language == "pt-BR" else str
    assert (
        comma(f"{100 * tuning.gain:.1f}%") in text
        and comma(f"{100 * tuning.honest_gain:.1f}%") in text
        and "RMSE" in text
        and " 33 " in text
    )
    assert ("held-out test" in text) if language == "en" else ("teste reservado" in text)
    history, importance, best = part.blocks
    assert history.figure["data"][0]["type"] == "scatter" and importance.figure["data"][0]["type"] == "bar"
    steps = next(trace for trace in history.figure["data"] if trace.get("line", {}).get("shape") == "hv")["y"]
    known = [value for value in steps if value is not None]
    assert known == sorted(known, reverse=True) and len(steps) == 33
    complete = sum(trial.state == "complete" for trial in tuning.trials)
    assert len(best.table["rows"]) == complete and best.table["marked"] == {0} and "x = " in best.table["rows"][0][2]
    json.dumps([history.figure, importance.figure], allow_nan=False)


def test_the_report_says_luck_keeping_and_nothing(setting, bowl):
    tuning = tune(setting, bowl, OptimizeSpec(9, "random"), watch=watch())
    assert tuning.improved
    lucky = replace(tuning, honest_value=tuning.default_value * 1.1)
    assert (
        "may be luck" in told(Trained([lucky])).sentences[0]
        and "no held-out test" in told(Trained([lucky])).sentences[-1]
    )
    kept = replace(tuning, value=tuning.default_value)
    assert (
        "which are kept" in told(Trained([kept], "bowl")).sentences[0]
        and len(told(Trained([kept], "bowl")).sentences) == 1
    )
    nothing = replace(
        tuning, trials=(), value=None, default_value=None, notes=(Note("tuning.note.time", done=0, iterations=4),)
    )
    assert (
        "no combination" in told(Trained([nothing], "bowl")).sentences[0]
        and told(Trained([nothing], "bowl")).blocks == []
    )
    assert section.collect(Facts(None, Trained(()), None, pd.DataFrame())) is None
    assert section.collect(Facts(None, object(), None, pd.DataFrame())) is None


def test_text_of_data_cannot_become_markup():
    trial = Trial(0, {"x": "<b>%{y}</b>"}, "complete", 1.0, (1.0,), (1.0,))
    tuning = Tuning(
        "bowl", "bowl", "mase", "random", {}, {}, 1.0, 1.0, None, (trial,), space={"x": {"choices": ["<b>"]}}
    )
    text = section.history_spec(tuning)["data"][0]["text"][0]
    assert "<b>" not in text and "%{" not in text


def test_optuna_stays_silent_and_unloaded(setting, bowl, capfd):
    import subprocess

    tune(setting, bowl, OptimizeSpec(10), watch=watch())
    out, err = capfd.readouterr()
    assert out == "" and err == ""
    code = "import sys, vur.stages.training.tuning, vur.stages.model.search_space; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_fold_forecasts_of_the_winner_are_in_the_cache(setting, bowl):
    cache = MemoryCache()
    kept = replace(setting, cache=cache)
    tuning = tune(kept, bowl, OptimizeSpec(6, "random"), watch=watch())
    winner = Candidate("bowl-tuned", "bowl", tuning.parameters)
    assert all(cache.get(fold_key(kept, winner, fold.number)) is not None for fold in kept.plan.folds)
