"""Twenty training jobs while service and worker of `vur serve` are killed at random: all end, none runs twice."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from databases import kind  # noqa: F401 - a fixture
from jobkit import DATA, dataset_of, model_of, until
from sqlalchemy import func, select

from vur.store import database
from vur.store.catalog import Activity, Event, Job, Model, Run

pytestmark = pytest.mark.slow
TRAININGS, SHOTS = 20, 10
ENDS = ("succeeded", "failed", "cancelled")


@contextmanager
def serving(home: Path) -> Iterator[tuple[psutil.Process, int]]:
    """`vur serve` with its worker, and its port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    settings = {"VUR_LEASE_SECONDS": "6", "VUR_JOB_CONCURRENCY": "2"}
    with (home.parent / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vur.cli", "serve", "--port", str(port)],
            stdout=log,
            stderr=log,
            env=os.environ | settings,
        )
    try:
        yield psutil.Process(process.pid), port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


def call(port: int, method: str, path: str, token: str, key: str = "") -> dict:
    """A response of the service; the request is repeated until there is one, which its key makes safe."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1{path}",
        method=method,
        headers={"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {}),
    )
    for _ in range(60):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (409, 503):  # 409: the first attempt with this key is still in progress
                raise AssertionError(error.read()) from error
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{method} {path}: no answer")


def shoot(server: psutil.Process, chance: random.Random) -> str:
    """Kill the service or the worker; the supervisor restarts it."""
    name = chance.choice(["vur.serving.process.server", "worker"])
    for child in server.children():
        if name in child.cmdline():
            child.kill()
            return name
    return ""


def test_training_jobs_survive_random_kills_and_none_runs_twice(ana, catalog):
    chance = random.Random(7)
    dataset = dataset_of(ana.id, DATA / "electrical_equipment.csv")
    models = [model_of(ana.id, dataset, split={"horizon": 6, "folds": 2}) for _ in range(TRAININGS)]
    shots: Counter[str] = Counter()
    with serving(catalog) as (server, port):
        jobs = [
            call(port, "POST", f"/models/{model}/train", ana.token, key=f"train-{model}")["job_id"]
            for model in models[:4]
        ]
        for number in range(SHOTS):
            time.sleep(chance.uniform(2, 6))
            shots[shoot(server, chance)] += 1
            begin = 4 + number * (TRAININGS - 4) // SHOTS
            for model in models[begin : 4 + (number + 1) * (TRAININGS - 4) // SHOTS]:
                jobs.append(call(port, "POST", f"/models/{model}/train", ana.token, key=f"train-{model}")["job_id"])
        until(lambda: all_over(jobs), 900, every=1.0)
        states = Counter(call(port, "GET", f"/models/{model}", ana.token)["status"] for model in models)
    log = (catalog.parent / "serve.log").read_text()
    assert len(set(jobs)) == TRAININGS and shots["worker"] and shots["vur.serving.process.server"]
    with database.reading() as session:
        rows = {job.id: job for job in session.scalars(select(Job))}
        assert rows.keys() == set(jobs), "no training was begun that nobody asked for"
        for job in rows.values():
            assert job.state == "succeeded" or job.state == "failed" and job.error, log[-3000:]
        assert Counter(job.state for job in rows.values())["succeeded"] >= TRAININGS - 2, [
            job.error for job in rows.values() if job.error
        ]
        ended = Counter(
            event.data["job_id"]
            for event in session.scalars(select(Event).where(Event.type == "training_update"))
            if event.data["status"] in ("trained", "failed", "cancelled")
        )
        assert ended == dict.fromkeys(jobs, 1), "each end is told once"
        trained = sum(job.state == "succeeded" for job in rows.values())
        assert session.scalar(select(func.count()).select_from(Run).where(Run.status == "finished")) == trained
        assert (
            session.scalar(select(func.count()).select_from(Activity).where(Activity.kind == "model_trained"))
            == trained
        )
        assert (
            session.scalar(select(func.count()).select_from(Model).where(Model.status == "trained"))
            == trained
            == states["trained"]
        )
    assert sum(job.losses for job in rows.values()) > 0, "the shots hit something"


def all_over(jobs: list[str]) -> bool:
    """Whether no job is left."""
    with database.reading() as session:
        return session.scalar(
            select(func.count()).select_from(Job).where(Job.id.in_(jobs), Job.state.in_(ENDS))
        ) == len(jobs)
