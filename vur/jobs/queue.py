"""The job queue: a row in the catalog for each job, and a durable workflow with the same id that a worker runs.

The catalog holds a job's parameters, state and outcome; DBOS ensures that a worker runs each job, even after a crash.
Its tables are stored beside the catalog: in `jobs.sqlite` of the data home, or in the schema `dbos` of the same
PostgreSQL database. This module is what the service needs, `vur.jobs.workflows` what a worker runs, and
`vur.jobs.kinds` lists the kinds of jobs.
"""

import logging
import uuid
from collections.abc import Collection
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs.kinds import KINDS, call_hook, queue_of
from vur.store import database
from vur.store.catalog import Job, new_id, now
from vur.store.database import rows_changed
from vur.store.events import publish
from vur.store.home import home, lock

if TYPE_CHECKING:
    from dbos import DBOSClient

ACTIVE, ENDED = ("queued", "running"), ("succeeded", "failed", "cancelled")
WORKFLOW, APPLICATION, VERSION, SCHEMA = "job", "vur", "1", "dbos"
# The names of a training job's states in the API.
STATUS = {
    "queued": "queued",
    "running": "training",
    "succeeded": "trained",
    "failed": "failed",
    "cancelled": "cancelled",
}
log = logging.getLogger("vur.jobs")


# --- submitting and cancelling ---


def submit(
    kind: str,
    owner_id: str,
    params: dict[str, Any],
    *,
    model_id: str | None = None,
    dataset_id: str | None = None,
    id: str | None = None,
) -> Job:
    """Submit a new job, or return the job that has this `id` already.

    Commits its own transaction: do not call it inside another one.
    """
    with database.writing(durable=True) as session:
        job = add(session, kind, owner_id, params, model_id=model_id, dataset_id=dataset_id, id=id)
    hand_over(job.id)
    return job


def hand_over(*job_ids: str) -> None:
    """Enqueue jobs whose rows are committed.

    If the queue cannot be reached, a worker enqueues them later: it looks for rows without a workflow.
    """
    try:
        enqueue(job_ids)
    except Exception:
        log.exception("jobs %s could not be enqueued now; a worker will enqueue them", ", ".join(job_ids))


def add(
    session: Session,
    kind: str,
    owner_id: str,
    params: dict[str, Any],
    *,
    model_id: str | None = None,
    dataset_id: str | None = None,
    id: str | None = None,
) -> Job:
    """Insert a new job's row in the caller's transaction; an existing `id` is returned unchanged.

    Call `hand_over` after the commit.
    """
    if kind not in KINDS:
        raise KeyError(kind)
    if id is not None and (known := session.get(Job, id)) is not None:
        return known
    job = Job(
        id=id or new_id(),
        kind=kind,
        owner_id=owner_id,
        model_id=model_id,
        dataset_id=dataset_id,
        params=params,
        created_at=now(),
        state="queued",
        attempt=0,
        crashes=0,
        losses=0,
        progress=0.0,
        stage="",
        cancel_requested=False,
    )
    call_hook("on_queued", session, job)
    session.add(job)
    session.flush()
    tell_clients(session, job)
    return job


def request_cancel(job_id: str) -> str:
    """Request a job's cancellation and return its state.

    A queued job is cancelled at once, a running one within seconds by its worker.
    """
    with database.writing(durable=True) as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None:
            raise VurError("api.not_found", kind="job", id=job_id)
        if job.state == "queued":
            job.cancel_requested = True
            close(session, job, "cancelled")
        elif job.state == "running":
            job.cancel_requested = True
        return job.state


def retry(job_id: str) -> Job:
    """Submit a failed or cancelled job again as a new job; called twice, it returns the same new job."""
    with database.reading() as session:
        old = session.get(Job, job_id)
        if old is None:
            raise VurError("api.not_found", kind="job", id=job_id)
        if old.state not in ("failed", "cancelled"):
            raise VurError("jobs.no_retry", id=job_id, state=old.state)
    params = {**old.params, "retry_of": old.id}
    return submit(
        old.kind,
        old.owner_id,
        params,
        model_id=old.model_id,
        dataset_id=old.dataset_id,
        id=str(uuid.uuid5(uuid.UUID(old.id), "retry")),
    )


def close(
    session: Session, job: Job, state: str, *, result: dict[str, Any] | None = None, error: dict[str, Any] | None = None
) -> None:
    """Set the final state of a job whose row the caller has locked, call its hook and notify clients."""
    job.state, job.ended_at, job.eta_seconds, job.result, job.error = state, now(), None, result, error
    job.progress = 1.0 if state == "succeeded" else job.progress
    job.lease_owner = job.pid = job.process_group = None
    call_hook("on_ended", session, job, result)
    session.flush()
    tell_clients(session, job)


def tell_clients(session: Session, job: Job, **more: Any) -> None:
    """Publish the job's progress to live clients: `training_update`, or `job_update` for other kinds."""
    epochs = job.epochs or {}
    publish(
        session,
        "training_update" if job.kind == "train" else "job_update",
        {
            "job_id": job.id,
            "kind": job.kind,
            "model_id": job.model_id,
            "status": STATUS[job.state] if job.kind == "train" else job.state,
            "progress": round(100 * job.progress, 1),
            "stage": job.stage,
            "eta_seconds": job.eta_seconds,
            "best": job.best,
            "metrics": best_scores(job.best),
            "current_epoch": epochs.get("epoch"),
            "total_epochs": epochs.get("epochs"),
            "loss": epochs.get("loss"),
            "attempt": job.attempt,
            **more,
        },
        job.owner_id,
    )


def best_scores(best: dict[str, Any] | None) -> dict[str, float | None]:
    """The metrics of the best candidate so far; empty without one."""
    best = best or {}
    return best.get("scores") or ({best["metric"].lower(): best["value"]} if "metric" in best else {})


# --- the durable queue ---


def enqueue(job_ids: Collection[str]) -> None:
    """Enqueue a workflow for each job that has none, in the queue of its kind."""
    for job_id, kind in _kinds(job_ids):
        client().enqueue({"workflow_name": WORKFLOW, "queue_name": queue_of(kind), "workflow_id": job_id}, job_id)


def resume(job_id: str) -> None:
    """Put the workflow of a job that was interrupted back into the queue of its kind."""
    for _, kind in _kinds([job_id]):
        client().resume_workflow(job_id, queue_name=queue_of(kind))


def _kinds(job_ids: Collection[str]) -> list[tuple[str, str]]:
    """The id and kind of each job, in the order of their submission."""
    if not job_ids:
        return []
    with database.reading() as session:
        found = session.execute(select(Job.id, Job.kind).where(Job.id.in_(job_ids)).order_by(Job.created_at, Job.id))
        return [row._tuple() for row in found]


def reconcile(dead: Collection[str] = ()) -> list[str]:
    """Reconcile rows and workflows, and return the jobs re-queued from `dead` workers; every worker does so regularly.

    A row without a workflow gets one. The workflow of a dead worker goes back to the queue; only the process that
    obtains the row's lease does that, so two live workers never both re-queue a job.
    """
    with database.reading() as session:
        jobs = {job.id: job for job in session.scalars(select(Job).where(Job.state.in_(ACTIVE)))}
    if not jobs:
        return []
    found = {
        flow.workflow_id: flow
        for flow in client().list_workflows(workflow_ids=list(jobs), load_input=False, load_output=False)
    }
    enqueue(jobs.keys() - found.keys())
    taken = [
        flow.workflow_id
        for flow in found.values()
        if flow.status == "PENDING" and flow.executor_id in dead and _take(jobs[flow.workflow_id])
    ]
    for job_id in taken:
        resume(job_id)
    for flow in found.values():
        if flow.status in ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
            _lost(flow.workflow_id, flow.status)
    return taken


def _take(job: Job) -> bool:
    """Take the lease of a dead worker's job, if it has not changed since `job` was read; whether that succeeded."""
    same = (
        Job.id == job.id,
        Job.attempt == job.attempt,
        Job.state.in_(ACTIVE),
        Job.heartbeat_at.is_not_distinct_from(job.heartbeat_at),
    )
    with database.writing() as session:
        return rows_changed(session, update(Job).where(*same).values(heartbeat_at=now(), lease_owner=None)) == 1


def _lost(job_id: str, status: str) -> None:
    """Fail a job whose workflow ended without ending the job; a job that has just ended is left unchanged."""
    with database.writing(durable=True) as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is not None and job.state in ACTIVE:
            log.error("the workflow of job %s ended (%s) before the job did", job_id, status)
            close(session, job, "failed", error={"code": "jobs.lost", "stage": job.stage, "data": {"status": status}})


def client() -> "DBOSClient":
    """The client that enqueues and resumes workflows, one for each process and database.

    Creates the queue's tables if they do not exist.
    """
    return _client(database.database_url())


@cache
def _client(url: str) -> "DBOSClient":
    create_schema()
    from dbos import DBOSClient

    return DBOSClient(
        system_database_engine=queue_engine(),
        dbos_system_schema=SCHEMA,
        serializer=serializer(),
        application_name=APPLICATION,
        use_listen_notify=False,
        retry_connection_errors=False,
    )


def forget(before: datetime) -> None:
    """Delete the workflows that ended before `before`; the rows of their jobs stay."""
    over = client().list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"],
        completed_before=before.isoformat(),
        limit=1000,
        load_input=False,
        load_output=False,
    )
    client().delete_workflows([flow.workflow_id for flow in over])


def serializer() -> Any:
    """The JSON serializer: with the default, pickle, whoever can write to the database could run code."""
    from dbos._serialization import DBOSPortableJSON

    return DBOSPortableJSON


def queue_engine() -> Engine:
    """The engine of the queue's tables: the catalog's on PostgreSQL, else that of `jobs.sqlite` in the data home."""
    engine = database.engine()
    return engine if engine.dialect.name == "postgresql" else _sqlite(str(home() / "jobs.sqlite"))


@cache
def _sqlite(path: str) -> Engine:
    """An engine configured as DBOS configures SQLite, but with the release that VUR requires and in WAL mode."""
    engine = create_engine(
        f"sqlite:///{path}",
        module=database.sqlite_module(),
        pool_size=10,
        max_overflow=20,
        connect_args={"timeout": database.BUSY_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _open_sqlite)
    return engine


def _open_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in (
        f"busy_timeout={1000 * database.BUSY_SECONDS}",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    Path(next(row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")).chmod(0o600)


def create_schema() -> None:
    """Create or migrate the queue's tables, as `vur init` does; other processes wait."""
    from dbos._logger import dbos_logger
    from dbos._sys_db import SystemDatabase

    dbos_logger.setLevel(logging.WARNING)
    engine = queue_engine()
    with lock("jobs"):
        tables = SystemDatabase.create(
            system_database_url=f"{engine.dialect.name}://",
            engine_kwargs={},
            engine=engine,
            schema=SCHEMA,
            serializer=serializer(),
            executor_id=None,
            use_listen_notify=False,
        )
        tables.run_migrations()
