"""Claim: where the variance moves with month, weekday, hour or level, the 80% interval holds 72 to 88% in each season.

Seven kinds of plants with normal noise are simulated, each with some seeds: calm and wild half years, one wild month,
noise in proportion to a seasonal level and to a growing one, wild weekends, wild days and calm nights, and one whose
noise never changes. Means and standard deviations are known, so the share of the future that an interval holds is
computed, not counted; seasons are the months, weekdays or hours. The weighted quantile loss (percent of the actual
values; 2.5, 10, 90, 97.5% and the forecast as the median) is that of one drawn future. Peers, in the same run:
statsforecast's AutoETS with its own intervals and its SeasonalNaive with conformal ones.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SERIES, LENGTH = 20, {"MS": 120, "D": 120, "h": 336}
HORIZON, SEASON = {"MS": 12, "D": 14, "h": 24}, {"MS": 12, "D": 7, "h": 24}
ENDS = {"lo-95": 0.025, "lo-80": 0.1, "forecast": 0.5, "hi-80": 0.9, "hi-95": 0.975}
FIRST = {"MS": "2012-01-01", "D": "2024-01-01", "h": "2024-01-01"}
Moves = Callable[[pd.DatetimeIndex], np.ndarray]


@dataclass(frozen=True)
class Plant:
    """A kind of process: its frequency, the mean and the standard deviation at each stamp."""

    freq: str
    mean: Moves
    sigma: Moves

    def stamps(self) -> pd.DatetimeIndex:
        """The stamps of history and horizon."""
        return pd.date_range(FIRST[self.freq], periods=LENGTH[self.freq] + HORIZON[self.freq], freq=self.freq)


def wave(stamps: pd.DatetimeIndex) -> np.ndarray:
    """A summer and a winter around 200."""
    return 200 + 20 * np.sin(2 * np.pi * stamps.month / 12)


def seasonal(stamps: pd.DatetimeIndex) -> np.ndarray:
    """A level that is three times as high in summer as in winter."""
    return 200 * (1 + 0.5 * np.sin(2 * np.pi * stamps.month / 12))


def growing(stamps: pd.DatetimeIndex) -> np.ndarray:
    """A level that grows fourfold."""
    return 100 * 4 ** (np.arange(len(stamps)) / len(stamps))


def busy(stamps: pd.DatetimeIndex) -> np.ndarray:
    """Whether it is day."""
    return (stamps.hour >= 8) & (stamps.hour < 20)


PLANTS = {
    "half years": Plant("MS", wave, lambda t: np.where(t.month <= 6, 4.0, 16.0)),
    "one month": Plant("MS", wave, lambda t: np.where(t.month == 12, 20.0, 5.0)),
    "seasonal level": Plant("MS", seasonal, lambda t: 0.08 * seasonal(t)),
    "growing level": Plant("MS", growing, lambda t: 0.08 * growing(t)),
    "weekends": Plant("D", lambda t: 200 + 0.0 * t.day, lambda t: np.where(t.dayofweek >= 5, 30.0, 8.0)),
    "hours of the day": Plant("h", lambda t: 100 + 60.0 * busy(t), lambda t: np.where(busy(t), 20.0, 4.0)),
    "never changes": Plant("MS", wave, lambda t: np.full(len(t), 8.0)),
}


@dataclass(frozen=True)
class World:
    """A simulated panel: its history, and the truth of its horizon (`unique_id, ds, y, mean, sigma, season`)."""

    freq: str
    past: pd.DataFrame
    truth: pd.DataFrame


def simulate(plant: Plant, seed: int) -> World:
    """Twenty series of a plant, which differ in level up to twofold."""
    stamps, rng = plant.stamps(), np.random.default_rng([seed, list(PLANTS.values()).index(plant)])
    size = rng.uniform(0.7, 1.4, SERIES)[:, None]
    mean, sigma = size * np.asarray(plant.mean(stamps)), size * np.asarray(plant.sigma(stamps))
    season = stamps.month if plant.freq == "MS" else stamps.dayofweek if plant.freq == "D" else stamps.hour
    table = {"unique_id": np.repeat([f"s{number:02}" for number in range(SERIES)], len(stamps))}
    table |= {"ds": np.tile(stamps, SERIES), "y": rng.normal(mean, sigma).ravel()}
    table |= {"mean": mean.ravel(), "sigma": sigma.ravel(), "season": np.tile(season, SERIES)}
    frame = pd.DataFrame(table)
    known = frame["ds"] < stamps[LENGTH[plant.freq]]
    return World(plant.freq, frame.loc[known, ["unique_id", "ds", "y"]], frame[~known])


def forecast_vur(world: World, algorithm: str, folder: str) -> pd.DataFrame:
    """What `vur.run` forecasts with one algorithm."""
    import vur

    horizon = HORIZON[world.freq]
    options = {"algorithms": algorithm, "notebook": False, "fresh": True, "out": folder}
    return vur.run(world.past, horizon=horizon, freq=world.freq, **options).forecast


def forecast_peer(world: World, name: str) -> pd.DataFrame:
    """What a model of statsforecast forecasts, with its ends by VUR's names."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS, SeasonalNaive
    from statsforecast.utils import ConformalIntervals

    horizon, season = HORIZON[world.freq], SEASON[world.freq]
    conformal = ConformalIntervals(n_windows=5, h=horizon)
    model = AutoETS(season) if name == "AutoETS" else SeasonalNaive(season, prediction_intervals=conformal)
    found = StatsForecast([model], freq=world.freq).forecast(df=world.past, h=horizon, level=[80, 95])
    alias = str(model)
    names = {alias: "forecast"} | {f"{alias}-{end}": end for end in ENDS if end != "forecast"}
    return found.reset_index(drop="unique_id" in found).rename(columns=names)


def scores(world: World, found: pd.DataFrame) -> pd.DataFrame:
    """`season, held` (the share of the future inside the 80% interval, in percent), `loss, size` of each row."""
    from scipy.stats import norm

    rows = world.truth.merge(found, on=["unique_id", "ds"], validate="one_to_one")
    assert len(rows) == len(world.truth)
    inside = [norm.cdf((rows[end] - rows["mean"]) / rows["sigma"]) for end in ("lo-80", "hi-80")]
    losses = [
        2 * np.maximum(share * (rows["y"] - rows[end]), (share - 1) * (rows["y"] - rows[end]))
        for end, share in ENDS.items()
    ]
    held = 100 * (inside[1] - inside[0])
    return pd.DataFrame({"season": rows["season"], "held": held, "loss": np.mean(losses, axis=0), "size": rows["y"]})


def measured(algorithms: tuple[str, ...], seeds: int, peers: bool) -> pd.DataFrame:
    """One row for each plant and method: coverage of all, smallest and largest of a season, and quantile loss."""
    rows = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["VUR_HOME"] = home
        for name, plant in PLANTS.items():
            worlds = [simulate(plant, seed) for seed in range(seeds)]
            found = {f"vur {id}": [forecast_vur(one, id, f"{home}/reports") for one in worlds] for id in algorithms}
            for id in ("AutoETS", "SeasonalNaive, conformal") if peers else ():
                found[id] = [forecast_peer(one, id) for one in worlds]
            for method, frames in found.items():
                scored = pd.concat([scores(world, frame) for world, frame in zip(worlds, frames, strict=True)])
                by = scored.groupby("season")["held"].mean()
                numbers = {"all": scored["held"].mean(), "low": by.min(), "high": by.max()}
                loss = 100 * scored["loss"].sum() / scored["size"].sum()
                rows.append({"plant": name, "method": method, **numbers, "wql": loss})
    return pd.DataFrame(rows)


def earlier(checkout: Path, seeds: int, algorithms: tuple[str, ...]) -> pd.DataFrame:
    """The rows of VUR from another checkout, measured by this script."""
    command = [sys.executable, "-P", __file__, "--seeds", str(seeds), "--algorithms", ",".join(algorithms), "--json"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = pd.DataFrame(json.loads(done.stdout.splitlines()[-1]))
    return found.assign(method=found["method"] + ", before")


def markdown(table: pd.DataFrame) -> str:
    """The table by plant; a season is far off where its coverage is more than 8 points from 80."""
    lines = [
        "| plant | method | 80% interval holds, all | worst seasons | seasons within 8 points | WQL |",
        "|---|---|---:|---:|---|---:|",
    ]
    for row in table.to_dict("records"):
        near = "yes" if row["low"] >= 72 and row["high"] <= 88 else "no"
        ends = f"{row['low']:.1f} to {row['high']:.1f}"
        lines.append(f"| {row['plant']} | {row['method']} | {row['all']:.1f} | {ends} | {near} | {row['wql']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="panels of each kind")
    parser.add_argument("--algorithms", default="seasonal_naive,theta", help="algorithms of VUR, each alone")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another checkout of VUR to measure beside")
    parser.add_argument("--json", action="store_true", help="print VUR's numbers alone, as JSON")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    algorithms = tuple(options.algorithms.split(","))
    found = measured(algorithms, options.seeds, peers=not options.json)
    if options.json:
        print(json.dumps(found.to_dict("records")))
        return
    before = [earlier(options.before, options.seeds, algorithms)] if options.before else []
    order = {name: place for place, name in enumerate(PLANTS)}
    found = pd.concat([found, *before]).sort_values("plant", key=lambda names: names.map(order), kind="stable")
    print(
        f"{SERIES} series, {options.seeds} panels of each kind; {LENGTH['MS']} months or days, {LENGTH['h']} hours:\n"
    )
    print(markdown(found))


if __name__ == "__main__":
    main()
