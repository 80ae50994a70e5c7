"""The kinds of jobs: one line a kind, which names the module that does the work.

Such a module has a function `work(job, report) -> dict`, which runs in a child process; `report(fraction, stage, text,
**data)` reports progress, where `text` is a key of the translations filled from `data`, or plain text. The functions
`on_queued(session, job)`, `on_started(session, job)`, `on_interrupted(session, job)` and `on_ended(session, job,
result)` are optional: they run inside the transactions that change the job's state.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sqlalchemy.orm import Session

from vur.settings import settings
from vur.store.catalog import Job

# By name, so that the service does not import what only a job's own process needs.
KINDS = {
    "train": "vur.jobs.training",
    "batch": "vur.jobs.batch",
    "ranking": "vur.jobs.ranking",
    "table": "vur.jobs.tables",
}


# The queue of each kind: those of another one do not wait for trainings, nor trainings for them.
QUEUE, BATCHES = "jobs", "batches"
QUEUES = {"batch": BATCHES}


def queue_of(kind: str) -> str:
    """The queue of the jobs of `kind`."""
    return QUEUES.get(kind, QUEUE)


def concurrency() -> dict[str, int]:
    """How many jobs of each queue one worker runs at a time."""
    return {QUEUE: settings().job_concurrency, BATCHES: settings().batch_concurrency}


def memory_limit(kind: str) -> int:
    """The MiB that one job of `kind` may fill, all its processes together; 0 for no limit.

    Batches run beside trainings, so without a limit of their own they get half of a training's.
    """
    limit = settings().job_memory_mb
    return (settings().batch_memory_mb or limit // 2) if queue_of(kind) == BATCHES else limit


def handler(kind: str) -> Callable[..., dict[str, Any]]:
    """The function that does the work of a job of `kind`."""
    found: Callable[..., dict[str, Any]] = import_module(KINDS[kind]).work
    return found


def call_hook(name: str, session: Session, job: Job, *arguments: Any) -> None:
    """Call the hook `name` of the job's kind, if it has one, inside the caller's transaction."""
    hook = getattr(import_module(KINDS[job.kind]), name, None)
    if hook is not None:
        hook(session, job, *arguments)
