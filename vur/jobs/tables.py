"""The job kind `table`: fits a table with its notebook, and stores the model as the next version of the table."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs.messages import error_text, jsonable
from vur.jobs.spec import JobSpec
from vur.languages import DEFAULT_LANGUAGE
from vur.store import tables
from vur.store.catalog import Alert, Dataset, Job, User, now
from vur.store.database import reading
from vur.store.events import raise_alert
from vur.store.home import folder, home

if TYPE_CHECKING:
    import pandas as pd

CHOICES = ("algorithms", "hyperparameters", "folds", "group", "time", "features", "trust", "metric", "levels", "seed")
REPORT, NOTEBOOK = "report.html", "table.ipynb"


# --- in the child process ---


def work(job: JobSpec, report: Callable[..., None]) -> dict[str, Any]:
    """Fit the table and describe its run; `VurError` for data or choices that cannot be used.

    `params`: `table_id, target`, what of `CHOICES` was given, and the source: `input` (the job among whose results the
    file `input_name` lies, which the user called `filename`) with the `options` to read it, or the job's dataset.
    """
    try:
        return _fit(job, report)
    except VurError as error:
        for name, value in error.data.items():  # the file is stored under another name than its user gave it
            if job.params.get("input_name") and value == job.params["input_name"]:
                error.data[name] = job.params.get("filename") or value
        raise


def _fit(job: JobSpec, report: Callable[..., None]) -> dict[str, Any]:
    from vur.runs.table import execute_table, prepare_table
    from vur.store.models.models import TABLES, model_folder
    from vur.store.models.registry import checksum

    place = folder("results", job.id, str(job.attempt))
    place.mkdir(parents=True, exist_ok=True)
    choices = {name: job.params[name] for name in CHOICES if job.params.get(name) is not None}
    prepared = prepare_table(
        source_of(job),
        job.params["target"],
        out=place,
        name=f"table-{job.id}",
        language=job.params.get("language") or DEFAULT_LANGUAGE,
        upload=job.params.get("options") or None,
        **choices,
    )

    def watch(event: dict[str, Any]) -> None:
        report(event["percent"] / 100, event["stage"], event["message"], eta=event["eta"], **event["data"])

    found = execute_table(prepared, watch)
    return {
        "run_id": found.id,
        "folder": found.folder.relative_to(home()).as_posix(),
        "fingerprint": found.record["fingerprint"],
        "tag": found.tag,
        "checksum": checksum(model_folder(found.tag, TABLES)),
        "document": jsonable(found.document),
    }


def source_of(job: JobSpec) -> "Path | pd.DataFrame":
    """The file or the stored rows to learn from; `VurError` if they are not stored any more."""
    if job.dataset_id is None:
        path = folder("results", job.params["input"]) / job.params["input_name"]
        if not path.is_file():
            raise VurError("tables.input_gone", file=job.params.get("filename") or job.params["input_name"])
        return path
    import pandas as pd

    from vur.store.data.datasets import parquet_path

    with reading() as session:
        dataset = session.get(Dataset, job.dataset_id)
        if dataset is None or dataset.deleted_at is not None:
            raise VurError("api.not_found", kind="dataset", id=job.dataset_id)
        return pd.read_parquet(parquet_path(session, dataset, job.params.get("dataset_number")))


# --- hooks in the transactions that change the job's state ---


def on_queued(session: Session, job: Job) -> None:
    """Add the version that this job trains; `VurError` tables.busy while another training of the table is not over."""
    kept = (*CHOICES, "target", "options")
    tables.add_version(
        session,
        job.params["table_id"],
        user_id=job.owner_id,
        job_id=job.id,
        config={name: job.params[name] for name in kept if job.params.get(name) not in (None, {})},
        source=job.params.get("filename") or "",
        dataset_id=job.dataset_id,
        dataset_number=job.params.get("dataset_number"),
    )


def on_started(session: Session, job: Job) -> None:
    """Mark the version as in training."""
    _move(session, job, "training")


def on_interrupted(session: Session, job: Job) -> None:
    """Mark the version as queued, until another worker resumes the job."""
    _move(session, job, "queued")


def _move(session: Session, job: Job, state: str) -> None:
    found = tables.by_job(session, job.id)
    if found is not None and found[1].state in tables.ACTIVE:
        tables.move(session, *found, state)


def on_ended(session: Session, job: Job, result: dict[str, Any] | None) -> None:
    """Store the model of the version, or why there is none; an older version goes on predicting."""
    if result is not None:
        job.result = {key: value for key, value in result.items() if key != "document"}
        job.artifact, job.checksum = result["folder"], result["checksum"]
    found = tables.by_job(session, job.id)
    if found is None:  # the table was deleted meanwhile
        shutil.rmtree(folder("results", job.id), ignore_errors=True)
        return
    table, version = found
    if job.state == "succeeded" and result is not None:
        document = result["document"]
        tables.move(session, table, version, "trained", **result, error=None)
        if job.params.get("input"):  # the run has stored its content
            (folder("results", job.params["input"]) / job.params["input_name"]).unlink(missing_ok=True)
        chosen = {"number": version.number, "algorithm": document["chosen"]}
        tables.note(session, table, "table_trained", job.owner_id, **chosen)
        told = {"algorithm": document["chosen"], "metrics": document.get("metrics")}
        tables.call(session, table, version, "training.finished", **told)
        tables.call(session, table, version, "report.ready", of="training")
        session.execute(
            update(Alert)
            .where(Alert.kind == tables.ALERT, Alert.object_id == table.id, Alert.resolved_at.is_(None))
            .values(resolved_at=now())
        )
    elif job.state == "cancelled":
        tables.move(session, table, version, "cancelled")
        tables.note(session, table, "table_cancelled", job.owner_id, "warning", number=version.number)
    else:
        tables.move(session, table, version, "failed", error=job.error)
        owner = session.get(User, table.owner_id)
        reason = (error_text(job.error, owner.language if owner else DEFAULT_LANGUAGE) or {}).get("detail", "")
        tables.note(session, table, "table_failed", job.owner_id, "error", number=version.number, reason=reason)
        about = ("table", table.id)
        raise_alert(
            session, table.owner_id, tables.ALERT, severity="error", about=about, name=table.name, reason=reason
        )
        code = (job.error or {}).get("code", "")
        tables.call(session, table, version, "training.failed", code=code, message=reason)
