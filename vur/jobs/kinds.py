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

from vur.store.catalog import Job

# By name, so that the service does not import what only a job's own process needs.
KINDS = {"train": "vur.jobs.training", "batch": "vur.jobs.batch"}


def handler(kind: str) -> Callable[..., dict[str, Any]]:
    """The function that does the work of a job of `kind`."""
    found: Callable[..., dict[str, Any]] = import_module(KINDS[kind]).work
    return found


def call_hook(name: str, session: Session, job: Job, *arguments: Any) -> None:
    """Call the hook `name` of the job's kind, if it has one, inside the caller's transaction."""
    hook = getattr(import_module(KINDS[job.kind]), name, None)
    if hook is not None:
        hook(session, job, *arguments)
