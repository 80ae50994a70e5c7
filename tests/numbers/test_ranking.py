"""Who is first, by what, and against which baseline: the numbers of the leaderboard and of the choice."""

import numpy as np
import pandas as pd
import pytest

from vur.errors import VurError
from vur.forecasters.ensemble import choose_blend, combine
from vur.stages.model import Candidate
from vur.stages.training.leaderboard import blended, out_of_fold


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
