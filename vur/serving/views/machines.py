"""Machines, their trainings and rankings as the API shows them, in the reader's language."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs import queue
from vur.jobs.messages import error_text, jsonable
from vur.jobs.ranking import MODEL
from vur.serving.views.jobs import lines, stage_name
from vur.store import machines
from vur.store.accounts.access import Principal
from vur.store.catalog import Job, Machine, MachineTraining, User
from vur.store.data import datasets
from vur.store.data.overview import name_of, rights_of
from vur.store.database import writing
from vur.store.home import folder, home
from vur.text import translate

if TYPE_CHECKING:
    from vur.ranking.what_if import RankingModel

AT = "/api/v1/machines"


# --- machines ---


def plain(machine: Machine) -> dict[str, Any]:
    """Return a machine as the interface without version shows it."""
    return {
        "machine_name": machine.machine_name,
        "id": machine.id,
        "status": machine.status,
        "model_id": machine.model_id,
    }


def shown(session: Session, rows: Sequence[Machine], who: Principal, language: str) -> list[dict[str, Any]]:
    """Return machines with what their last trainings brought, and what `who` may do with each."""
    ids = [row.id for row in rows]
    counted = select(MachineTraining.machine_id, func.count()).where(MachineTraining.machine_id.in_(ids))
    counts = dict(session.execute(counted.group_by(MachineTraining.machine_id)).tuples().all())
    running = select(MachineTraining.machine_id, MachineTraining.number).where(
        MachineTraining.machine_id.in_(ids), MachineTraining.state.in_(machines.ACTIVE)
    )
    active = dict(session.execute(running).tuples().all())
    newest = machines.newest_of(session, ids)
    owners = select(User.id, name_of(User)).where(User.id.in_({row.owner_id for row in rows}))
    names, rights = dict(session.execute(owners).tuples().all()), rights_of(session, rows, who, "machine")
    keys = ("description", "owner_id", "created_at", "updated_at", "version")
    return [
        plain(row)
        | {
            "trainings": counts.get(row.id, 0),
            "active_training": active.get(row.id),
            "target": last.target if (last := newest.get(row.id)) else None,
            "ranked_at": last.finished_at if last else None,
            "first": last.ranking[0]["variable"] if last and last.ranking else None,
            "error": error_text(row.error, language),
            "owner": names.get(row.owner_id, ""),
            "right": rights[row.id],
            **{key: getattr(row, key) for key in keys},
        }
        for row in rows
    ]


def delete(who: Principal, id: int) -> dict[str, Any]:
    """Delete a machine with its trainings and their files; a training that runs is cancelled. Returns what it was."""
    with writing(durable=True) as session:
        found = machines.find(session, id, who, "own")
        machine = machines.lock(session, found.id)
        if machine is None:
            raise VurError("api.not_found", kind="machine", id=id)
        running = machines.active(session, id)
        job = session.get(Job, running.job_id, with_for_update=True) if running and running.job_id else None
        if job is not None and job.state in queue.ACTIVE:
            job.cancel_requested = True
            if job.state == "queued":
                queue.close(session, job, "cancelled")
        name, count = machine.machine_name, machines.count(session, id)
        jobs, data = machines.remove(session, machine, who)
        alive = {job.id} if job is not None and job.state == "running" else set()
    for job_id in set(jobs) - alive:  # the files of one that still runs go when its worker ends it
        shutil.rmtree(folder("results", job_id), ignore_errors=True)
    datasets.collect(data)
    return {"machine_id": id, "machine_name": name, "deleted": True, "count": count}


# --- trainings ---


def cancel(who: Principal, id: int, number: int) -> None:
    """Cancel a training: at once if it is queued or waits for an outside service, within seconds if it runs.

    `VurError` machines.over if it has ended.
    """
    with writing(durable=True) as session:
        machine = machines.lock(session, machines.find(session, id, who, "edit").id)
        assert machine is not None  # it was found in this transaction
        training = machines.training_of(session, machine, number)
        if training.state not in machines.ACTIVE:
            raise VurError("machines.over", machine=id, training=number, state=training.state)
        job = session.get(Job, training.job_id, with_for_update=True) if training.job_id else None
        if job is not None and job.state in queue.ACTIVE:
            job.cancel_requested = True
            if job.state == "queued":
                queue.close(session, job, "cancelled")
        else:
            machines.cancel(session, machine, training)


def links(training: MachineTraining) -> dict[str, str]:
    """Return where the parts of a training are found."""
    at = f"{AT}/{training.machine_id}/trainings/{training.number}"
    found = {"training": at}
    if training.folder:
        found |= {"report": f"{at}/report", "notebook": f"{at}/notebook"}
    if training.job_id:
        found["job"] = f"/api/v1/jobs/{training.job_id}"
    return found


def trainings_shown(session: Session, rows: Sequence[MachineTraining], language: str) -> list[dict[str, Any]]:
    """Return trainings with the progress of their jobs."""
    ids = [row.job_id for row in rows if row.job_id]
    jobs = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids)))}
    return [_training(row, jobs.get(row.job_id or ""), language) for row in rows]


def _training(row: MachineTraining, job: Job | None, language: str) -> dict[str, Any]:
    keys = ("machine_id", "state", "origin", "target", "source", "dataset_id", "dataset_number", "settings")
    more = ("fingerprint", "run_id", "job_id", "user_id", "created_at", "started_at", "finished_at")
    return {
        "training": row.number,
        "progress": 100.0 if row.state == "finished" else round(100 * job.progress, 1) if job else 0.0,
        "eta_seconds": job.eta_seconds if job else None,
        "stage_name": stage_name(job.stage, language) if job and row.state == "training" else "",
        "error": error_text(row.error, language),
        "links": links(row),
        **{key: getattr(row, key) for key in (*keys, *more)},
    }


def training_shown(session: Session, row: MachineTraining, language: str) -> dict[str, Any]:
    """Return a training with its document and its words."""
    job = session.get(Job, row.job_id) if row.job_id else None
    logs = [text for _, text in lines(session, job, language)] if job else []
    document = row.document or {}
    ranked = {key: [_worded(one, row, language) for one in document.get(key, ())] for key in ("ranking", "members")}
    return _training(row, job, language) | {"logs": logs, "document": row.document} | ranked | words(row, language)


def file_of(training: MachineTraining, name: str) -> Path:
    """Return a file of a training's run. `VurError` machines.no_file if it has none."""
    path = home() / training.folder / name if training.folder else None
    if path is None or not path.exists():
        raise VurError("machines.no_file", machine=training.machine_id, training=training.number, what=name)
    return path


# --- rankings ---


def words(training: MachineTraining, language: str) -> dict[str, Any]:
    """Return what a ranking says, which columns were set aside, and what was assumed: `says, aside, notes`."""
    document = training.document
    if document is None:
        return {"says": [], "aside": [], "notes": []}
    if training.origin == machines.OUTSIDE:
        rows = document["ranking"]
        said = translate("machines.says.outside", language, first=rows[0]["variable"], count=len(rows))
        return {"says": [said], "aside": [], "notes": []}
    from vur.ranking.words import say, say_aside, say_note

    return {
        "says": say(document, language),
        "aside": [one | {"text": say_aside(one, language)} for one in document["aside"]],
        "notes": [one | {"text": say_note(one, language)} for one in document["notes"]],
    }


def ranking_shown(machine: Machine, training: MachineTraining | None, language: str) -> dict[str, Any]:
    """Return the ranking of a machine by its newest finished training, with an empty one if there is none."""
    return {
        "machine_id": machine.id,
        "machine_name": machine.machine_name,
        "model_id": machine.model_id,
        "status": machine.status,
        "training": training.number if training else None,
        "target": training.target if training else None,
        "origin": training.origin if training else None,
        "trained_at": training.finished_at if training else None,
        "ranking": [_worded(row, training, language) for row in training.ranking or ()] if training else [],
        "says": words(training, language)["says"] if training else [],
        "error": error_text(machine.error, language),
    }


def _worded(row: dict[str, Any], training: MachineTraining, language: str) -> dict[str, Any]:
    """A row of a ranking with its words: `shape_text, lag_text, ranks_text, best_text`."""
    if training.origin == machines.OUTSIDE:
        return row
    from vur.ranking.words import say_best, say_lag, say_ranks, say_shape

    said = {"shape_text": say_shape, "lag_text": say_lag, "ranks_text": say_ranks, "best_text": say_best}
    if row["rank"] is None:  # a variable of a group, which is ranked as one
        del said["ranks_text"]
    return row | {name: say(row, language) for name, say in said.items()}


def ranking_detail(session: Session, machine: Machine, language: str) -> dict[str, Any]:
    """Return the newest ranking with everything that is known of it. `VurError` machines.no_ranking without one."""
    training = machines.newest(session, machine.id)
    if training is None:
        raise VurError("machines.no_ranking", machine=machine.id, name=machine.machine_name, state=machine.status)
    found = ranking_shown(machine, training, language) | words(training, language)
    return found | {"document": training.document, "links": links(training)}


def what_if(training: MachineTraining, values: dict[str, Any]) -> dict[str, Any]:
    """Return what the models of a training predict with some variables held at `values`; `VurError` as they raise."""
    found = opened(str(file_of(training, MODEL))).what_if(values)
    of = {"machine_id": training.machine_id, "training": training.number, "target": training.target}
    return of | jsonable(asdict(found))


@lru_cache(maxsize=16)
def opened(path: str) -> "RankingModel":
    """Open the models of a training, which never change."""
    from vur.ranking.what_if import load_model

    return load_model(Path(path))
