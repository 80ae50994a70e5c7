"""The specification of a job's attempt: what the code that does the work gets to know."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vur.store.catalog import Job
from vur.store.home import folder


@dataclass(frozen=True)
class JobSpec:
    """A job and the folder of its current attempt, which is empty when the attempt starts."""

    id: str
    kind: str
    attempt: int
    owner_id: str
    folder: Path
    model_id: str | None = None
    dataset_id: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


def spec_of(job: Job) -> JobSpec:
    """The specification of the current attempt of `job`."""
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
    """The folder for an attempt's progress, output and outcome."""
    return folder("jobs", job_id, str(attempt))
