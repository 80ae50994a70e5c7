"""Machines: which variables drive production, how the ranking moved, and what a change would do."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.jobs.ranking import NOTEBOOK, REPORT
from vur.serving.dependencies import (
    NO_DOWNLOADS,
    Analyst,
    Downloader,
    Language,
    Listed,
    Version,
    Who,
    list_rows,
    set_etag,
)
from vur.serving.downloads import attachment
from vur.serving.routes.training import HTML, PAGE
from vur.serving.routes.training import NOTEBOOK as NOTEBOOKS
from vur.serving.schemas import machines as bodies
from vur.serving.validation import read_body
from vur.serving.views import machine_training as training_views
from vur.serving.views import machines as views
from vur.store import machines
from vur.store.accounts.access import check_version, visible
from vur.store.catalog import Machine, MachineTraining
from vur.store.data.upload_stream import CHOICES
from vur.store.database import reading, writing

router = APIRouter(prefix="/machines", tags=["machines"])
SORTABLE = {
    "id": Machine.id,
    "created_at": Machine.created_at,
    "updated_at": Machine.updated_at,
    "machine_name": Machine.machine_name,
    "status": Machine.status,
}
TRAININGS = {
    "number": MachineTraining.number,
    "created_at": MachineTraining.created_at,
    "finished_at": MachineTraining.finished_at,
    "state": MachineTraining.state,
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such machine, or none that you may see"}}
CHANGING = MISSING | {403: {"description": "You may view it, not change it"}}
BUSY: dict[int | str, dict[str, Any]] = {409: {"description": "Another training of the machine is not over"}}
UNRANKED: dict[int | str, dict[str, Any]] = {409: {"description": "The machine has no ranking yet, or none made here"}}
MachineId = Annotated[int, Path(ge=1, le=machines.LARGEST, description="Number of the machine")]
TrainingNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the training within its machine")]
FORM_FIELDS: dict[str, Any] = {
    "target": {"type": "string", "description": "Column whose drivers are ranked", "maxLength": 500},
    "time": {"type": "string", "description": "Column of dates; default: found by itself, else the order of the rows"},
    "lags": {"type": "string", "description": "Rows that a variable may take to act; default 12"},
    "goal": {"type": "string", "enum": ["max", "min"], "description": "Whether a high or a low target is good"},
    "level": {"type": "string", "description": "Probability with which all rank sets hold; default 0.9"},
    "seed": {"type": "string"},
    "exclude": {"type": "string", "description": "Columns to leave out, separated by commas or as JSON"},
    **{name: {"type": "string", "description": "Only if detection fails"} for name in CHOICES},
}
SOURCES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "target"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "CSV, TSV, Excel or Parquet, plain or in gzip or zip",
                        },
                        **FORM_FIELDS,
                    },
                }
            },
            "application/json": {"schema": bodies.TrainDataset.model_json_schema()},
        },
    }
}


# --- machines ---


@router.get("", response_model=bodies.MachineList, summary="List machines")
def list_all(who: Who, asked: Listed, language: Language) -> dict[str, Any]:
    """Your machines and those shared with you: status, last ranking, and why the last training failed."""
    with reading() as session:
        rows, page = list_rows(
            session,
            visible(select(Machine), Machine, who),
            asked,
            sortable=SORTABLE,
            searchable=(Machine.machine_name, Machine.description),
        )
        return {"items": views.shown(session, rows, who, language)} | page


@router.post("", status_code=201, response_model=bodies.MachineOut, summary="Create a machine")
def create(body: bodies.MachineNew, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Register a machine; its status is `criada` until it is trained."""
    with writing() as session:
        machine = machines.create(session, who, body.machine_name, body.description)
        set_etag(response, machine)
        response.headers["Location"] = f"{views.AT}/{machine.id}"
        return views.shown(session, [machine], who, language)[0]


@router.get("/{machine_id}", response_model=bodies.MachineOut, summary="One machine", responses=MISSING)
def get_one(machine_id: MachineId, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """A machine with its status, its last ranking, and why the last training failed."""
    with reading() as session:
        machine = machines.find(session, machine_id, who)
        set_etag(response, machine)
        return views.shown(session, [machine], who, language)[0]


@router.patch("/{machine_id}", response_model=bodies.MachineOut, summary="Rename a machine", responses=CHANGING)
def change(
    machine_id: MachineId,
    body: bodies.MachineChange,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Change a machine's name or description."""
    with writing() as session:
        machine = machines.find(session, machine_id, who, "edit")
        check_version(machine, expected)
        for name, value in body.model_dump(exclude_none=True).items():
            setattr(machine, name, value)
        session.flush()
        set_etag(response, machine)
        return views.shown(session, [machine], who, language)[0]


@router.delete("/{machine_id}", status_code=204, summary="Delete a machine", responses=CHANGING)
def delete(machine_id: MachineId, who: Analyst, expected: Version) -> None:
    """Delete a machine with its trainings, reports and shares; a training that runs is cancelled."""
    if expected is not None:
        with reading() as session:
            check_version(machines.find(session, machine_id, who, "own"), expected)
    views.delete(who, machine_id)


# --- trainings ---


@router.post(
    "/{machine_id}/trainings",
    status_code=202,
    response_model=bodies.Training,
    summary="Train a machine",
    responses=CHANGING | BUSY,
    openapi_extra=SOURCES,
)
async def train(machine_id: MachineId, request: Request, who: Analyst, language: Language) -> dict[str, Any]:
    """Rank the variables of a file (a form) or of a stored dataset (JSON) in the background.

    Follow it with `GET /machines/{machine_id}/trainings/{number}` or by the live messages `machine_update` and
    `job_update`. An older ranking stays readable until the new one is there, and if it fails.
    """
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        job = await training_views.start_form(request, who, language, machine_id)
    elif kind.partition(";")[0].strip().endswith("json"):
        body = read_body(bodies.TrainDataset, kind, await request.body())
        job = await run_in_threadpool(training_views.start_dataset, who, language, machine_id, body)
    else:
        raise VurError("machines.one_source", field="file")
    return await run_in_threadpool(_started, job, language)


def _started(job: Any, language: str) -> dict[str, Any]:
    _, training = training_views.queued(job)
    with reading() as session:
        return views.trainings_shown(session, [training], language)[0]


@router.get(
    "/{machine_id}/trainings",
    response_model=bodies.TrainingList,
    summary="The trainings of a machine",
    responses=MISSING,
)
def list_trainings(machine_id: MachineId, who: Who, asked: Listed, language: Language) -> dict[str, Any]:
    """All trainings of a machine with their states, the newest first; `search` matches targets and file names."""
    with reading() as session:
        machine = machines.find(session, machine_id, who)
        rows, page = list_rows(
            session,
            select(MachineTraining).where(MachineTraining.machine_id == machine.id),
            asked,
            sortable=TRAININGS,
            searchable=(MachineTraining.target, MachineTraining.source),
            default="-number",
        )
        return {"items": views.trainings_shown(session, rows, language)} | page


@router.get(
    "/{machine_id}/trainings/{number}", response_model=bodies.TrainingDetail, summary="One training", responses=MISSING
)
def get_training(machine_id: MachineId, number: TrainingNumber, who: Who, language: Language) -> dict[str, Any]:
    """A training: its progress, then its ranking with effects and words, or why there is none."""
    with reading() as session:
        machine = machines.find(session, machine_id, who)
        return views.training_shown(session, machines.training_of(session, machine, number), language)


@router.post(
    "/{machine_id}/trainings/{number}/cancel",
    status_code=202,
    response_model=bodies.Training,
    summary="Cancel a training of a machine",
    responses=CHANGING | {409: {"description": "It is over"}},
)
def cancel(machine_id: MachineId, number: TrainingNumber, who: Analyst, language: Language) -> dict[str, Any]:
    """Cancel a training: at once if it is queued or waits for an outside service, within seconds if it runs."""
    views.cancel(who, machine_id, number)
    with reading() as session:
        machine = machines.find(session, machine_id, who)
        return views.trainings_shown(session, [machines.training_of(session, machine, number)], language)[0]


@router.get(
    "/{machine_id}/trainings/{number}/report",
    response_class=FileResponse,
    summary="The report of a training",
    responses=MISSING | HTML | UNRANKED,
)
def report(machine_id: MachineId, number: TrainingNumber, who: Who) -> FileResponse:
    """The report as one self-contained page, for people who do not open notebooks."""
    with reading() as session:
        training = machines.training_of(session, machines.find(session, machine_id, who), number)
        path = views.file_of(training, REPORT)
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=PAGE)


@router.get(
    "/{machine_id}/trainings/{number}/notebook",
    response_class=FileResponse,
    summary="The notebook of a training",
    responses=MISSING | NOTEBOOKS | UNRANKED | NO_DOWNLOADS,
)
def notebook(machine_id: MachineId, number: TrainingNumber, who: Downloader) -> FileResponse:
    """The executed notebook in which the ranking was made."""
    with reading() as session:
        machine = machines.find(session, machine_id, who)
        training = machines.training_of(session, machine, number)
        path = views.file_of(training, NOTEBOOK)
        name = f"{machine.machine_name} {training.number}"
    headers = attachment(name, ".ipynb") | {"X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="application/x-ipynb+json", headers=headers)


# --- rankings ---


@router.get(
    "/{machine_id}/ranking", response_model=bodies.RankingDetail, summary="The ranking", responses=MISSING | UNRANKED
)
def get_ranking(machine_id: MachineId, who: Who, language: Language) -> dict[str, Any]:
    """The newest ranking of a machine, with effects, curves, pairs and words."""
    with reading() as session:
        return views.ranking_detail(session, machines.find(session, machine_id, who), language)


@router.get(
    "/{machine_id}/movement", response_model=bodies.Movement, summary="How the ranking moved", responses=MISSING
)
def get_movement(
    machine_id: MachineId,
    who: Who,
    target: Annotated[
        str | None, Query(max_length=500, description="Default: the target of the newest finished training")
    ] = None,
    most: Annotated[int, Query(ge=1, le=100, description="Trainings, the last ones")] = 20,
) -> dict[str, Any]:
    """The place of each variable in each training with the same target, the oldest first, and what is new or gone."""
    with reading() as session:
        return machines.movement(session, machines.find(session, machine_id, who), target, most)


@router.post(
    "/{machine_id}/what-if",
    response_model=bodies.WhatIfAnswer,
    summary="What if variables were held at values?",
    responses=MISSING | UNRANKED,
)
def ask_what_if(machine_id: MachineId, body: bodies.WhatIfMachine, who: Who) -> dict[str, Any]:
    """What the models of the ranking predict on average with some variables held at values within what was observed.

    Association, not proof: the variables are moved in the model, not in the plant.
    """
    with reading() as session:
        machine = machines.find(session, machine_id, who)
        if body.training is None:
            training = machines.newest(session, machine.id)
        else:
            training = machines.training_of(session, machine, body.training)
        if training is None:
            raise VurError("machines.no_ranking", machine=machine.id, name=machine.machine_name, state=machine.status)
    return views.what_if(training, body.values)
