"""Background jobs: a row in the catalog, and a durable workflow of the same id that a worker runs.

The catalog says what is to be done and what became of it; DBOS only sees to it that a worker takes each job up, also
after a crash. Its tables lie beside the catalog: in `jobs.sqlite` of the data home, or in the schema `dbos` of the same
PostgreSQL database. This module is what the service needs; `vur.jobs.workflows` is what a worker runs.

A kind of job is a module with a function `work(job, tell) -> dict`, run in a process of its own. `tell(fraction, stage,
text, **data)` reports: `text` is a key of the translations that `data` fills, or plain text. Functions
`on_queued(session, job)`, `on_started(session, job)` and `on_ended(session, job, result)` of the module, where there
are any, take part in the transactions that move the job.
"""

import logging
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store import database
from vur.store.catalog import Job, new_id, now
from vur.store.events import publish
from vur.store.home import folder, home, lock

if TYPE_CHECKING:
    from dbos import DBOSClient

HANDLERS = {"train": "vur.jobs.training:work", "batch": "vur.jobs.batch:work"}
ACTIVE, ENDED = ("queued", "running"), ("succeeded", "failed", "cancelled")
QUEUE, WORKFLOW, APPLICATION, VERSION, SCHEMA = "jobs", "job", "vur", "1", "dbos"
# What the documents call the state of a training.
STATUS = {
    "queued": "queued",
    "running": "training",
    "succeeded": "trained",
    "failed": "failed",
    "cancelled": "cancelled",
}
log = logging.getLogger("vur.jobs")


@dataclass(frozen=True)
class JobSpec:
    """What a handler is told: the job, and the empty folder of this attempt."""

    id: str
    kind: str
    attempt: int
    owner_id: str
    folder: Path
    model_id: str | None = None
    dataset_id: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


def spec_of(job: Job) -> JobSpec:
    """The specification of the present attempt of `job`."""
    return JobSpec(
        job.id,
        job.kind,
        job.attempt,
        job.owner_id,
        work_folder(job.id, job.attempt),
        job.model_id,
        job.dataset_id,
        dict(job.params),
    )


def work_folder(job_id: str, attempt: int) -> Path:
    """Where an attempt keeps its progress, its output and how it ended."""
    return folder("jobs", job_id, str(attempt))


def handler(kind: str) -> Callable[..., dict[str, Any]]:
    """The function that does jobs of `kind`."""
    module, _, name = HANDLERS[kind].partition(":")
    return getattr(import_module(module), name)


def call_hook(moment: str, session: Session, job: Job, *arguments: Any) -> None:
    """Let the module of the job's kind take part in the transaction: `on_queued, on_started, on_ended`."""
    found = getattr(import_module(HANDLERS[job.kind].partition(":")[0]), moment, None)
    if found is not None:
        found(session, job, *arguments)


# --- what the service asks for ---


def submit(
    kind: str,
    owner_id: str,
    params: dict[str, Any],
    *,
    model_id: str | None = None,
    dataset_id: str | None = None,
    id: str | None = None,
) -> Job:
    """A new job, or the one that has this `id` already. Commits on its own: call it outside of transactions."""
    with database.writing(durable=True) as session:
        job = add(session, kind, owner_id, params, model_id=model_id, dataset_id=dataset_id, id=id)
    hand_over(job.id)
    return job


def hand_over(*job_ids: str) -> None:
    """Enqueue jobs whose rows are committed.

    Whatever keeps the queue from taking them, workers enqueue rows without a workflow.
    """
    try:
        enqueue(job_ids)
    except Exception:
        log.exception("jobs %s wait for a worker to enqueue them", ", ".join(job_ids))


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
    """Insert the row of a new job into the caller's transaction, to `hand_over` after it; an existing `id` is returned as it is."""
    if kind not in HANDLERS:
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
    """Ask for the end of a job and return its state: one that waits is cancelled at once, one that runs within seconds by its worker."""
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
    """A new job that does what a failed or cancelled one should have done; asked twice, the same new job."""
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
    """Move a row that the caller holds to its end, with all that belongs to it."""
    job.state, job.ended_at, job.eta_seconds, job.result, job.error = state, now(), None, result, error
    job.progress = 1.0 if state == "succeeded" else job.progress
    job.lease_owner = job.pid = job.process_group = None
    call_hook("on_ended", session, job, result)
    session.flush()
    tell_clients(session, job)


def tell_clients(session: Session, job: Job, **more: Any) -> None:
    """A live message on where the job stands: `training_update`, or `job_update` for other kinds."""
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
            "current_epoch": epochs.get("epoch"),
            "total_epochs": epochs.get("epochs"),
            "loss": epochs.get("loss"),
            "attempt": job.attempt,
            **more,
        },
        job.owner_id,
    )


# --- the durable queue behind it ---


def enqueue(job_ids: Collection[str]) -> None:
    """Give each job its workflow; one that has its own already keeps it."""
    for job_id in job_ids:
        client().enqueue({"workflow_name": WORKFLOW, "queue_name": QUEUE, "workflow_id": job_id}, job_id)


def reconcile(dead: Collection[str] = ()) -> list[str]:
    """Bring rows and workflows together, as every worker does now and then; returns the jobs that were taken from `dead` workers.

    A row without a workflow gets one. A workflow in the hands of a dead worker goes back to the queue: only the one who
    can take the row's lease may do that, so that two living workers never both do.
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
        client().resume_workflow(job_id, queue_name=QUEUE)
    for flow in found.values():
        if flow.status in ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
            _lost(flow.workflow_id, flow.status)
    return taken


def _take(job: Job) -> bool:
    """Whether the lease of a dead worker's job, unchanged since `job` was read, could be taken."""
    same = (
        Job.id == job.id,
        Job.attempt == job.attempt,
        Job.state.in_(ACTIVE),
        Job.heartbeat_at.is_not_distinct_from(job.heartbeat_at),
    )
    with database.writing() as session:
        return session.execute(update(Job).where(*same).values(heartbeat_at=now(), lease_owner=None)).rowcount == 1


def _lost(job_id: str, status: str) -> None:
    """End a job whose workflow is over although nobody ended the job; one that was just ended is left alone."""
    with database.writing(durable=True) as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is not None and job.state in ACTIVE:
            log.error("the workflow of job %s is over (%s), the job was not", job_id, status)
            close(session, job, "failed", error={"code": "jobs.lost", "stage": job.stage, "data": {"status": status}})


def client() -> "DBOSClient":
    """What enqueues and resumes workflows from any process; one a process and database.

    Makes the queue's tables where there are none.
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
    """Drop the workflows of jobs that ended before that moment; their rows stay."""
    over = client().list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"],
        completed_before=before.isoformat(),
        limit=1000,
        load_input=False,
        load_output=False,
    )
    client().delete_workflows([flow.workflow_id for flow in over])


def serializer() -> Any:
    """Plain JSON: the default would be pickle, which whoever writes into the database could use to run code."""
    from dbos._serialization import DBOSPortableJSON

    return DBOSPortableJSON


def queue_engine() -> Engine:
    """The engine of the queue's tables: the catalog's on PostgreSQL, else that of `jobs.sqlite` in the data home."""
    engine = database.engine()
    return engine if engine.dialect.name == "postgresql" else _sqlite(str(home() / "jobs.sqlite"))


@cache
def _sqlite(path: str) -> Engine:
    """As DBOS opens SQLite itself (it begins its transactions on its own), but through the safe release and in WAL mode."""
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
    """Make or bring up to date the tables of the queue, as `vur init` does; other processes wait."""
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
