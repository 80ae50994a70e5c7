"""The job kind `ranking`: ranks the variables of a machine, or hands its file on to an outside service that does.

The states of the machine and of its training move in the transactions that move the job.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs.messages import error_text, jsonable
from vur.jobs.spec import JobSpec
from vur.languages import DEFAULT_LANGUAGE
from vur.store import machines
from vur.store.catalog import Dataset, Job, Machine, MachineTraining, User
from vur.store.database import reading, writing
from vur.store.home import folder, home

if TYPE_CHECKING:
    import pandas as pd

CHOICES = ("time", "lags", "goal", "level", "seed", "exclude")  # of a request, as `vur.runs.ranking.rank` takes them
RUN, REPORT, NOTEBOOK, MODEL = "run.txt", "report.html", "rank.ipynb", "model"


# --- in the child process ---


def work(job: JobSpec, report: Callable[..., None]) -> dict[str, Any]:
    """Rank the variables, or hand the file on; `VurError` for a table that cannot be ranked or a service that fails.

    `params`: `machine_id, target`, what of `CHOICES` was given, and the source: `input` (the job among whose results
    the file `input_name` lies, which the user called `filename`) with the `options` to read it, or the job's dataset.
    """
    return hand_on(job, report) if job.params.get("outside") else rank(job, report)


def rank(job: JobSpec, report: Callable[..., None]) -> dict[str, Any]:
    """Rank the variables with the ranking notebook, and describe what came of it."""
    from vur.runs.ranking import execute_ranking, prepare_ranking

    report(0.01, "ranking")
    place = folder("results", job.id, str(job.attempt))
    place.mkdir(parents=True, exist_ok=True)
    choices = {name: job.params[name] for name in CHOICES if job.params.get(name) is not None}
    data = source_of(job)
    upload = job.params.get("options") or None
    prepared = prepare_ranking(
        data,
        job.params["target"],
        language=language_of(job),
        out=place,
        upload=upload,
        name=job.params.get("filename"),
        **choices,
    )
    prepared = prepared.rename(place / run_of(job, prepared.name))

    stored, name = job.params.get("input_name", ""), job.params.get("filename")

    def watch(event: dict[str, Any]) -> None:
        data = {key: name if value == stored else value for key, value in event["data"].items()}
        report(event["percent"] / 100, event["stage"], event["message"], eta=event["eta"], **data)

    found = execute_ranking(prepared, watch)
    return {
        "run_id": found.id,
        "folder": found.folder.relative_to(home()).as_posix(),
        "document": jsonable(found.document),
    }


def run_of(job: JobSpec, name: str) -> str:
    """The run id of a job, of which no other run has the same: progress and state of a run lie under its id.

    All attempts of a job share it.
    """
    from vur.store.home import write_text
    from vur.store.runs import next_attempt

    note = folder("jobs", job.id) / RUN
    if not note.is_file():
        write_text(note, next_attempt(folder("runs"), name.rpartition("-")[0]))
    return note.read_text(encoding="utf-8")


def source_of(job: JobSpec) -> "Path | pd.DataFrame":
    """The file or the table to rank; `VurError` if it is not stored any more."""
    if job.dataset_id is None:
        return input_of(job.params)
    import pandas as pd

    from vur.store.data.datasets import parquet_path, version_of

    with reading() as session:
        dataset = session.get(Dataset, job.dataset_id)
        if dataset is None or dataset.deleted_at is not None:
            raise VurError("api.not_found", kind="dataset", id=job.dataset_id)
        version = version_of(session, dataset, job.params.get("dataset_number"))
        path = parquet_path(session, dataset, version.number)
    return pd.read_parquet(path)


def input_of(params: dict[str, Any]) -> Path:
    """The file of a request, among the results of a job; `VurError` machines.input_gone if it was deleted."""
    path = folder("results", params["input"]) / params["input_name"]
    if not path.is_file():
        raise VurError("machines.input_gone", file=params.get("filename") or params["input_name"])
    return path


def language_of(job: JobSpec) -> str:
    """The language of the report: that of the request."""
    return str(job.params.get("language") or DEFAULT_LANGUAGE)


def hand_on(job: JobSpec, report: Callable[..., None]) -> dict[str, Any]:
    """Send the file to the outside service; its ranking comes by the webhook."""
    from vur.jobs.outside import Order, send

    path = input_of(job.params)
    with reading() as session:
        training = machines.by_job(session, job.id)
    if training is None:
        raise VurError("api.not_found", kind="machine", id=job.params["machine_id"])
    order = Order(
        path, job.params["filename"], training.machine_id, training.machine_id, training.number, training.target
    )
    send(order, report)
    return {"sent": path.stat().st_size}


# --- hooks in the transactions that change the job's state ---


def on_queued(session: Session, job: Job) -> None:
    """Add the training of the machine. `VurError` machines.busy while another one is not over."""
    machine = machines.lock(session, job.params["machine_id"])
    if machine is None:
        raise VurError("api.not_found", kind="machine", id=job.params["machine_id"])
    kept = (*CHOICES, "options")
    training = machines.add_training(
        session,
        machine,
        user_id=job.owner_id,
        job_id=job.id,
        origin=machines.OUTSIDE if job.params.get("outside") else machines.HERE,
        target=job.params["target"],
        source=job.params.get("filename") or "",
        dataset_id=job.dataset_id,
        dataset_number=job.params.get("dataset_number"),
        fingerprint=job.params.get("fingerprint"),
        settings={name: job.params[name] for name in kept if job.params.get(name) not in (None, {})},
    )
    machines.move(session, machine, training, "queued")


def on_started(session: Session, job: Job) -> None:
    """Mark the training as running."""
    machine, training = _held(session, job)
    if machine is not None and training is not None and training.state in machines.ACTIVE:
        machines.move(session, machine, training, "training")


def on_interrupted(session: Session, job: Job) -> None:
    """Mark the training as queued, until another worker resumes the job."""
    machine, training = _held(session, job)
    if machine is not None and training is not None and training.state in machines.ACTIVE:
        machines.move(session, machine, training, "queued")


def on_ended(session: Session, job: Job, result: dict[str, Any] | None) -> None:
    """Store the ranking, wait for that of the outside service, or store why there is none."""
    if result is not None:
        job.result = {key: value for key, value in result.items() if key != "document"}
        job.artifact = result.get("folder")
    machine, training = _held(session, job)
    if machine is None or training is None:  # it was deleted meanwhile
        shutil.rmtree(folder("results", job.id), ignore_errors=True)
        return
    if training.state not in machines.ACTIVE:  # the outside service answered before the job ended, or it was given up
        return
    if job.state == "succeeded" and result is not None:
        _succeeded(session, job, machine, training, result)
    elif job.state == "cancelled":
        machines.cancel(session, machine, training)
    else:
        machines.fail(session, machine, training, job.error or {}, reason(session, machine, job.error))


def _succeeded(session: Session, job: Job, machine: Machine, training: MachineTraining, result: dict[str, Any]) -> None:
    if job.params.get("outside"):
        machines.move(session, machine, training, "waiting")
    else:
        machines.finish(
            session, machine, training, result["document"], run_id=result["run_id"], folder=result["folder"]
        )
    if job.params.get("input"):
        (folder("results", job.params["input"]) / job.params["input_name"]).unlink(missing_ok=True)


def _held(session: Session, job: Job) -> tuple[Machine | None, MachineTraining | None]:
    """The machine of a job, locked, and its training; None for what was deleted."""
    machine = machines.lock(session, job.params["machine_id"])
    return machine, machines.by_job(session, job.id) if machine is not None else None


def reason(session: Session, machine: Machine, error: dict[str, Any] | None) -> str:
    """Why a training failed, in the language of the machine's owner."""
    owner = session.get(User, machine.owner_id)
    return (error_text(error, owner.language if owner else DEFAULT_LANGUAGE) or {}).get("detail", "")


# --- the regular duty of a worker ---


def give_up_waiting() -> int:
    """Fail the trainings whose outside service has not answered for a day; how many."""
    with writing(durable=True) as session:
        late = machines.overdue(session)
        hours = machines.PATIENCE.total_seconds() / 3600
        error = {"code": "machines.outside_silent", "stage": "", "data": {"hours": round(hours)}}
        for training in late:
            machine = machines.lock(session, training.machine_id)
            if machine is not None:
                machines.fail(session, machine, training, error, reason(session, machine, error))
        return len(late)
