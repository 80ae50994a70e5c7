"""Who is first, by what, and against which baseline: the numbers of the leaderboard and of the choice."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from builders import panel_of, seasonal

import vur
from vur.commands.run import print_summary
from vur.errors import VurError
from vur.forecasters.baselines import Baseline
from vur.forecasters.ensemble import choose_blend, combine
from vur.forecasters.registry import REGISTRY, Algorithm, algorithm_name, register
from vur.panel import Panel
from vur.scoring.comparison import compare
from vur.scoring.metrics import score, size_ratio
from vur.stages.model import Candidate, ModelSpec, candidates
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training import Training, train
from vur.stages.training.budget import Note
from vur.stages.training.choice import is_short, verdict
from vur.stages.training.leaderboard import blended, out_of_fold


def trained(panel: Panel, model: ModelSpec, spec: SplitSpec, *more: Candidate) -> Training:
    """A training of what `model` names."""
    chosen = [*candidates(panel, model), *more]
    return train(panel, plan_split(panel, spec), chosen, model=model, clock=lambda: 0.0)


def rows_of(**forecasts: float) -> pd.DataFrame:
    """One stamp of one series, forecast by each algorithm."""
    frame = pd.DataFrame({"algorithm": list(forecasts), "forecast": list(forecasts.values())})
    return frame.assign(unique_id="x", ds=1)


@pytest.mark.parametrize(
    ("weights", "core", "right"),
    [
        ({"a": 0.25, "b": 0.75}, ("b", "c"), 17.5),  # one of the core has a weight, the other is not there
        ({"a": 0.25, "b": 0.75}, ("c", "d"), 17.5),  # none of the core is there, and nobody asks for it
        ({"a": 0.25, "b": 0.75}, ("a", "b"), 17.5),
        ({"a": 0.25, "b": 0.75}, (), 17.5),
        ({"median": 0.0, "a": 0.25, "b": 0.75}, ("c",), 17.5),
        ({"median": 0.5, "a": 0.5}, ("a", "b"), 12.5),
        ({"median": 0.5, "a": 0.5}, ("b", "z"), 15.0),  # the median of those that are there
        ({"median": 0.5, "a": 0.5}, ("z",), 10.0),  # no median without any of them: the rest has all the weight
    ],
)
def test_a_blend_asks_only_for_members_with_a_weight(
    weights: dict[str, float], core: tuple[str, ...], right: float
) -> None:
    assert combine(rows_of(a=10.0, b=20.0), weights, "blend", core)["forecast"].tolist() == [right]


def test_a_blend_without_any_member_is_refused() -> None:
    with pytest.raises(VurError, match="a, b"):
        combine(rows_of(a=10.0, b=np.nan), {"b": 1.0}, "blend", ("z",))


def fold_rows(errors: dict[str, float], series: int = 24, folds: int = 3, seed: int = 5) -> pd.DataFrame:
    """Forecasts of a flat process by algorithms whose errors have these standard deviations, six steps a fold."""
    rng, frames = np.random.default_rng(seed), []
    index = pd.MultiIndex.from_product([range(1, folds + 1), [f"s{k:02d}" for k in range(series)], range(1, 7)])
    keys = index.to_frame(index=False, name=["fold", "unique_id", "step"])
    y = 100 + rng.normal(0, 5, len(keys))
    for name, spread in errors.items():
        forecast = y + rng.normal(0, spread, len(keys))
        frames.append(keys.assign(algorithm=name, ds=6 * keys["fold"] + keys["step"], y=y, forecast=forecast))
    return pd.concat(frames, ignore_index=True)


def test_an_ensemble_whose_median_lost_all_weight_still_combines() -> None:
    rows = fold_rows({"croston": 1.0, "theta": 9.0, "log_theta": 9.0, "mstl": 9.0})
    scales = rows[["fold", "unique_id"]].drop_duplicates().assign(mase=5.0, rmsse=6.0, interval=5.0)
    wide, keys = out_of_fold(rows, scales)
    weights = choose_blend(wide, keys, ["theta", "log_theta", "mstl"])
    assert "median" not in weights, "one candidate is so much better that the median has no vote left"
    given = {"members": ["croston", "mstl"], "method": "blend", "weights": {"croston": 0.8, "mstl": 0.2}}
    candidate = Candidate("ensemble", "ensemble", given | {"core": ["theta", "log_theta", "mstl"]})
    assert len(blended(rows, candidate)) == len(keys)


# --- the baseline ---


def weekly_hours(seed: int = 0, days: int = 28, per_hour: int = 1) -> Panel:
    """A pattern that repeats after a week, and differs from day to day."""
    rng, steps = np.random.default_rng(seed), 24 * per_hour
    pattern = rng.uniform(200, 400, 7 * steps)
    y = np.tile(pattern, days // 7) + rng.normal(0, 2, days * steps)
    return panel_of(y, "h" if per_hour == 1 else "30min")


def weekly_days(seed: int = 0) -> Panel:
    """Days of the week that differ, over three years."""
    rng = np.random.default_rng(seed)
    return panel_of(np.tile([50.0, 60, 55, 80, 120, 200, 20], 156) + rng.normal(0, 3, 1092), "D")


@pytest.mark.parametrize(
    ("panel", "best", "error"),
    [
        (weekly_hours(), "seasonal_naive_168", 6.0),
        (weekly_hours(3, per_hour=2), "seasonal_naive_336", 6.0),
        (panel_of(seasonal(1200, 365, swing=100, noise=2), "D"), "seasonal_naive_365", 6.0),
        (weekly_days(), "seasonal_naive", 6.0),
        (panel_of(seasonal(84, 12, noise=2), "MS"), "seasonal_naive", 6.0),
        (panel_of(10.0 * np.arange(60) + np.random.default_rng(2).normal(0, 1, 60), "MS"), "drift", 6.0),
    ],
    ids=["hourly", "half-hourly", "daily year", "daily week", "monthly", "line"],
)
def test_skill_is_measured_against_the_best_naive_forecast(panel: Panel, best: str, error: float) -> None:
    result = trained(panel, ModelSpec(("mean",)), SplitSpec(horizon=24 if panel.freq.season > 12 else 6, folds=2))
    board = result.leaderboard.set_index("algorithm")
    assert result.reference == best and board.loc[best, "mae"] < error
    assert board.loc[best, "skill"] == 0 and (board["skill"].drop(best) <= 1e-9).all()
    assert result.winner == best and result.verdict == "naive"
    assert board.loc["mean", "skill"] == pytest.approx(1 - board.loc["mean", "mase"] / board.loc[best, "mase"])
    assert (result.by_step.query("algorithm == @best")["skill"].abs() < 1e-9).all()


def test_naive_forecasts_compete_only_with_seasons_that_the_series_have() -> None:
    short = weekly_hours(days=7)
    assert [one.id for one in candidates(short, ModelSpec(("mean",)))] == ["seasonal_naive", "naive", "drift", "mean"]
    assert algorithm_name("seasonal_naive_168", "en") == "Seasonal naive (168)"
    with pytest.raises(VurError, match="seasonal_naive_7"):
        ModelSpec(networks={"seasonal_naive_7": {}})


# --- ranks and the choice ---


def growing(seed: int, months: int = 72) -> Panel:
    """A season that grows with the level."""
    t, rng = np.arange(months), np.random.default_rng(seed)
    return panel_of((200 + 6 * t) * (1 + 0.3 * np.sin(np.pi * t / 6)) * np.exp(rng.normal(0, 0.04, months)), "MS")


@pytest.mark.parametrize(("metric", "seed"), [("auto", 1), ("mase", 2), ("rmse", 3), ("wape", 4), ("r2", 5)])
def test_ranks_follow_the_metric_that_is_named_whatever_is_chosen(seed: int, metric: str) -> None:
    model = ModelSpec(("holt_winters", "drift", "theta", "ces"), metric=metric)
    result = trained(growing(seed), model, SplitSpec(horizon=6, folds=3))
    scores, board = result.leaderboard[result.metric], result.leaderboard
    assert scores.is_monotonic_decreasing if metric == "r2" else scores.is_monotonic_increasing
    assert board["rank"].tolist() == list(range(1, len(board) + 1))
    assert board.loc[board["chosen"], "algorithm"].tolist() == [result.winner]
    if result.winner != board["algorithm"][0]:
        choice = result.choice
        assert choice is not None and choice.reason == "kept" and choice.leader == board["algorithm"][0]
        assert choice.leader in choice.note and choice.note in board.loc[board["chosen"], "note"].item()
        assert choice.to_leader is not None and not choice.to_leader.value < 0


def test_a_leader_that_is_better_by_more_than_chance_is_used() -> None:
    panel = panel_of({f"s{k:02}": 50 + 3.0 * np.arange(60) + seasonal(60, noise=0.5, seed=k) for k in range(15)}, "MS")
    result = trained(panel, ModelSpec(("holt_winters", "naive", "mean")), SplitSpec(horizon=6, folds=3))
    assert result.winner == "holt_winters" and result.verdict == "clear"
    assert result.choice is not None and result.choice.to_reference is not None
    assert result.choice.to_reference.method == "bootstrap" and result.choice.to_reference.high < 0


def test_equals_seldom_seem_different_and_unequals_do() -> None:
    """Two equally good forecasters, in panels of one series and of twelve: about one in ten is called different."""
    for series, size in ((1, 4), (12, 3)):
        wrong, right = 0, 0
        for seed in range(60):
            rows = fold_rows({"a": 4.0, "b": 4.0, "c": 9.0}, series=series, folds=size, seed=seed)
            scales = rows[["fold", "unique_id"]].drop_duplicates().assign(mase=5.0, rmsse=6.0)
            wrong += compare(rows, scales, "a", "b").certain
            right += compare(rows, scales, "c", "a").certain
        assert wrong <= 14 and right > 45, (series, wrong, right)


def test_with_one_fold_of_one_series_nothing_is_certain() -> None:
    result = trained(growing(1, 40), ModelSpec(("theta", "ces")), SplitSpec(horizon=6, folds=1, test=False))
    choice = result.choice
    assert choice is not None and choice.to_reference is not None and not choice.to_reference.known
    assert result.headline["source"] == "folds"
    skill = result.leaderboard.set_index("algorithm").loc[result.winner, "skill"]
    assert result.verdict == ("alike" if abs(skill) < 0.3 else "slight" if 0 < skill < 0.05 else result.verdict)


# --- the metric of intermittent panels ---


def lumpy(seed: int = 0, parts: int = 24, months: int = 60) -> Panel:
    """Seven months of ten without demand, the others a few units."""
    rng = np.random.default_rng(seed)
    demand = (rng.random((parts, months)) < 0.3) * (1 + rng.poisson(12, (parts, months)))
    return panel_of({f"p{k:02}": y.astype(float) for k, y in enumerate(demand)}, "MS")


class Zero(Baseline):
    """Forecasts nothing at all."""

    id = "zero"

    def _fit(self, panel: Panel) -> None:
        super()._fit(panel)
        self.levels = self.levels * 0


@pytest.fixture
def zero() -> Iterator[Candidate]:
    register(Algorithm("zero", "Zero", "classical", "local", 0.01, f"{__name__}:Zero"))
    yield Candidate("zero", "zero")
    REGISTRY.pop("zero")


@pytest.mark.parametrize("seed", [0, 5])
def test_a_forecast_of_nothing_never_wins_on_intermittent_demand(zero: Candidate, seed: int) -> None:
    result = trained(lumpy(seed), ModelSpec(("mean", "tsb")), SplitSpec(horizon=6, folds=3), zero)
    board = result.leaderboard.set_index("algorithm")
    assert result.metric == "rmsse" and "RMSSE" in result.metric_note and "RMSSE" in result.metric_note.say("pt-BR")
    assert board["rmsse"].is_monotonic_increasing and board.index[0] != "zero"
    assert board.loc["zero", "pbias"] == -100 and "100%" in board.loc["zero", "note"]
    assert result.winner != "zero" and abs(board.loc[result.winner, "pbias"]) < 50
    frame = result.pipeline.predict(6)
    assert frame["forecast"].sum() == pytest.approx(24 * 6 * 0.3 * 13, rel=0.3)


def test_a_metric_that_is_named_is_obeyed(zero: Candidate) -> None:
    model = ModelSpec(("mean", "tsb"), metric="mase")
    result = trained(lumpy(), model, SplitSpec(horizon=6, folds=3), zero)
    assert result.metric == "mase" and result.leaderboard["algorithm"][0] == "zero"
    assert result.verdict != "clear" and verdict("zero", 0.3, off=-100.0) == "off"


@pytest.mark.parametrize("months", [36, 60])
def test_smooth_panels_are_ranked_on_mase(months: int) -> None:
    result = trained(panel_of(seasonal(months, noise=3), "MS"), ModelSpec(("mean",)), SplitSpec(horizon=3, folds=2))
    assert result.metric == "mase" and result.metric_note == ""


# --- the error to expect ---


def test_the_headline_is_the_test_or_else_corrected_for_selection() -> None:
    panel = panel_of({f"s{k}": seasonal(72, noise=8, seed=k) for k in range(4)}, "MS")
    names = ("theta", "ces", "mean", "mstl", "log_theta")
    tested = trained(panel, ModelSpec(names), SplitSpec(horizon=6, folds=3, test=True))
    row = tested.test_scores.set_index("algorithm").loc[tested.winner]
    assert tested.headline["source"] == "test" and tested.headline["mase"] == row["mase"]
    honest = trained(panel, ModelSpec(names), SplitSpec(horizon=6, folds=3, test=False))
    assert honest.headline["source"] == "held_out"
    assert honest.headline["mase"] == honest.held_out["mase"].item() >= honest.leaderboard["mase"].min()


def test_the_luckiest_of_many_guesses_does_not_promise_what_it_cannot_keep() -> None:
    """Pure noise: the smallest of many errors is too small, that of the choice on other folds is not."""
    smallest, promised, kept = [], [], []
    for seed in range(8):
        panel = panel_of(np.random.default_rng(seed).normal(100, 10, 60), "D", "2024-01-01")
        result = trained(panel, ModelSpec(("mean", "log_theta", "croston")), SplitSpec(horizon=4, folds=3, test=True))
        smallest.append(result.leaderboard["mae"].min())
        promised.append(result.held_out["mae"].item())
        kept.append(result.headline["mae"])
    assert np.mean(smallest) < np.mean(promised), "the minimum flatters"
    assert np.mean(promised) == pytest.approx(np.mean(kept), rel=0.25)


# --- series of different size ---


def test_r2_is_computed_within_each_series() -> None:
    """Series around 10 and 10,000, forecast by their mean: nothing is explained, though pooled nearly all would be."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"unique_id": np.repeat(["small", "large"], 40), "y": np.r_[rng.normal(10, 1, 40), rng.normal(1e4, 9, 40)]}
    )
    frame["forecast"] = frame.groupby("unique_id")["y"].transform("mean")
    scales = pd.DataFrame({"unique_id": ["small", "large"], "mase": 1.0, "rmsse": 1.0})
    pooled = 1 - ((frame["forecast"] - frame["y"]) ** 2).sum() / ((frame["y"] - frame["y"].mean()) ** 2).sum()
    assert pooled > 0.999
    assert score(frame.assign(algorithm="x"), scales)["r2"].item() == pytest.approx(0, abs=1e-9)


def test_errors_in_units_are_marked_where_series_differ_in_size(tmp_path, capsys) -> None:
    unlike = {
        "kiosk": seasonal(60, level=20, swing=4, noise=1),
        "depot": seasonal(60, level=9000, swing=900, noise=300),
    }
    panel = panel_of(unlike, "MS")
    assert size_ratio(panel.frame) == pytest.approx(450, rel=0.05)
    assert size_ratio(panel_of({"a": [1.0, 2.0], "b": [9.0, 9.0]}).frame) == 6
    run = vur.run(panel.frame, horizon=6, algorithms=["theta", "mean"], notebook=False, out=tmp_path, fresh=True)
    page = run.report.read_text(encoding="utf-8")
    assert "times the small ones" in page
    print_summary(run, "pt-BR")
    said = capsys.readouterr().out
    assert "vezes as pequenas" in said and "Erro a esperar" in said


# --- what a badge may say ---


def test_no_badge_praises_a_forecast_whose_totals_were_far_off() -> None:
    for off in (-60.0, 51.0):
        assert verdict("theta", 0.4, 0.4, off) == "off"
    assert verdict("theta", 0.4, 0.4, 20.0) == "clear"
    assert verdict("drift", math.nan) == "unknown" and verdict("drift", 0.0) == "naive"


def test_skill_within_chance_is_about_as_good_as_naive(tmp_path, capsys) -> None:
    walk = np.cumsum(np.random.default_rng(4).normal(0, 1, 72)) + 100
    run = vur.run(
        panel_of(walk, "MS").frame, horizon=6, algorithms=["theta", "ces"], notebook=False, out=tmp_path, fresh=True
    )
    assert run.record["verdict"] in ("alike", "no", "mixed", "naive")
    print_summary(run, "en")
    said = capsys.readouterr().out
    assert "less error than" not in said and run.record["reference"] in said
    page = run.report.read_text(encoding="utf-8")
    assert "Beats the naive forecast" not in page


# --- short series ---


def test_a_short_series_is_not_chosen_by_luck() -> None:
    """Yearly series, each alone: the ensemble of robust models is used, and leaves out only what is grossly wrong."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        panel = panel_of(1000 + np.cumsum(rng.normal(20, 30, 20)), "YS", "2000-01-01")
        result = trained(
            panel, ModelSpec(("theta", "ces", "ets", "mstl", "drift", "mean")), SplitSpec(horizon=4, folds=2)
        )
        ahead = result.winner == "ensemble" or result.choice is not None and result.choice.reason == "first"
        assert ahead, result.choice
        errors = result.leaderboard.set_index("algorithm")["mase"]
        if result.winner != "ensemble" and "ensemble" in errors:
            assert errors[result.winner] < 0.7 * errors["ensemble"]


def test_without_any_fold_the_robust_median_is_used() -> None:
    panel = panel_of([10.0, 14.0, 19.0], "YS", "2020-01-01")
    result = train(panel, plan_split(panel, SplitSpec(horizon=3)), candidates(panel), clock=lambda: 0.0)
    if not plan_split(panel, SplitSpec(horizon=3)).folds:
        assert result.winner == "ensemble" and result.choice is not None and result.choice.reason == "no_folds"
        assert result.verdict == "unknown" and result.headline == {"source": "none"}
    assert len(result.pipeline.predict(3)) == 3


def test_on_a_short_series_without_a_season_no_lucky_candidate_replaces_the_combination() -> None:
    """At a turning point the mean of everything looks best on every fold, and is far off afterwards."""
    y = np.r_[np.linspace(40, 70, 7), np.linspace(68, 30, 10)] + np.random.default_rng(2).normal(0, 0.5, 17)
    panel = panel_of(y, "YS")
    result = trained(panel, ModelSpec(), SplitSpec(horizon=6))
    assert result.winner == "ensemble" and result.choice is not None
    last = result.pipeline.predict(6)["forecast"].to_numpy()
    assert last.max() < 36, "the fall goes on or ends; it does not turn back to the mean of 50"
    assert result.choice.reason == "short" and result.choice.leader != "ensemble"
    note = result.choice.note
    assert isinstance(note, Note) and "overlap" in note.say("en") and "se sobrepõem" in note.say("pt-BR")


def test_a_series_with_a_column_that_explains_it_is_no_case_of_luck() -> None:
    rng = np.random.default_rng(3)
    promo = (rng.random(40) < 0.3).astype(float)
    panel = panel_of(50 + 30 * promo + rng.normal(0, 1, 40), "YS", promo=promo)
    assert (
        not is_short(panel) and is_short(panel_of(np.arange(30.0), "YS")) and not is_short(panel_of(seasonal(40), "MS"))
    )
