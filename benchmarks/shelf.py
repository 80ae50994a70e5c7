"""The whole shelf on one sample of M3: `auto` under three presets beside AutoARIMA, AutoETS, AutoTheta, AutoCES,
Prophet and AutoGluon.

Every method gets the same series, in a process of its own, alone on the machine; memory is the peak of the process and
its workers. AutoGluon lives in an environment of its own: `--autogluon PYTHON` names its interpreter, and without it
the row is left out. `--methods` runs some only.
"""

import argparse
import json
import logging
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from m3 import STAMPS, Group, errors, forecast_peer, inside, matrix, read_group

VUR = {"vur fast": "fast", "vur balanced": "balanced", "vur best": "best"}
PEERS = ("AutoARIMA", "AutoETS", "AutoTheta", "AutoCES")
METHODS = (*VUR, *PEERS, "Prophet", "AutoGluon fast")


def forecast_vur(preset: str, group: Group, folder: str) -> pd.DataFrame:
    """What `vur.run` forecasts under a preset."""
    import vur

    return vur.run(group.train, horizon=group.horizon, preset=preset, notebook=False, fresh=True, out=folder).forecast


def dated(group: Group) -> pd.DataFrame:
    """The training rows with stamps, also where the competition gives only numbers (days then)."""
    if STAMPS[group.name] is not None:
        return group.train
    return group.train.assign(ds=pd.Timestamp("1990-01-01") + pd.to_timedelta(group.train["ds"], unit="D"))


def forecast_prophet(group: Group) -> pd.DataFrame:
    """Prophet with default options, a model a series."""
    from prophet import Prophet

    logging.getLogger("cmdstanpy").disabled = True
    parts = []
    for id, rows in dated(group).groupby("unique_id"):
        model = Prophet(uncertainty_samples=0).fit(rows[["ds", "y"]])
        coming = model.make_future_dataframe(group.horizon, freq=STAMPS[group.name] or "D", include_history=False)
        parts.append(model.predict(coming)[["ds", "yhat"]].assign(unique_id=id))
    return pd.concat(parts).rename(columns={"yhat": "forecast"})


def forecast_autogluon(group: Group, folder: str) -> pd.DataFrame:
    """AutoGluon-TimeSeries with `fast_training` and its default metric's median."""
    from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor

    rows = dated(group).rename(columns={"unique_id": "item_id", "ds": "timestamp", "y": "target"})
    frame = TimeSeriesDataFrame.from_data_frame(rows)
    predictor = TimeSeriesPredictor(
        prediction_length=group.horizon,
        freq=STAMPS[group.name] or "D",
        eval_metric="MASE",
        path=f"{folder}/ag-{group.name}",
        verbosity=0,
    )
    found = predictor.fit(frame, presets="fast_training", random_seed=0).predict(frame).reset_index()
    return found.rename(columns={"item_id": "unique_id", "timestamp": "ds", "mean": "forecast"})


def forecast(method: str, group: Group, folder: str) -> pd.DataFrame:
    """`unique_id, ds, forecast` of one method, with intervals where they are VUR's."""
    if method in VUR:
        return forecast_vur(VUR[method], group, folder)
    if method in PEERS:
        found = forecast_peer(method, group)
        return found.rename(columns={found.columns[-1]: "forecast"})  # AutoCES calls its column CES
    return forecast_prophet(group) if method == "Prophet" else forecast_autogluon(group, folder)


def write_groups(sample: int, folder: Path) -> None:
    """The sample as files, so that a method's process needs nothing but pandas to read it."""
    for name in STAMPS:
        group = read_group("M3", name, sample)
        group.train.to_parquet(folder / f"{name}.train.parquet")
        group.test.to_parquet(folder / f"{name}.test.parquet")
        (folder / f"{name}.json").write_text(json.dumps({"season": group.season, "horizon": group.horizon}))


def read_groups(folder: Path) -> list[Group]:
    """What `write_groups` wrote."""
    return [
        Group(
            name,
            train=pd.read_parquet(folder / f"{name}.train.parquet"),
            test=pd.read_parquet(folder / f"{name}.test.parquet"),
            **json.loads((folder / f"{name}.json").read_text()),
        )
        for name in STAMPS
    ]


def work(method: str, folder: Path) -> None:
    """Run one method in this process and write its scores by series."""
    logging.disable(logging.WARNING)
    scores = []
    for group in read_groups(folder):
        found = forecast(method, group, str(folder))
        bands = {
            f"coverage {level}": inside(found, level, group) if f"lo-{level}" in found else np.nan for level in (80, 95)
        }
        scores.append(errors(matrix(found, "forecast", group), group).assign(frequency=group.name, **bands))
    pd.concat(scores).to_parquet(folder / "scores.parquet")


def main(methods: list[str], sample: int, autogluon: str | None) -> None:
    """Print the table: a row a method, sMAPE and MASE by frequency and over all."""
    from thousand_series import watch

    print(
        "| method | "
        + " | ".join(f"{name} sMAPE / MASE" for name in (*STAMPS, "all"))
        + " | 80% / 95% cover | seconds | peak MB |"
    )
    print("|---" * (len(STAMPS) + 2) + "|---|---:|---:|")
    for method in methods:
        python = {"python": autogluon} if method.startswith("AutoGluon") else {}
        with tempfile.TemporaryDirectory() as home:
            write_groups(sample, Path(home))
            seconds, peak = watch([__file__, "--work", home, "--methods", method], home, **python)
            scores = pd.read_parquet(Path(home) / "scores.parquet")
        both = (
            pd.concat([scores, scores.assign(frequency="all")])
            .groupby("frequency")[["sMAPE", "MASE", "coverage 80", "coverage 95"]]
            .mean()
        )
        cells = [f"{both.loc[name, 'sMAPE']:.2f} / {both.loc[name, 'MASE']:.3f}" for name in (*STAMPS, "all")]
        covers = (
            ""
            if np.isnan(both.loc["all", "coverage 80"])
            else f"{both.loc['all', 'coverage 80']:.1f} / {both.loc['all', 'coverage 95']:.1f}"
        )
        print(f"| {method} | {' | '.join(cells)} | {covers} | {seconds:.0f} | {peak / 1e6:.0f} |", flush=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"\n{len(scores)} series of M3, {sample} of each frequency at most; {cores} cores. Imports "
        "and the start of Python are in the seconds."
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sample", type=int, metavar="N", default=60, help="series of each frequency")
    options.add_argument("--methods", help=f"some of {', '.join(METHODS)}, separated by commas")
    options.add_argument(
        "--autogluon", metavar="PYTHON", help="interpreter of an environment that holds autogluon.timeseries"
    )
    options.add_argument("--work", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.work:
        work(given.methods, Path(given.work))
    else:
        chosen = (
            given.methods.split(",")
            if given.methods
            else [name for name in METHODS if given.autogluon or name != "AutoGluon fast"]
        )
        main(chosen, given.sample, given.autogluon)
