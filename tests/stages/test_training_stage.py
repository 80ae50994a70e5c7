"""Training: its results when all goes well, when time runs out, when it is interrupted, and when models fail."""

import json
import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import MemoryCache, panel_of, seasonal

from vur.errors import VurError
from vur.forecasters.base import Forecaster
from vur.forecasters.baselines import Baseline
from vur.forecasters.registry import REGISTRY, Algorithm, register
from vur.frequency import Frequency
from vur.panel import Panel
from vur.scoring.metrics import is_reference
from vur.stages.model import Candidate, ModelSpec, candidates
from vur.stages.model.pipeline import Pipeline, load_pipeline
from vur.stages.model.search_space import OptimizeSpec
from vur.stages.preprocess.preprocessor import PreprocessSpec
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training import load_training, train
from vur.stages.training.budget import FoldWatch, Note, Watch


def monthly(series: int = 4, rows: int = 84, integer: bool = False) -> Panel:
    rng = np.random.default_rng(0)
    values = {f"s{k}": seasonal(rows, level=60 + 10 * k, noise=4, seed=rng) for k in range(series)}
    panel = panel_of({id: y.round() for id, y in values.items()} if integer else values, "MS", "2017-01-01")
    return replace(panel, integer=integer, nonnegative=True)


def named(*ids) -> list[Candidate]:
    return [Candidate(name, name) for name in ids]


QUICK = named("seasonal_naive", "drift", "mean", "log_theta", "theta")


class Ticks:
    """A clock that moves on at each look, or when a test says so."""

    def __init__(self, step=0.0):
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def run(panel, chosen=QUICK, spec=None, **options):
    plan = plan_split(panel, spec or SplitSpec(horizon=6, folds=2))
    return train(panel, plan, chosen, **{"clock": lambda: 0.0, **options})


@pytest.fixture(scope="module")
def panel() -> Panel:
    return monthly()


@pytest.fixture(scope="module")
def trained(panel):
    return run(panel)


@pytest.fixture
def extra():
    """Registers algorithms for one test: `extra(id, forecast=function(model, panel, horizon))`."""
    added = []

    def add(id, forecast, cost=0.5):
        kind = type(id, (Baseline,), {"id": id, "_learn": staticmethod(forecast)})

        def _fit(self, panel):
            Baseline._fit(self, panel)
            type(self)._learn(self, panel)

        kind._fit = _fit
        register(Algorithm(id, id, "classical", "local", cost, f"{__name__}:{id}"))
        globals()[id] = kind
        added.append(id)
        return Candidate(id, id)

    yield add
    for id in added:
        REGISTRY.pop(id)
        globals().pop(id)


# --- the normal case ---


def test_leaderboard_has_every_promised_column(trained):
    promised = (
        "rank algorithm chosen mase mae rmse mape smape rmsse wape r2 bias pbias skill wql coverage-80 width-80 "
        "winkler-80 coverage-95 width-95 winkler-95 seconds note"
    ).split()
    assert set(promised) <= set(trained.leaderboard.columns)
    assert trained.leaderboard["rank"].tolist() == list(range(1, 7))
    assert trained.leaderboard["mase"].is_monotonic_increasing, "ranks follow the metric, whatever is chosen"
    assert trained.leaderboard.loc[trained.leaderboard["chosen"], "algorithm"].tolist() == [trained.winner]


def test_skill_is_measured_against_seasonal_naive(trained):
    board = trained.leaderboard.set_index("algorithm")
    np.testing.assert_allclose(board["skill"], 1 - board["mase"] / board.loc["seasonal_naive", "mase"])
    assert board.loc["theta", "skill"] > 0 > board.loc["mean", "skill"]


def test_scores_by_step_and_by_series(trained):
    assert trained.by_step.groupby("algorithm")["step"].nunique().eq(6).all()
    assert trained.by_series.groupby("algorithm")["unique_id"].nunique().eq(4).all()


def test_all_candidates_are_scored_on_the_same_rows(trained):
    rows = trained.evaluation.forecasts
    keys = [set(map(tuple, part[["fold", "unique_id", "ds"]].to_numpy())) for _, part in rows.groupby("algorithm")]
    assert all(key == keys[0] for key in keys)


def test_test_part_took_no_part_in_choosing(panel, trained):
    plan = plan_split(panel, SplitSpec(horizon=6, folds=2))
    scored = trained.evaluation.forecasts["ds"]
    assert plan.test is not None and scored.max() <= plan.test.cutoffs.max()
    spoiled = panel.frame.assign(y=panel.frame["y"].where(panel.frame["ds"] <= plan.test.cutoffs.max(), 1.0))
    other = run(panel.with_frame(spoiled))
    pd.testing.assert_frame_equal(
        other.leaderboard.drop(columns="seconds"), trained.leaderboard.drop(columns="seconds")
    )
    assert trained.test_scores["algorithm"].tolist() == [trained.winner, "seasonal_naive"]
    assert other.test_scores.loc[0, "mae"] > trained.test_scores.loc[0, "mae"]


def test_same_input_same_forecast_to_the_last_digit(panel, trained):
    one, two = (t.pipeline.predict(12, levels=(80, 95)) for t in (trained, run(panel, workers=2)))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_forecast_frame_is_as_promised(panel, trained):
    frame = trained.pipeline.predict(6, levels=(80, 95))
    assert frame.columns.tolist() == ["unique_id", "ds", "forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert frame["ds"].min() == pd.Timestamp("2024-01-01") and len(frame) == 24
    assert (frame["lo-95"] <= frame["lo-80"]).all() and (frame["hi-80"] <= frame["hi-95"]).all()


def test_saved_training_forecasts_the_same(trained, tmp_path):
    back = load_training(trained.save(tmp_path / "t"))
    pd.testing.assert_frame_equal(
        back.pipeline.predict(9, levels=(80, 95)), trained.pipeline.predict(9, levels=(80, 95)), check_exact=True
    )
    pd.testing.assert_frame_equal(back.leaderboard, trained.leaderboard)
    assert (back.winner, back.completed, back.canary) == (trained.winner, trained.completed, trained.canary)
    assert all(not path.name.endswith((".pkl", ".pickle")) for path in (tmp_path / "t").rglob("*"))


def test_notes_are_translated_to_portuguese(panel):
    early = run(panel, stop=lambda: True).in_language("pt-BR")
    assert early.leaderboard["note"].iloc[-1].startswith("Não iniciado")
    assert early.status["reason"].iloc[-1].startswith("Não iniciado")


def test_progress_rises_to_the_end_and_names_the_best(panel):
    seen = []
    run(panel, progress=lambda fraction, key, **data: seen.append((fraction, key, data)))
    fractions = [fraction for fraction, _, _ in seen]
    assert fractions == sorted(fractions) and 0 <= fractions[0] and fractions[-1] <= 1
    best = [data["best"] for _, _, data in seen if "best" in data]
    assert best and {"algorithm", "metric", "value"} <= best[-1].keys()


TINY = {
    "architecture": {"layers": [{"type": "gru", "units": 2}, {"type": "dense", "units": 6}]},
    "training": {"epochs": 1},
}


@pytest.mark.parametrize(
    "model",
    [
        ModelSpec(("theta",), ensemble=False),
        ModelSpec(("theta", "ets", "ridge"), metric="rmse"),
        ModelSpec(("ridge",), ensemble=False, optimize=OptimizeSpec(3, "random", metric="rmse")),
        ModelSpec(("mean", "ets"), ensemble=False),
        ModelSpec(("seasonal_naive",), ensemble=False, networks={"own": TINY}),
    ],
    ids=["one", "ensemble", "tuned", "named-reference", "network"],
)
def test_the_best_so_far_is_the_least_error_of_all_that_compete_at_every_moment(panel, model):
    seen = []
    trained = run(panel, candidates(panel, model), model=model, progress=lambda f, key, **data: seen.append(data))
    board = trained.leaderboard[trained.leaderboard["rank"].notna()].set_index("algorithm")
    named = () if model.networks else model.named
    competing = [name for name in board.index if name in named or not is_reference(name)]
    metric, told = trained.metric, [data["best"] for data in seen if "best" in data]
    assert told[-1]["algorithm"] == board.loc[competing, metric].idxmin()
    assert told[-1]["value"] == pytest.approx(board.loc[competing, metric].min())
    values = [best["value"] for best in told]
    assert values == sorted(values, reverse=True)
    for best in told:
        assert best["algorithm"] in competing or best["algorithm"].endswith("-tuned")
        assert best["metric"] == metric.upper() and best["scores"][metric] == best["value"]
    for name in ("mae", "rmse", "mase"):
        assert told[-1]["scores"][name] == pytest.approx(board.loc[told[-1]["algorithm"], name])
    first = next(place for place, data in enumerate(seen) if "best" in data)
    assert all("best" in data for data in seen[first:])


# --- choosing ---


@pytest.mark.parametrize("metric", ["mae", "rmse", "smape", "rmsse", "wape", "r2", "mape"])
def test_ranks_on_the_requested_metric(panel, metric):
    board = run(panel, model=ModelSpec(metric=metric)).leaderboard
    assert board[metric].is_monotonic_decreasing if metric == "r2" else board[metric].is_monotonic_increasing


def test_mape_with_zeros_ranks_on_mase_and_says_why(panel):
    frame = panel.frame.copy()
    frame.loc[frame["ds"] == frame["ds"].max() - pd.DateOffset(months=8), "y"] = 0.0
    result = run(panel.with_frame(frame), model=ModelSpec(metric="mape"))
    assert result.metric == "mase" and "MAPE" in result.leaderboard.loc[0, "note"]
    assert result.leaderboard["mase"].is_monotonic_increasing


def test_candidates_begin_with_the_reference_and_go_from_cheap_to_expensive(panel):
    chosen = candidates(panel)
    costs = [REGISTRY[c.algorithm].cost for c in chosen[1:]]
    assert chosen[0].id == "seasonal_naive" and costs == sorted(costs)
    naive = ["seasonal_naive", "naive", "drift"]
    assert [c.id for c in candidates(panel, ModelSpec(("theta",)))] == [*naive, "theta"]


@pytest.mark.parametrize(
    ("options", "named_value"),
    [
        ({"algorithms": ("prophetess",)}, "prophetess"),
        ({"metric": "speed"}, "speed"),
        ({"algorithms": ()}, "auto"),
        ({"parameters": {"theta": {"zeta": 1}}}, "zeta"),
        ({"parameters": {"seasonal_naive": {"season": -1}}}, "-1"),
    ],
)
def test_wrong_options_are_named(options, named_value):
    with pytest.raises(VurError, match=named_value):
        ModelSpec(**options)


def test_ensemble_is_made_of_its_members_and_forecasts_as_scored(panel):
    result = run(panel)
    assert result.winner == "ensemble"
    given = result.pipeline.candidate.parameters
    wide = result.evaluation.forecasts.pivot(index=["fold", "unique_id", "ds"], columns="algorithm", values="forecast")
    expected = wide[given.get("core") or given["members"]].median(axis=1)
    if given["method"] == "blend":
        expected = sum(
            weight * (expected if name == "median" else wide[name]) for name, weight in given["weights"].items()
        )
    np.testing.assert_allclose(wide["ensemble"], expected)
    ahead = {
        name: member.predict(6)["forecast"]
        for name, member in zip(result.pipeline.forecaster.names, result.pipeline.forecaster.members, strict=True)
    }
    assert (
        result.pipeline.predict(6)["forecast"]
        .between(pd.DataFrame(ahead).min(axis=1) - 1e-9, pd.DataFrame(ahead).max(axis=1) + 1e-9)
        .all()
    )
    assert result.leaderboard["weight"].sum() == pytest.approx(1) and result.leaderboard.set_index("algorithm")[
        "weight"
    ].notna().sum() == len(given["members"])
    assert "ensemble" not in run(panel, model=ModelSpec(ensemble=False)).leaderboard["algorithm"].tolist()


@pytest.mark.parametrize("metric", ["mase", "rmse", "smape"])
def test_an_ensemble_is_not_used_where_the_best_single_model_is_better_by_more_than_chance(metric):
    panel = monthly(series=12)
    result = run(panel, named("seasonal_naive", "theta", "ces", "drift", "ridge"), model=ModelSpec(metric=metric))
    scores = result.leaderboard.set_index("algorithm")[metric]
    assert result.winner == scores.index[0] or not result.choice.to_leader.certain
    assert scores[result.winner] < 1.02 * scores.min()


def test_a_perfect_model_is_not_diluted():
    panel = monthly(series=12)
    line = panel.frame.assign(y=panel.frame.groupby("unique_id").cumcount() * 2.0 + 10)
    board = run(panel.with_frame(line), named("seasonal_naive", "drift", "mean", "naive")).leaderboard
    assert "ensemble" not in board["algorithm"].tolist() and board.loc[0, "algorithm"] == "drift"


# --- the target's nature ---


def test_counts_have_whole_intervals_around_expected_values():
    result = run(monthly(integer=True), named("seasonal_naive", "mean"))
    frame = result.pipeline.predict(6, levels=(80, 95))
    numbers = frame.drop(columns=["unique_id", "ds"])
    assert (numbers.drop(columns="forecast") % 1 == 0).all(axis=None) and (numbers >= 0).all(axis=None)
    means = result.evaluation.forecasts.query("algorithm == 'mean'")["forecast"]
    assert (means % 1 > 0).any()


def test_falling_sales_do_not_go_below_zero():
    panel = monthly()
    falling = panel.frame.assign(y=np.tile(np.linspace(100, 1, 84), 4))
    result = run(panel.with_frame(falling), named("seasonal_naive", "drift"))
    frame = result.pipeline.predict(24, levels=(80, 95))
    assert result.winner == "drift" and (frame.drop(columns=["unique_id", "ds"]) >= 0).all(axis=None)


def test_missing_values_are_filled_for_models_but_never_scored(panel):
    frame = panel.frame.copy()
    frame.loc[frame.index[::9], "y"] = np.nan
    result = run(panel.with_frame(frame))
    scored = result.evaluation.forecasts
    assert scored["forecast"].notna().all() and scored["y"].isna().any()
    assert result.leaderboard["mase"].notna().all()


@pytest.mark.parametrize(
    "transforms",
    [("log1p",), ("standard",), ("box_cox", "standard"), ("seasonal_difference",), ("log1p", "difference")],
)
def test_transforms_are_inverted(panel, transforms, tmp_path):
    result = run(panel, named("seasonal_naive", "drift", "mean"), preprocess=PreprocessSpec(transforms=transforms))
    frame = result.pipeline.predict(6, levels=(80,))
    assert frame["forecast"].between(0, 200).all()
    back = load_pipeline(result.pipeline.save(tmp_path / "p"))
    pd.testing.assert_frame_equal(back.predict(6, levels=(80,)), frame, check_exact=True)


# --- awkward panels ---


def test_a_panel_too_short_for_any_fold_still_forecasts():
    panel = monthly(series=2, rows=3)
    result = run(panel, spec=SplitSpec())
    assert result.winner and len(result.pipeline.predict(3, levels=(80, 95))) == 6
    assert len(result.leaderboard) >= 1


def test_short_series_are_left_out_of_folds_but_forecast(panel):
    newcomer = panel.frame[panel.frame["unique_id"] == "s0"].tail(4).assign(unique_id="young")
    frame = pd.concat([panel.frame, newcomer]).sort_values(["unique_id", "ds"], ignore_index=True)
    result = run(panel.with_frame(frame))
    ahead = result.pipeline.predict(6, levels=(80, 95))
    young = ahead[ahead["unique_id"] == "young"]
    assert len(young) == 6 and np.isfinite(young.drop(columns=["unique_id", "ds"])).all(axis=None)
    assert "young" not in set(result.evaluation.forecasts["unique_id"])


def test_constant_series_have_no_mase_but_are_counted(panel):
    frame = panel.frame.copy()
    frame.loc[frame["unique_id"] == "s1", "y"] = 5.0
    result = run(panel.with_frame(frame))
    assert result.leaderboard["mase"].notna().all() and "1 of 4" in result.leaderboard.loc[0, "note"]
    everything = run(panel.with_frame(panel.frame.assign(y=5.0)))
    assert everything.leaderboard["mase"].isna().all() and everything.leaderboard.loc[0, "rank"] == 1


def test_integer_stamps():
    panel = monthly()
    frame = panel.frame.assign(ds=panel.frame.groupby("unique_id").cumcount().astype("int64"))
    result = run(replace(panel, frame=frame, freq=Frequency("1", 12, (12,))))
    assert result.pipeline.predict(2)["ds"].unique().tolist() == [84, 85]


@pytest.mark.parametrize(
    "spec",
    [
        SplitSpec(horizon=6, folds=3, gap=2),
        SplitSpec(horizon=6, folds=2, window="sliding", max_train=40),
        SplitSpec(horizon=6, folds=3, step=2),
        SplitSpec(horizon=6, folds=2, refit=False),
        SplitSpec(horizon=1),
    ],
)
def test_every_kind_of_split(panel, spec):
    result = run(panel, spec=spec)
    assert result.leaderboard["mase"].notna().all() and result.leaderboard.loc[0, "skill"] >= 0
    assert (result.status["state"] == "done").all()


def test_without_refit_parameters_come_from_the_first_fold(panel):
    moved = run(
        panel, named("seasonal_naive", "theta"), SplitSpec(horizon=6, folds=2, refit=False)
    ).evaluation.forecasts
    fresh = run(panel, named("seasonal_naive", "theta"), SplitSpec(horizon=6, folds=2)).evaluation.forecasts
    theta = [frame[frame["algorithm"] == "theta"].reset_index(drop=True) for frame in (moved, fresh)]
    first = theta[0]["fold"] == 1
    pd.testing.assert_frame_equal(theta[0][first], theta[1][first])
    assert not np.allclose(theta[0].loc[~first, "forecast"], theta[1].loc[~first, "forecast"])


# --- failures ---


def test_one_failing_candidate_does_not_end_the_others(panel, extra):
    def explode(model, panel):
        raise RuntimeError("no licence today")

    result = run(panel, [*QUICK, extra("Exploding", explode)])
    row = result.status.set_index("algorithm").loc["Exploding"]
    assert row["state"] == "failed" and "no licence today" in row["reason"]
    assert pd.isna(result.leaderboard.set_index("algorithm").loc["Exploding", "rank"]) and result.winner != "Exploding"


def test_a_forecast_that_is_not_a_number_disqualifies(panel, extra):
    def lose(model, panel):
        model.levels = model.levels * np.nan

    result = run(panel, [*QUICK, extra("Losing", lose)])
    row = result.status.set_index("algorithm").loc["Losing"]
    assert row["state"] == "failed" and "s0" in row["reason"]


def test_a_candidate_that_cannot_repeat_itself_is_disqualified(panel, extra):
    shared = np.random.default_rng(0)

    def roll(model, panel):
        model.levels = model.levels + shared.normal(0, 5, model.levels.shape)

    result = run(panel, [*QUICK, extra("Dice", roll)])
    row = result.status.set_index("algorithm").loc["Dice"]
    assert row["state"] == "disqualified" and result.canary["failed"] == ["Dice"] and not result.canary["passed"]
    assert "Dice" not in set(result.evaluation.forecasts["algorithm"])


def test_when_the_winner_fails_on_all_data_the_next_best_is_used(panel, extra):
    full = len(panel.frame)

    def fail_on_all(model, frame):
        if len(frame.frame) == full:
            raise MemoryError("too much")
        model.levels = model.levels * 0 + frame.frame["y"].mean()

    good = extra("Brittle", fail_on_all)
    result = run(
        panel.with_frame(panel.frame.assign(y=50 + np.random.default_rng(0).normal(size=full))),
        [*named("seasonal_naive", "drift"), good],
        model=ModelSpec(ensemble=False),
    )
    board = result.leaderboard
    assert result.winner != "Brittle" and board.loc[board["chosen"], "algorithm"].tolist() == [result.winner]
    assert board.loc[0, "algorithm"] == "Brittle", "it keeps the rank that its errors on the folds deserve"
    assert (result.choice.reason, result.choice.leader) == ("not_fitted", "Brittle")
    assert "Brittle" in board.loc[board["chosen"], "note"].item() and any("Brittle" in note for note in result.notes)


def test_leaky_preprocessing_would_be_seen(panel, trained):
    assert trained.canary["passed"] and trained.canary["checked"] == len(QUICK)
    assert trained.evaluation.canary["max_difference"].eq(0).all()


# --- time ---


def test_stop_leaves_the_reference_as_the_model(panel):
    result = run(panel, stop=lambda: True)
    naive = ["seasonal_naive", "drift"]
    assert result.winner == "seasonal_naive" and result.interrupted and result.completed == naive
    assert result.leaderboard["algorithm"].tolist()[0] == "seasonal_naive" and len(result.leaderboard) == 5
    assert len(result.pipeline.predict(6, levels=(80, 95))) == 24


def test_no_time_left_skips_with_a_reason(panel):
    result = run(panel, budget=0.0001, clock=Ticks(1.0))
    assert result.completed == ["seasonal_naive", "drift"] and not result.interrupted
    assert result.status["state"].tolist() == ["done"] * 2 + ["skipped"] * 3
    assert result.status["reason"].iloc[2:].str.contains("budget").all()


def test_a_slow_candidate_is_stopped_and_the_rest_survives(panel, extra):
    clock = Ticks()

    def crawl(model, panel):
        for done in range(1, 100):
            clock.now += 10
            if model.progress:
                model.progress(done, 100)
            if model.stop and model.stop():
                from vur.forecasters.parallel import Stopped

                raise Stopped

    slow = extra("Snail", crawl, cost=0.001)
    result = run(panel, [*named("seasonal_naive", "drift"), slow], budget=5000.0, clock=clock)
    row = result.status.set_index("algorithm").loc["Snail"]
    assert row["state"] == "stopped" and "0 of 2 folds" in row["reason"]
    assert result.completed[:2] == ["seasonal_naive", "drift"]


def test_reserve_for_the_final_fit_is_kept():
    watch = Watch(lambda: 0.0, budget=100.0, per_fold={"ets": 20.0, "theta": 10.0})
    assert watch.left() == pytest.approx(100 - 2.2 * 30)
    running = FoldWatch(watch, 3, lambda share: None)
    assert not running.stop()


@pytest.mark.slow
def test_budget_is_kept_on_the_wall_clock(panel):
    many = monthly(series=60, rows=120)
    run(
        panel, named("seasonal_naive", "theta"), clock=time.monotonic
    )  # imports and compilation are not the budget's fault
    started = time.monotonic()
    result = run(
        many,
        named("seasonal_naive", "log_theta", "theta", "ces", "ets", "auto_arima"),
        budget=8.0,
        clock=time.monotonic,
    )
    assert time.monotonic() - started < 16 and len(result.pipeline.predict(6, levels=(80,))) == 360
    assert "auto_arima" not in result.completed


def test_ctrl_c_keeps_the_models_finished_so_far(panel, extra):
    def interrupt(model, panel):
        if len(panel.frame) > 200:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    result = run(panel, [*named("seasonal_naive", "drift"), extra("Halted", interrupt), Candidate("mean", "mean")])
    states = result.status.set_index("algorithm")["state"]
    assert result.interrupted and states["Halted"] == "stopped" and states["mean"] == "skipped"
    assert {"seasonal_naive", "drift"} <= set(result.completed) and len(
        result.pipeline.predict(6, levels=(80, 95))
    ) == 24


@pytest.mark.slow
def test_ctrl_c_while_workers_are_busy_leaves_no_process_behind():
    import multiprocessing

    armed = []

    def interrupt_soon(fraction, key, **data):
        if data["algorithm"] == "ets" and not armed:
            armed.append(threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT)))
            armed[0].start()

    result = run(
        monthly(series=200, rows=140),
        named("seasonal_naive", "drift", "ets"),
        workers=2,
        clock=time.monotonic,
        progress=interrupt_soon,
    )
    armed[0].cancel()
    assert result.interrupted and "ets" not in result.completed
    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not multiprocessing.active_children()


def test_an_interrupted_training_resumes_where_it_stopped(panel, trained):
    cache, asked = MemoryCache(), iter(range(10_000))
    first = run(panel, cache=cache, stop=lambda: next(asked) > 2)
    assert first.interrupted and len(first.completed) < len(QUICK)
    kept = set(cache)
    second = run(panel, cache=cache)
    assert kept < set(cache)
    pd.testing.assert_frame_equal(
        second.leaderboard.drop(columns="seconds"), trained.leaderboard.drop(columns="seconds")
    )
    pd.testing.assert_frame_equal(
        second.pipeline.predict(6, levels=(80, 95)), trained.pipeline.predict(6, levels=(80, 95)), check_exact=True
    )


def test_the_cache_distinguishes_parameters_and_seeds(panel):
    cache = MemoryCache()
    for season in (6, 12):
        run(panel, [Candidate("seasonal_naive", "seasonal_naive", {"season": season})], cache=cache)
    run(panel, named("seasonal_naive"), cache=cache, seed=1)
    assert len(cache) == 3 * 3


# --- the pipeline ---


def test_update_moves_the_origin_without_refitting():
    panel = monthly(rows=90)
    older = panel.with_frame(panel.frame[panel.frame.groupby("unique_id").cumcount() < 84])
    pipeline = Pipeline(Candidate("theta", "theta")).fit(older)
    assert pipeline.update(panel).predict(1)["ds"].unique().tolist() == [pd.Timestamp("2024-07-01")]


def test_known_future_columns_must_be_there():
    panel = monthly()
    priced = replace(panel.with_frame(panel.frame.assign(price=1.0)), roles={"price": "known_future"})
    pipeline = Pipeline(Candidate("drift", "drift")).fit(priced)
    assert len(pipeline.predict(3)) == 12
    with pytest.raises(VurError, match="price"):
        pipeline.predict(3, pipeline.predict(3))


def test_a_folder_without_pipeline_is_refused(tmp_path):
    with pytest.raises(VurError, match=str(tmp_path)):
        load_pipeline(tmp_path)
    (tmp_path / "pipeline.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(VurError, match="format"):
        load_pipeline(tmp_path)


def test_notes_survive_saving_and_copying():
    import copy

    note = Note("training.reason.stopped", done=1, folds=3) & Note("training.reason.interrupted")
    assert copy.deepcopy(note).say("pt-BR") == note.say("pt-BR") != str(note)


def test_the_forecaster_base_is_not_a_model():
    with pytest.raises(NotImplementedError):
        Forecaster._fit(object(), None)
