"""Claim: on seven kinds of simulated demand `auto` has the lowest mean RMSSE, and its totals are within 15%.

The peers, in the same run, are statsforecast's Croston, SBA and TSB with usual constants, a forecast of zeros, and the
mean. RMSSE is scaled by the root mean square of the changes in the training part. The scaled quantile loss is the mean
pinball loss of the quantiles 2.5, 10, 90 and 97.5%, divided by the mean absolute change. A peer's quantiles are those
of the training values about their mean, added to its forecast and held above zero. The bias is that of the total
against what the process expects, its size averaged over panels.
"""

import argparse
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

SERIES, LENGTH, SEASON = 40, 84, {"MS": 12, "D": 7}
QUANTILES = {"lo-95": 0.025, "lo-80": 0.1, "hi-80": 0.9, "hi-95": 0.975}
HORIZON = 12
Draw = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Demand:
    """Simulated demand: past (series, step), the actuals and the expected values of the horizon, and the frequency."""

    kind: str
    freq: str
    past: np.ndarray
    actual: np.ndarray
    expected: np.ndarray

    @property
    def frame(self) -> pd.DataFrame:
        """The past as `unique_id, ds, y`."""
        stamps = pd.date_range("2018-01-01", periods=self.past.shape[1], freq=self.freq)
        ids = np.repeat([f"sku{number:03}" for number in range(len(self.past))], len(stamps))
        return pd.DataFrame({"unique_id": ids, "ds": np.tile(stamps, len(self.past)), "y": self.past.ravel()})


def _slow(rng: np.random.Generator, season: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rate = rng.uniform(0.15, 0.45, SERIES)[:, None] * np.ones(len(season))
    return rng.poisson(rate), rate


def _counts(rng: np.random.Generator, season: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rate = rng.gamma(2.0, 0.5, SERIES)[:, None] * np.ones(len(season))
    return rng.negative_binomial(0.4, 0.4 / (0.4 + rate)), rate


def _seasonal(rng: np.random.Generator, season: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rate = rng.gamma(2.0, 0.5, SERIES)[:, None] * (1 + 0.8 * season)
    return rng.negative_binomial(0.4, 0.4 / (0.4 + rate)), rate


def _lumpy(rng: np.random.Generator, season: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chance, size = rng.uniform(0.15, 0.45, SERIES)[:, None], rng.uniform(3, 30, SERIES)[:, None]
    amounts = 1 + rng.poisson(size * rng.gamma(1.0, 1.0, (SERIES, len(season))))
    return (rng.random(amounts.shape) < chance) * amounts, chance * (1 + size) * np.ones(len(season))


def _dying(rng: np.random.Generator, season: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fall = np.exp(rng.uniform(-2.5, 0.5, SERIES)[:, None] * np.linspace(0, 1, len(season)))
    rate = rng.gamma(2.0, 0.5, SERIES)[:, None] * fall
    return rng.poisson(rate * rng.gamma(0.7, 1 / 0.7, rate.shape)), rate


def _sizes(rng: np.random.Generator, season: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chance, unit = rng.uniform(0.15, 0.6, SERIES)[:, None], 10 ** rng.uniform(-1, 3, SERIES)[:, None]
    sold = (rng.random((SERIES, len(season))) < chance) * unit * rng.lognormal(0, 0.6, (SERIES, len(season)))
    return sold, chance * unit * np.exp(0.18) * np.ones(len(season))


KINDS: dict[str, tuple[str, Draw]] = {
    "slow movers, monthly": ("MS", _slow),
    "counts, monthly": ("MS", _counts),
    "seasonal, monthly": ("MS", _seasonal),
    "seasonal, daily": ("D", _seasonal),
    "lumpy, monthly": ("MS", _lumpy),
    "dying, monthly": ("MS", _dying),
    "many sizes, monthly": ("MS", _sizes),
}


def simulate(kind: str, seed: int) -> Demand:
    """Forty series of a kind."""
    freq, draw = KINDS[kind]
    steps = np.arange(LENGTH + HORIZON)
    sold, rate = draw(np.random.default_rng(seed), np.sin(2 * np.pi * steps / SEASON[freq]))
    return Demand(kind, freq, sold[:, :LENGTH].astype(float), sold[:, LENGTH:].astype(float), rate[:, LENGTH:])


def forecast_auto(demand: Demand, preset: str, folder: str) -> dict[str, np.ndarray]:
    """What `vur.run` forecasts when everything but the horizon is left to it: forecast and interval ends by name."""
    import vur

    result = vur.run(demand.frame, horizon=HORIZON, preset=preset, notebook=False, fresh=True, out=folder)
    ordered = result.forecast.sort_values(["unique_id", "ds"])
    return {name: ordered[name].to_numpy(float).reshape(demand.actual.shape) for name in ("forecast", *QUANTILES)}


def peers(demand: Demand) -> dict[str, dict[str, np.ndarray]]:
    """Forecast and quantiles of each peer."""
    from statsforecast import models

    fitted: dict[str, Any] = {
        "Croston": models.CrostonClassic(),
        "SBA": models.CrostonSBA(),
        "TSB": models.TSB(0.1, 0.1),
    }
    levels = {name: np.array([model.forecast(y, 1)["mean"][0] for y in demand.past]) for name, model in fitted.items()}
    mean = demand.past.mean(axis=1)
    levels |= {"mean": mean, "zero": np.zeros(len(mean))}
    return {name: flat(level, demand) for name, level in levels.items()}


def flat(level: np.ndarray, demand: Demand) -> dict[str, np.ndarray]:
    """One level for every step, with the quantiles of the past about its mean."""
    ends = {"forecast": level}
    for name, share in QUANTILES.items():
        around = np.quantile(demand.past, share, axis=1) - demand.past.mean(axis=1)
        ends[name] = np.maximum(level + around, 0.0) if level.any() else level
    return {name: np.repeat(values[:, None], HORIZON, axis=1) for name, values in ends.items()}


def scores(found: dict[str, np.ndarray], demand: Demand) -> dict[str, float]:
    """Means over series of `RMSSE` and `loss`, and the `bias` of the total in percent."""
    change = np.diff(demand.past, axis=1)
    squares, sizes = (change**2).mean(axis=1), np.abs(change).mean(axis=1)
    moves = squares > 0
    error = ((found["forecast"] - demand.actual) ** 2).mean(axis=1)
    pinball = [
        np.maximum(share * (demand.actual - found[name]), (share - 1) * (demand.actual - found[name])).mean(axis=1)
        for name, share in QUANTILES.items()
    ]
    return {
        "RMSSE": float(np.sqrt(error[moves] / squares[moves]).mean()),
        "bias": float(100 * (found["forecast"].sum() / demand.expected.sum() - 1)),
        "loss": float((np.mean(pinball, axis=0)[moves] / sizes[moves]).mean()),
    }


def table(result: pd.DataFrame) -> str:
    """Means by kind and method as a markdown table; the size of the bias is averaged over panels."""
    sized = result.assign(bias=result["bias"].abs())
    means = sized.groupby(["kind", "method"], sort=False)[["RMSSE", "bias", "loss"]].mean()
    lines = [
        "| demand | method | RMSSE | bias of the total, size in % | scaled quantile loss |",
        "|---|---|---:|---:|---:|",
    ]
    for (kind, method), row in means.iterrows():
        lines.append(f"| {kind} | {method} | {row['RMSSE']:.4f} | {row['bias']:.1f} | {row['loss']:.4f} |")
    return "\n".join(lines)


def main(seeds: int, preset: str) -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    rows = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["VUR_HOME"] = home
        for kind in KINDS:
            for seed in range(seeds):
                demand = simulate(kind, seed)
                found = {f"vur auto ({preset})": forecast_auto(demand, preset, f"{home}/reports")} | peers(demand)
                rows += [{"kind": kind, "method": name, **scores(one, demand)} for name, one in found.items()]
    result = pd.DataFrame(rows)
    print(f"{SERIES} series of {LENGTH} steps, {HORIZON} ahead, {seeds} panels of each kind:\n")
    print(table(pd.concat([result, result.assign(kind="all")])))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=2, metavar="N", help="panels of each kind")
    options.add_argument("--preset", choices=("fast", "balanced", "best"), default="balanced")
    given = options.parse_args()
    main(given.seeds, given.preset)
