"""Run every benchmark of this folder and write reports/benchmarks.md. Takes about an hour; `--only NAME` runs one."""

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
REPORT = HERE.parent / "reports" / "benchmarks.md"
LIBRARIES = ("duckdb", "statsforecast", "mlforecast", "lightgbm", "pandas", "numpy", "tensorflow", "keras", "papermill")


def claim(path: Path) -> str:
    """The first paragraph of a script's docstring."""
    text = path.read_text(encoding="utf-8").split('"""')[1]
    return " ".join(text.split("\n\n")[0].split())


def section(path: Path) -> str:
    """Run one script and give its heading, claim, output and time; a failing script stops everything."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode:
        sys.exit(f"{path.name} failed:\n{done.stderr[-3000:]}")
    seconds = time.perf_counter() - started
    command = f"(`python benchmarks/{path.name}`, {seconds:.0f} s)"
    return f"## {path.stem}\n\n{claim(path)}\n\n{done.stdout.strip()}\n\n{command}\n"


def head() -> str:
    """Machine and versions; no name of the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"# Benchmarks\n\n{cores} cores, {platform.machine()}, Python {platform.python_version()}, {libraries}.\n"


def main() -> None:
    """Run all scripts, or the one named, and write or amend the report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", help="name of one script without .py")
    only = options.parse_args().only
    scripts = [
        path for path in sorted(HERE.glob("*.py")) if path.name != Path(__file__).name and only in (None, path.stem)
    ]
    kept = {}
    if only and REPORT.is_file():
        parts = REPORT.read_text(encoding="utf-8").split("\n## ")[1:]
        kept = {part.split("\n")[0]: "## " + part for part in parts}
    sections = kept | {path.stem: section(path) for path in scripts}
    REPORT.write_text(
        "\n".join([head(), *(sections[name].strip() + "\n" for name in sorted(sections))]), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
