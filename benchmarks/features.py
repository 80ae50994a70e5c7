"""Lags and rolling features on a long panel:
`features_frame` takes at most as long as mlforecast called directly (ratio 1.0).

Both compute the same columns from the same frame with the same number of threads (one); the order alternates from round
to round, medians are compared, and the values are checked to be equal. mlforecast checks ids, order and stamps at each
call, which VUR did when the panel was made. `--calendar` adds two calendar columns to both.
"""

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean, RollingStd, SeasonalRollingMean

from vur.frequency import frequency
from vur.panel import Panel
from vur.stages.features import FeatureSpec, features_frame

SPEC = FeatureSpec(
    lags=(1, 2, 7, 14),
    rolling=(("mean", 1, 7), ("mean", 1, 28), ("std", 1, 7), ("seasonal_mean", 7, 4)),
    expanding=(("mean", 1),),
    differences=(),
    calendar=(),
    fourier=(),
    static=(),
    known_future=(),
)


def sample(rows: int, length: int = 1000) -> Panel:
    """A seeded panel of daily series of `length` days, `rows` rows in all."""
    count = max(1, rows // length)
    ids = np.repeat(np.array([f"series_{i:06d}" for i in range(count)], dtype=object), length)
    stamps = np.tile(pd.date_range("2020-01-01", periods=length).to_numpy(), count)
    y = np.random.default_rng(0).normal(100, 10, count * length)
    return Panel(pd.DataFrame({"unique_id": ids, "ds": stamps, "y": y}), frequency("D"))


def mlforecast_frame(panel: Panel, spec: FeatureSpec, threads: int) -> pd.DataFrame:
    """The same features by mlforecast's own `preprocess`."""
    windows = {1: [RollingMean(7), RollingMean(28), RollingStd(7), ExpandingMean()], 7: [SeasonalRollingMean(7, 4)]}
    peer = MLForecast(
        [],
        freq="D",
        lags=list(spec.lags),
        lag_transforms=windows,
        date_features=list(spec.calendar),
        num_threads=threads,
    )
    return peer.preprocess(panel.frame, dropna=False, static_features=[])


def timed(function: Callable[[], pd.DataFrame]) -> float:
    """Seconds of one call; its result is dropped before the next."""
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print and return the medians in seconds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calendar", action="store_true")
    options = parser.parse_args(arguments)
    spec = replace(SPEC, calendar=("dayofweek", "month") if options.calendar else ())
    small = sample(20_000)
    ours, theirs = features_frame(small, spec), mlforecast_frame(small, spec, 1)
    pd.testing.assert_frame_equal(ours, theirs[list(ours)], check_dtype=False)
    panel = sample(options.rows)
    calls = {
        "vur": lambda: features_frame(panel, spec, options.threads),
        "mlforecast": lambda: mlforecast_frame(panel, spec, options.threads),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(options.rounds):
        for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            seconds[name].append(timed(calls[name]))
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    result = {
        "rows": len(panel.frame),
        "vur_seconds": medians["vur"],
        "mlforecast_seconds": medians["mlforecast"],
        "ratio": medians["vur"] / medians["mlforecast"],
    }
    print("| rows | VUR, s | mlforecast, s | ratio |\n|---|---|---|---|")
    print(
        f"| {result['rows']:,} | {result['vur_seconds']:.2f} | {result['mlforecast_seconds']:.2f} | "
        f"{result['ratio']:.2f} |"
    )
    return result


if __name__ == "__main__":
    main()
