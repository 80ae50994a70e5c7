"""Claims: `vur run` on the sample with `auto` ends within 60 s on 2 cores; papermill and report cost little; `import vur` is light.

The peer of a notebook run is the same run in process (`--no-notebook`), alternating in the same minutes, nothing cached.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

DATA = Path(__file__).parents[1] / "data" / "flights_daily.csv"
RUNS = {"auto (long)": [], "one algorithm (short)": ["--algorithms", "seasonal_naive"]}


def seconds(arguments: list[str], home: str) -> float:
    """Wall time of one command in an own data home."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=os.environ | {"VUR_HOME": home})
    return time.perf_counter() - started


def pair(options: list[str], repeats: int) -> tuple[float, float]:
    """Median seconds with and without notebook, alternating."""
    with_notebook, in_process = [], []
    for _ in range(repeats):
        for times, extra in ((with_notebook, []), (in_process, ["--no-notebook"])):
            with tempfile.TemporaryDirectory() as home:
                times.append(seconds(["-m", "vur.cli", "run", str(DATA), "--country", "US", "--quiet", "--out", f"{home}/r", *options, *extra], home))
    return median(with_notebook), median(in_process)


def main(repeats: int = 3) -> None:
    """Print the table."""
    print("| run of data/flights_daily.csv | notebook s | in process s | overhead s | overhead |\n|---|---:|---:|---:|---:|")
    for name, options in RUNS.items():
        notebook, process = pair(options, repeats)
        print(f"| {name} | {notebook:.1f} | {process:.1f} | {notebook - process:.1f} | {notebook / process - 1:.0%} |")
    with tempfile.TemporaryDirectory() as home:
        imports = {name: median(seconds(["-c", f"import {name}"], home) for _ in range(2 * repeats + 1)) for name in ("vur", "pandas")}
    print(f"\n`import vur` {imports['vur']:.3f} s as a whole process, `import pandas` {imports['pandas']:.3f} s "
          f"(ratio {imports['vur'] / imports['pandas']:.2f}).")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=3)
    main(options.parse_args().repeats)
