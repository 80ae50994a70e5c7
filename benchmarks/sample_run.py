"""Claims: `vur run` on the sample with `auto` ends within 60 s on 2 cores; papermill and report cost little;
`import vur` is light.

The peer of a notebook run is the same run in process (`--no-notebook`), alternating in the same minutes, nothing
cached.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from thousand_series import monthly

SAMPLE = Path(__file__).parents[1] / "data" / "flights_daily.csv"
SHORT, DEFAULT, LONG = ["--country", "US", "--algorithms", "seasonal_naive"], ["--country", "US"], ["--horizon", "18"]


def seconds(arguments: list[str], home: str) -> float:
    """Wall time of one command in an own data home."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=os.environ | {"VUR_HOME": home})
    return time.perf_counter() - started


def pair(file: Path, options: list[str], repeats: int) -> tuple[float, float]:
    """Median seconds with and without notebook, alternating."""
    with_notebook, in_process = [], []
    for _ in range(repeats):
        for times, extra in ((with_notebook, []), (in_process, ["--no-notebook"])):
            with tempfile.TemporaryDirectory() as home:
                times.append(
                    seconds(
                        ["-m", "vur.cli", "run", str(file), "--quiet", "--out", f"{home}/r", *options, *extra], home
                    )
                )
    return median(with_notebook), median(in_process)


def main(repeats: int = 3) -> None:
    """Print the table."""
    print("| run | notebook s | in process s | overhead s | overhead |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        panel = Path(folder) / "monthly.csv"
        monthly(500).to_csv(panel, index=False)
        runs = {
            "sample, one algorithm (short)": (SAMPLE, SHORT, repeats),
            "sample, auto": (SAMPLE, DEFAULT, repeats),
            "500 monthly series, auto (long)": (panel, LONG, 1),
        }
        for name, (file, options, times) in runs.items():
            notebook, process = pair(file, options, times)
            print(
                f"| {name} | {notebook:.1f} | {process:.1f} | {notebook - process:.1f} | {notebook / process - 1:.0%} |"
            )
    with tempfile.TemporaryDirectory() as home:
        imports = {
            name: median(seconds(["-c", f"import {name}"], home) for _ in range(2 * repeats + 1))
            for name in ("vur", "pandas")
        }
    print(
        f"\n`import vur` {imports['vur']:.3f} s as a whole process, `import pandas` {imports['pandas']:.3f} s "
        f"(ratio {imports['vur'] / imports['pandas']:.2f})."
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=3)
    main(options.parse_args().repeats)
