"""Claim: a batch of 10,000 series takes at most 1.3 of the time and memory of calling the pipeline directly.

Directly means a Python process that opens the saved model, forecasts 12 months with two intervals and writes a CSV. The
batch is the process that a worker starts for the job: it checks the model against the catalog, forecasts, keeps all
120,000 points in the durable ledger and writes the same CSV. The series are monthly ones of the M3 and M1 competitions,
repeated with noise. Each row is another model: one whose forecasts take some work, and the cheapest there is, where the
ledger weighs most. Both take turns; medians are shown.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from thousand_series import monthly, used

HORIZON, LEVELS = 12, (80, 95)
DIRECT = (
    "import sys; from vur.models.saved import forecast; "
    f"forecast(sys.argv[1], {HORIZON}, levels={LEVELS}).to_csv(sys.argv[2], index=False)"
)


def panel(count: int) -> pd.DataFrame:
    """`count` monthly series of real shapes: `unique_id, ds, y`."""
    random, base = np.random.default_rng(0), monthly(1000)
    parts, rounds = [], -(-count // base["unique_id"].nunique())
    for number in range(rounds):
        parts.append(
            base.assign(
                unique_id=base["unique_id"] + f"-{number}", y=base["y"] * (1 + 0.02 * random.standard_normal(len(base)))
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    return frame[frame["unique_id"].isin(frame["unique_id"].unique()[:count])].sort_values(
        ["unique_id", "ds"], ignore_index=True
    )


def save(algorithm: str, frame: pd.DataFrame, folder: Path) -> str:
    """Tag of a saved pipeline of `algorithm`, fitted on `frame`, with intervals from the size of the series."""
    import json

    from vur.frequency import frequency
    from vur.models.card import panel_head
    from vur.panel import Panel
    from vur.scoring.intervals import calibrate, interval_scale
    from vur.settings import settings
    from vur.stages.model import Candidate
    from vur.stages.model.pipeline import Pipeline
    from vur.store.models.models import save_model

    data = Panel(frame, frequency("MS"), names={"date": "ds", "target": "y", "series": ["unique_id"]})
    pipeline = Pipeline(Candidate(algorithm, algorithm, {}), workers=settings().worker_count).fit(data)
    pipeline.calibration = calibrate(
        pd.DataFrame(columns=["unique_id", "step", "y", "forecast"], dtype=float), interval_scale(frame, 12)
    )
    path = pipeline.save(folder / algorithm)
    (path / "panel.json").write_text(json.dumps(panel_head(data), default=str))
    (path / "README.md").write_text("A model for a benchmark.")
    return save_model(path, algorithm, "1", {"horizon": HORIZON, "levels": list(LEVELS), "algorithm": algorithm}, {})


def queue(tag: str) -> tuple[str, str]:
    """Id and attempt of a batch that a worker has taken up."""
    from sqlalchemy import select

    from vur.jobs import lifecycle
    from vur.store import database
    from vur.store.accounts.users import add_user
    from vur.store.catalog import Job, Model, User, new_id
    from vur.store.models import registry
    from vur.store.models.models import model_folder

    with database.writing() as session:
        user = session.scalar(select(User)) or add_user(session, "ana@example.org", "correct horse 9")
        model = session.scalar(select(Model).where(Model.tag == tag))
        if model is None:
            model = Model(
                owner_id=user.id,
                name=tag,
                algorithm=tag,
                status="trained",
                family=tag,
                tag=tag,
                checksum=registry.checksum(model_folder(tag)),
            )
            session.add(model)
            session.flush()
        params = {"horizon": HORIZON, "levels": list(LEVELS), "output": "csv"}
        job = Job(id=new_id(), kind="batch", owner_id=user.id, model_id=model.id, params=params)
        session.add(job)
    spec = lifecycle.claim(job.id, "benchmark")
    spec.folder.mkdir(parents=True, exist_ok=True)
    return job.id, str(spec.attempt)


def watch(arguments: list[str], log: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and peak MB of a Python process; its failure ends the benchmark."""
    import subprocess

    import psutil

    with log.open("w+b") as file:
        started, before, peak = time.perf_counter(), os.times(), 0
        child = subprocess.Popen([sys.executable, *arguments], stdout=file, stderr=file, env=os.environ)
        process = psutil.Process(child.pid)
        while child.poll() is None:
            peak = max(peak, used(process))
            time.sleep(0.05)
        seconds, after = time.perf_counter() - started, os.times()
    if child.returncode:
        sys.exit(log.read_text()[-3000:])
    return (
        seconds,
        after.children_user + after.children_system - before.children_user - before.children_system,
        peak / 1e6,
    )


def check(tag: str, direct: Path, job_id: str) -> None:
    """The batch has the same forecasts, and all of them are in the ledger."""
    from sqlalchemy import func, select

    from vur.store import database
    from vur.store.catalog import Forecast, ForecastPoint
    from vur.store.home import folder

    mine, theirs = (
        pd.read_csv(path, float_precision="round_trip") for path in (folder("results", job_id) / "forecast.csv", direct)
    )
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    with database.reading() as session:
        points = (
            select(func.count()).select_from(ForecastPoint).join(Forecast, Forecast.id == ForecastPoint.forecast_id)
        )
        kept = session.scalar(points.where(Forecast.job_id == job_id))
    if kept != len(theirs):
        sys.exit(f"{tag}: {len(theirs)} forecasts, {kept} in the ledger")


def compare(tag: str, rounds: int, folder: Path) -> list[tuple[float, float]]:
    """Medians of seconds, processor seconds and MB, each directly and as a batch."""
    rows = []
    for number in range(rounds + 1):
        direct = watch(["-c", DIRECT, tag, str(folder / "direct.csv")], folder / "log")
        job_id, attempt = queue(tag)
        batch = watch(["-m", "vur.jobs.child", job_id, attempt], folder / "log")
        check(tag, folder / "direct.csv", job_id)
        if number:  # the first round fills caches
            rows.append(list(zip(direct, batch, strict=True)))
    return [
        tuple(statistics.median(values) for values in zip(*measure, strict=True)) for measure in zip(*rows, strict=True)
    ]


def main(count: int, algorithms: list[str], rounds: int) -> None:
    """Print the table: one row a model."""
    folder = Path(tempfile.mkdtemp(prefix="vur-bench-"))
    os.environ["VUR_HOME"] = str(folder / "home")
    from vur.store import database

    database.migrate()
    frame = panel(count)
    print(
        f"{count} monthly series, {HORIZON} steps, {len(LEVELS)} intervals, {rounds} rounds in turns; "
        "a ratio is batch over direct:\n"
    )
    print(
        "| model | direct s | batch s | ratio | ratio of processor time | direct MB | batch MB | "
        "ratio |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for algorithm in algorithms:
        seconds, work, memory = compare(save(algorithm, frame, folder), rounds, folder)
        print(
            f"| {algorithm} | {seconds[0]:.1f} | {seconds[1]:.1f} | {seconds[1] / seconds[0]:.2f} | "
            f"{work[1] / work[0]:.2f} | "
            f"{memory[0]:.0f} | {memory[1]:.0f} | {memory[1] / memory[0]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--series", type=int, default=10_000, metavar="N")
    options.add_argument("--algorithms", default="theta,seasonal_naive", metavar="NAMES")
    options.add_argument("--rounds", type=int, default=3, metavar="N")
    given = options.parse_args()
    main(given.series, given.algorithms.split(","), given.rounds)
