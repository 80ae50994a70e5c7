"""Workers that are killed, stopped or frozen: every job ends once, and no process is left."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jobkit import DATA, WorkerProcess, dataset_of, ended, job_of, model_of, until, worker
from sqlalchemy import select

from vur.jobs import kinds, queue
from vur.jobs.processes import marked
from vur.store import database
from vur.store.catalog import Activity, Event, Job, JobLog, Model, Run, User

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def test_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind that workers of the tests know, here without its code."""
    monkeypatch.setitem(kinds.KINDS, "test", "json")


def sqlite_only(kind: str) -> None:
    if kind == "postgresql":
        pytest.skip("as on SQLite")


def ends(*jobs: str) -> Counter[str]:
    """How often each job was told to have ended."""
    with database.reading() as session:
        events = session.scalars(select(Event).where(Event.type.in_(("job_update", "training_update"))))
        return Counter(
            event.data["job_id"]
            for event in events
            if event.data["status"] in ("succeeded", "trained", "failed", "cancelled")
        )


def test_a_training_whose_worker_is_killed_is_finished_by_the_next(ana, catalog, kind):
    sqlite_only(kind)
    model = model_of(ana.id, dataset_of(ana.id, DATA / "partidas_diarias.csv"))
    job = ana.post(f"/models/{model}/train").json()["job_id"]
    with worker(catalog) as first:
        until(lambda: job_of(job).stage in ("training", "forecast", "save", "report"), 90)
        began = list(marked(job))
        assert len(began) >= 2, "the job's process and its kernel"
        first.kill()
    until(lambda: not list(marked(job)), 10)
    assert job_of(job).state == "running", "nobody knows yet"
    with worker(catalog):
        found = ended(job)[0]
    assert (found.state, found.attempt, found.losses) == ("succeeded", 2, 1), found.error
    with database.reading() as session:
        run = session.scalars(select(Run)).one()
        assert session.scalars(select(Activity.kind).where(Activity.kind == "model_trained")).all() == ["model_trained"]
        assert "died" in session.scalars(select(JobLog.text).where(JobLog.key == "jobs.log.worker_lost")).one()
        assert session.get(Model, model).status == "trained"
    assert run.folder.startswith(f"results/{job}/2/") and ends() == {job: 1}
    assert [path.name for path in (catalog / "results" / job).iterdir()] == ["2"], "what was left half done is gone"


def test_jobs_end_once_while_workers_are_killed(ana, catalog, tmp_path):
    """Two workers; four times, at a seeded random time, the one that runs a job is killed with -9 and restarted."""
    log, chance = tmp_path / "log", random.Random(20)
    jobs = [queue.submit("test", ana.id, {"ticks": 10, "log": str(log)}).id for _ in range(6)]
    workers = [WorkerProcess(catalog, kinds=True, lease_seconds=6) for _ in range(2)]
    try:
        for _ in range(4):
            holder = until(lambda: holder_of(jobs), 90)
            time.sleep(chance.uniform(0, 1.5))
            # One that was started a moment ago goes by the name of the one before it, but has not said so yet.
            victim = until(
                lambda name=holder: [number for number, one in enumerate(workers) if f"worker {name} takes" in one.log],
                60,
            )[0]
            workers[victim].kill()
            workers[victim] = WorkerProcess(catalog, kinds=True, lease_seconds=6)
        found = ended(*jobs, seconds=180)
    finally:
        for one in workers:
            one.kill()
    assert [job.state for job in found] == ["succeeded"] * 6, "\n".join(one.log for one in workers)
    assert ends() == dict.fromkeys(jobs, 1)
    begun = Counter(tuple(line.split()[1:3]) for line in log.read_text().splitlines() if line.startswith("begin"))
    assert set(begun.values()) == {1}, "no attempt was made twice"
    assert sum(job.losses for job in found) > 0, "the shots hit something"
    until(lambda: not [process for job in jobs for process in marked(job)], 10)


def holder_of(jobs: list[str]) -> str | None:
    """The worker that runs one of these jobs."""
    with database.reading() as session:
        return session.scalar(
            select(Job.lease_owner)
            .where(Job.id.in_(jobs), Job.state == "running", Job.progress > 0, Job.progress < 0.8)
            .limit(1)
        )


@contextmanager
def holder_and_other(catalog: Path, **params: Any) -> Iterator[tuple[str, WorkerProcess, WorkerProcess]]:
    """A job, the worker that runs it, and another running one."""
    with worker(catalog, kinds=True, lease_seconds=3) as one, worker(catalog, kinds=True, lease_seconds=3) as two:
        until(lambda: "takes up to" in one.log and "takes up to" in two.log, 90)
        job = queue.submit("test", one_user(), params).id
        name = until(lambda: holder_of([job]), 60)
        yield job, *((one, two) if f"worker {name} takes" in one.log else (two, one))


def one_user() -> str:
    with database.reading() as session:
        return session.scalar(select(User.id))


def test_a_frozen_worker_that_wakes_up_changes_nothing(ana, catalog, kind):
    sqlite_only(kind)
    with holder_and_other(catalog, ticks=120) as (job, holder, other):
        holder.process.send_signal(signal.SIGSTOP)
        until(lambda: job_of(job).attempt == 2, 60)
        holder.process.send_signal(signal.SIGCONT)
        found = ended(job)[0]
        assert (found.state, found.attempt) == ("succeeded", 2), other.log
        time.sleep(2)
        other.kill()
        again = queue.submit("test", ana.id, {"ticks": 1}).id
        assert ended(again)[0].state == "succeeded", "it works on with other jobs"
    assert ends() == {job: 1, again: 1}


def test_a_stopping_worker_requeues_its_job(ana, catalog, kind):
    sqlite_only(kind)
    job = queue.submit("test", ana.id, {"ticks": 60, "start": 1}).id
    with worker(catalog, kinds=True) as first:
        until(lambda: job_of(job).progress > 0, 60)
        assert first.end() < 10 and first.process.returncode == 0, first.log
    assert not list(marked(job))
    found = job_of(job)
    assert (found.state, found.lease_owner) == ("queued", None)
    with worker(catalog, kinds=True):
        found = ended(job)[0]
    assert (found.state, found.attempt, found.losses, found.crashes) == ("succeeded", 2, 0, 0), (
        "an orderly stop counts against nobody"
    )


def test_an_in_flight_job_of_a_lost_worker_is_taken_over(ana, catalog, kind):
    sqlite_only(kind)
    with holder_and_other(catalog, ticks=600) as (job, holder, other):
        holder.kill()
        until(lambda: job_of(job).attempt == 2, 60)
        assert f"worker {job_of(job).lease_owner} takes" in other.log, "under its own name"
        queue.request_cancel(job)
        assert ended(job)[0].state == "cancelled"
    with database.reading() as session:
        assert len(session.scalars(select(Job)).all()) == 1
