"""The state changes of a running job: claimed by a worker, reported on, re-queued, ended by exactly one attempt.

Every change is conditional on the attempt and the lease: a worker that was presumed dead and wakes up changes nothing.
"""

import shutil
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from vur.jobs.kinds import call_hook
from vur.jobs.messages import log_text
from vur.jobs.queue import ACTIVE, close, tell_clients
from vur.jobs.spec import JobSpec, spec_of, work_folder
from vur.languages import DEFAULT_LANGUAGE
from vur.store.catalog import Job, JobLog, now
from vur.store.database import reading, rows_changed, writing
from vur.store.home import folder
from vur.text import table

MOST_CRASHES = 3  # attempts that crash before the job fails
MOST_LOSSES = 10  # workers that die while running the job before it fails
MOST_LINES = 5000
DONE, FAILED = "done.json", "error.json"


def claim(job_id: str, owner: str) -> JobSpec | None:
    """Claim a job as its next attempt; None if it has ended or was cancelled.

    An attempt that had finished when its worker died is taken over unchanged.
    """
    with writing(durable=True) as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.state not in ACTIVE:
            return None
        if job.state == "running" and ended(work_folder(job.id, job.attempt)):
            job.lease_owner, job.heartbeat_at = owner, now()
            return spec_of(job)
        if job.cancel_requested:
            close(session, job, "cancelled")
            return None
        if job.state == "running" and _lost_again(session, job):
            return None
        job.attempt, job.state, job.lease_owner, job.heartbeat_at = job.attempt + 1, "running", owner, now()
        job.started_at, job.host, job.pid, job.process_group = job.started_at or now(), socket.gethostname(), None, None
        job.epochs, job.eta_seconds = None, None
        call_hook("on_started", session, job)
        session.flush()
        tell_clients(session, job)
        return spec_of(job)


def _lost_again(session: Session, job: Job) -> bool:
    """Count a worker that died while running `job`, and fail the job at `MOST_LOSSES`; whether it failed."""
    job.losses += 1
    session.add(line(job.id, job.attempt, "jobs.log.worker_lost", {"attempt": job.attempt}, "warning"))
    if job.losses >= MOST_LOSSES:
        close(
            session,
            job,
            "failed",
            error={"code": "jobs.worker_lost", "stage": job.stage, "data": {"times": job.losses}},
        )
    return job.state == "failed"


def ended(attempt: Path) -> bool:
    """Whether the attempt with this folder wrote its result or its error."""
    return (attempt / DONE).is_file() or (attempt / FAILED).is_file()


def _held(spec: JobSpec, owner: str) -> Update:
    """An update of the row, on the condition that this attempt and this worker hold it."""
    return update(Job).where(
        Job.id == spec.id, Job.attempt == spec.attempt, Job.state == "running", Job.lease_owner == owner
    )


def report(
    spec: JobSpec,
    owner: str,
    changes: dict[str, Any] | None = None,
    lines: list[JobLog] | None = None,
    language: str = DEFAULT_LANGUAGE,
) -> str:
    """Write progress and renew the lease; returns `lost` to another holder, `cancel` if requested, else `on`.

    Live clients get the log lines in `language`, that of the job's owner.
    """
    with writing() as session:
        move = _held(spec, owner).values(heartbeat_at=now(), **(changes or {})).returning(Job)
        job = session.scalar(move, execution_options={"populate_existing": True})
        if job is None:
            return "lost"
        session.add_all(lines or ())
        if changes or lines:
            tell_clients(
                session,
                job,
                logs=[log_text(line.key or line.text, line.values or {}, language) for line in lines or ()],
            )
        return "cancel" if job.cancel_requested else "on"


def lease_state(spec: JobSpec, owner: str) -> str:
    """What `report` returns, without writing."""
    with reading() as session:
        row = session.execute(
            select(Job.cancel_requested).where(
                Job.id == spec.id, Job.attempt == spec.attempt, Job.state == "running", Job.lease_owner == owner
            )
        ).one_or_none()
        return "lost" if row is None else "cancel" if row[0] else "on"


def end(
    spec: JobSpec, owner: str, state: str, *, result: dict[str, Any] | None = None, error: dict[str, Any] | None = None
) -> bool:
    """End a job; False if another attempt or worker holds it."""
    with writing(durable=True) as session:
        if rows_changed(session, _held(spec, owner).values(heartbeat_at=now())) != 1:
            return False
        job = session.get_one(Job, spec.id, with_for_update=True, populate_existing=True)
        if error:
            error = error | {"stage": error.get("stage") or job.stage}
            session.add(line(spec.id, spec.attempt, f"error.{error['code']}.cause", error["data"], "error"))
        close(session, job, state, result=result, error=error)
        return True


def clear_attempts(spec: JobSpec) -> None:
    """Delete the incomplete results of earlier attempts."""
    for attempt in range(1, spec.attempt):
        shutil.rmtree(folder("results", spec.id, str(attempt)), ignore_errors=True)


def forget(before: datetime) -> None:
    """Delete the work folders of jobs that ended before `before`; rows, logs and results stay."""
    with reading() as session:
        old = session.scalars(select(Job.id).where(Job.ended_at < before)).all()
    for job_id in old:
        shutil.rmtree(folder("jobs", job_id), ignore_errors=True)


def requeue(spec: JobSpec, owner: str) -> bool:
    """Re-queue a running job for another worker, because this one is stopping; whether it still held the job."""
    with writing(durable=True) as session:
        job = session.scalar(
            _held(spec, owner).values(state="queued", lease_owner=None, pid=None, process_group=None).returning(Job),
            execution_options={"populate_existing": True},
        )
        if job is None:
            return False
        session.add(line(spec.id, spec.attempt, "jobs.log.interrupted", {"attempt": spec.attempt}, "warning"))
        call_hook("on_interrupted", session, job)
        tell_clients(session, job)
        return True


def crashed(spec: JobSpec, owner: str, error: dict[str, Any]) -> bool:
    """Count a crash of the attempt; True if the job may be tried again, else it has failed with `error`."""
    with writing(durable=True) as session:
        job = session.scalar(
            _held(spec, owner).values(crashes=Job.crashes + 1).returning(Job),
            execution_options={"populate_existing": True},
        )
        if job is None:
            return False
        session.add(line(spec.id, spec.attempt, f"error.{error['code']}.cause", error["data"], "error"))
        if job.crashes >= MOST_CRASHES:
            close(session, job, "failed", error=error | {"stage": error.get("stage") or job.stage})
            return False
        job.state, job.lease_owner = "queued", None
        return True


def line(job_id: str, attempt: int, key: str, values: dict[str, Any], level: str = "info") -> JobLog:
    """A line of a job's log: a key of the translations filled from `values`, or plain text."""
    return JobLog(
        job_id=job_id,
        attempt=attempt,
        level=level,
        text=log_text(key, values, DEFAULT_LANGUAGE)[:2000],
        key=key if key in table() else None,
        values=values,
    )
