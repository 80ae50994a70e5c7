"""Candidates that cannot win cost little, and the leaderboard says why they have no score."""

from collections.abc import Iterator

import numpy as np
import pytest
from builders import panel_of, seasonal

from vur.forecasters.baselines import Baseline
from vur.forecasters.registry import REGISTRY, Algorithm, register
from vur.panel import Panel
from vur.stages.model import Candidate, ModelSpec
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training import Training, train


class Late(Baseline):
    """Repeats the last value, and counts the series it was fitted on."""

    fitted: list[int] = []

    def _fit(self, panel: Panel) -> None:
        Late.fitted.append(len(panel.ids))
        super()._fit(panel)


@pytest.fixture
def late() -> Iterator[Candidate]:
    """An algorithm that the registry calls expensive: 50 s for 100 series of 120 rows."""
    register(Algorithm("late", "Late", "classical", "local", 50.0, f"{__name__}:Late"))
    Late.fitted.clear()
    yield Candidate("late", "late")
    REGISTRY.pop("late")


def trained(panel: Panel, model: ModelSpec, *names: Candidate) -> Training:
    """A training of a seasonal model beside `names`."""
    plan = plan_split(panel, SplitSpec(horizon=6, folds=3))
    references = [Candidate(name, name) for name in ("seasonal_naive", "naive", "mstl")]
    return train(panel, plan, [*references, *names], model=model, clock=lambda: 0.0)


def many(series: int) -> Panel:
    """Monthly series with a strong season."""
    return panel_of({f"s{k:03d}": seasonal(48, noise=3, seed=k) for k in range(series)}, "MS")


def test_an_expensive_algorithm_far_behind_is_dropped_after_a_sample_of_the_series(late: Candidate) -> None:
    result = trained(many(130), ModelSpec(), late)
    row = result.leaderboard.set_index("algorithm").loc["late"]
    assert bool(row[["mase", "rank"]].isna().all()) and not row["chosen"]
    assert "60 of 130 series" in row["note"].say("en") and "60 de 130 séries" in row["note"].say("pt-BR")
    assert max(Late.fitted, default=0) <= 60, "it never ran on all series"
    assert result.leaderboard["rank"].notna().sum() >= 3


def test_with_few_series_it_is_dropped_after_its_first_fold(late: Candidate) -> None:
    result = trained(many(110), ModelSpec(), late)
    assert "1 of 3 folds" in result.leaderboard.set_index("algorithm").loc["late", "note"].say("en")


def test_what_the_user_names_is_never_dropped(late: Candidate) -> None:
    result = trained(many(130), ModelSpec(algorithms=("late", "mstl", "seasonal_naive")), late)
    assert np.isfinite(result.leaderboard.set_index("algorithm").loc["late", "mase"])


def test_the_same_data_drop_the_same_candidates_on_any_clock(late: Candidate) -> None:
    panel = many(130)
    plan = plan_split(panel, SplitSpec(horizon=6, folds=3))
    names = [*(Candidate(name, name) for name in ("seasonal_naive", "naive")), late]
    ticks = iter(range(10**6))
    boards = [
        train(panel, plan, names, model=ModelSpec(), clock=clock).leaderboard.drop(columns="seconds")
        for clock in (lambda: 0.0, lambda: float(next(ticks)))
    ]
    assert boards[0].to_json() == boards[1].to_json()
