"""How a job moves through the catalog: claimed by a worker, reported on, given back, ended by exactly one attempt.

Every move asks for the attempt and the lease that it believes to hold: a worker that was taken for dead, and wakes up,
changes nothing.
"""

import shutil
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs.queue import ACTIVE, JobSpec, call_hook, close, spec_of, tell_clients, work_folder
from vur.store.catalog import Job, JobLog, now
from vur.store.database import reading, writing
from vur.store.home import folder
from vur.text import table, translate

MOST_CRASHES = 3  # attempts that may end without a word before the job is given up
MOST_LOSSES = 10  # workers that may die over a job
MOST_LINES = 5000
DONE, FAILED = "done.json", "error.json"


def claim(job_id: str, owner: str) -> JobSpec | None:
    """Take up a job as its next attempt; None when there is nothing left to do, because it ended or was cancelled before.

    An attempt whose worker died after it had come to its end is taken over as it is.
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
    """Count the death of a worker over `job`; whether that was one too many."""
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


def ended(place: Path) -> bool:
    """Whether the attempt whose folder this is came to an end of its own."""
    return (place / DONE).is_file() or (place / FAILED).is_file()


def _held(spec: JobSpec, owner: str) -> Update:
    """An update of the row as long as this attempt and this worker hold it."""
    return update(Job).where(
        Job.id == spec.id, Job.attempt == spec.attempt, Job.state == "running", Job.lease_owner == owner
    )


def report(
    spec: JobSpec,
    owner: str,
    changes: dict[str, Any] | None = None,
    lines: list[JobLog] | None = None,
    language: str = "en",
) -> str:
    """Write what is new and prolong the lease; `lost` when another holds the job by now, `cancel` when its end is asked for, else `on`.

    Live clients are told in `language`, that of the job's owner.
    """
    with writing() as session:
        move = _held(spec, owner).values(heartbeat_at=now(), **(changes or {})).returning(Job)
        job = session.scalar(move, execution_options={"populate_existing": True})
        if job is None:
            return "lost"
        session.add_all(lines or ())
        if changes or lines:
            tell_clients(session, job, logs=[say(line.key or line.text, line.values, language) for line in lines or ()])
        return "cancel" if job.cancel_requested else "on"


def asked(spec: JobSpec, owner: str) -> str:
    """As `report`, without writing."""
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
    """The one end of a job; False when another attempt or worker holds it."""
    with writing(durable=True) as session:
        if session.execute(_held(spec, owner).values(heartbeat_at=now())).rowcount != 1:
            return False
        job = session.get(Job, spec.id, with_for_update=True, populate_existing=True)
        if error:
            error = error | {"stage": error.get("stage") or job.stage}
            session.add(line(spec.id, spec.attempt, f"error.{error['code']}.cause", error["data"], "error"))
        close(session, job, state, result=result, error=error)
        return True


def clear_attempts(spec: JobSpec) -> None:
    """Delete what the attempts before this one left half done among the results."""
    for attempt in range(1, spec.attempt):
        shutil.rmtree(folder("results", spec.id, str(attempt)), ignore_errors=True)


def forget(before: datetime) -> None:
    """Delete the work folders of jobs that ended before that moment; rows, logs and results stay."""
    with reading() as session:
        old = session.scalars(select(Job.id).where(Job.ended_at < before)).all()
    for job_id in old:
        shutil.rmtree(folder("jobs", job_id), ignore_errors=True)


def give_back(spec: JobSpec, owner: str) -> bool:
    """Let another worker go on with a job, because this one has to stop."""
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
    """Note that the attempt ended without a word; True when it may be tried again, else the job has failed with `error`."""
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
    """A line of a job's log: `key` of the translations filled from `values`, or plain text."""
    return JobLog(
        job_id=job_id,
        attempt=attempt,
        level=level,
        text=say(key, values, "en")[:2000],
        key=key if key in table() else None,
        values=values,
    )


def say(key: str, values: dict[str, Any], language: str) -> str:
    """The text of `key`, or `key` itself where it is no key or `values` do not fill it."""
    if key not in table():
        return key
    named = values | ({"algorithm": _name(values["algorithm"], language)} if "algorithm" in values else {})
    try:
        return translate(key, language, **named)
    except (KeyError, IndexError, ValueError, TypeError):
        return f"{key} {values}"


def _name(algorithm: Any, language: str) -> str:
    from vur.forecasters.registry import algorithm_name

    return algorithm_name(algorithm, language)


def told(error: dict[str, Any] | None, language: str) -> dict[str, Any] | None:
    """The error of a job for a reader: `detail, code, remedy, stage`; as it was written down where its data no longer fill the text."""
    if error is None:
        return None
    try:
        known = VurError(error["code"], **error.get("data", {}))
        cause, remedy = known.cause(language), known.remedy(language)
    except (KeyError, IndexError, ValueError, TypeError):
        cause, remedy = "", ""
    stage = f"stage.{error.get('stage')}"
    return {
        "detail": cause or error.get("cause") or error["code"],
        "remedy": remedy or error.get("remedy") or "",
        "code": error["code"],
        "stage": error.get("stage") or "",
        "stage_name": translate(stage, language) if stage in table() else error.get("stage") or "",
    }
