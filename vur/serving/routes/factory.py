"""The interface for factories without version: its paths, names and schemas are those of their clients.

The functions have the names from which the operation ids follow that those clients know.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from vur.serving.dependencies import Analyst, Language, Who
from vur.serving.routes.machines import BUSY, CHANGING, MISSING
from vur.serving.schemas import machines as bodies
from vur.serving.unversioned import FORM, WEBHOOK
from vur.serving.views import machine_training as training_views
from vur.serving.views import machines as views
from vur.serving.views import relevance
from vur.store import machines
from vur.store.accounts.access import visible
from vur.store.catalog import Machine
from vur.store.data.upload_stream import CHOICES
from vur.store.database import reading, writing
from vur.text import translate

router = APIRouter(tags=["factory"])
TRAIN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": {"$ref": f"#/components/schemas/{FORM}"}}},
    }
}
SIGNED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Delivery"}}},
    },
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": True,
            "schema": {"type": "string"},
            "description": text,
            "example": example,
        }
        for name, text, example in (
            (relevance.TIMESTAMP, "Seconds since 1970 at which it was signed; 5 minutes at most", "1767225600"),
            (relevance.SIGNATURE, "HMAC-SHA256 over timestamp, a point and the body", f"sha256={'0' * 64}"),
            (relevance.DELIVERY, "Id of this result; the same again changes nothing", "b1f6f2c8-8e1b-4a0b-9a43"),
        )
    ],
}
REFUSED: dict[int | str, dict[str, Any]] = {
    403: {"description": "No secret is set, or the signature is wrong or too old"},
    404: {"description": "There is no such machine or training"},
    409: {"description": "The id was used for another body, or the training is over"},
    422: {"description": "A value is missing or wrong"},
}
MachineId = Annotated[int, Query(description="Number of the machine", examples=[1])]
Choice = Annotated[str | None, Query(max_length=1000, description="How the file is read, only if detection fails")]


@router.get("/machines/", response_model=list[bodies.Machine], summary="List Machines")
def list_machines(who: Who) -> list[dict[str, Any]]:
    """All machines that you may see, the oldest first."""
    with reading() as session:
        rows = session.scalars(visible(select(Machine), Machine, who).order_by(Machine.id))
        return [views.plain(row) for row in rows]


@router.post("/machines/", response_model=bodies.Machine, summary="Create Machine")
def create_machine(body: bodies.MachineCreate, who: Analyst) -> dict[str, Any]:
    """Register a machine; it gets its number and that of its model, and is `criada` until it is trained."""
    with writing() as session:
        return views.plain(machines.create(session, who, body.machine_name))


@router.delete(
    "/machines/{machine_id}", response_model=bodies.MachineDeleted, summary="Delete Machine", responses=CHANGING
)
def delete_machine(
    machine_id: Annotated[int, Path(description="Number of the machine", examples=[1])],
    who: Analyst,
    language: Language,
) -> dict[str, Any]:
    """Delete a machine with its trainings; one that runs is cancelled."""
    gone = views.delete(who, machine_id)
    text = translate("machines.deleted", language, name=gone["machine_name"], count=gone["count"])
    return gone | {"detail": text}


@router.post(
    "/train/",
    response_model=bodies.TrainingQueued,
    summary="Train Model",
    responses=CHANGING | BUSY,
    openapi_extra=TRAIN,
)
async def train_model(
    request: Request,
    who: Analyst,
    language: Language,
    machine_id: MachineId,
    target_column: Annotated[str, Query(description="Column whose drivers are ranked", examples=["producao"])],
    time_column: Annotated[
        str | None, Query(max_length=500, description="Column of dates; default: found by itself, else the rows' order")
    ] = None,
    lags: Annotated[str | None, Query(max_length=20, description="Rows that a variable may take to act")] = None,
    goal: Annotated[
        str | None, Query(max_length=20, description="Whether a high (max) or low (min) target is good")
    ] = None,
    level: Annotated[str | None, Query(max_length=20, description="Probability with which all rank sets hold")] = None,
    seed: Annotated[str | None, Query(max_length=20, description="Start of the random numbers")] = None,
    exclude: Annotated[
        str | None, Query(max_length=5000, description="Columns to leave out, separated by commas")
    ] = None,
    encoding: Choice = None,
    delimiter: Choice = None,
    quote: Choice = None,
    decimal: Choice = None,
    date_order: Choice = None,
    header: Choice = None,
    sheet: Choice = None,
    member: Choice = None,
    na_values: Choice = None,
    sentinels: Choice = None,
    types: Choice = None,
) -> dict[str, Any]:
    """Queue the ranking of a file's variables, and answer at once with what is needed to follow it.

    The machine is `treinando` until it is `pronta`, or `erro` with the words of what is wrong with the file. Where an
    outside service is set, the file is handed on to it, and the ranking comes by the webhook.
    """
    values = {name: value for name, value in locals().items() if name in CHOICES}
    values |= {"target_column": target_column, "time_column": time_column, "lags": lags}
    values |= {"goal": goal, "level": level, "seed": seed, "exclude": exclude}
    given = {name: value for name, value in values.items() if value is not None}
    job = await training_views.start_form(request, who, language, machine_id, given)
    return await run_in_threadpool(_queued, job)


def _queued(job: Any) -> dict[str, Any]:
    machine, training = training_views.queued(job)
    return {
        "machine_id": machine.id,
        "model_id": machine.model_id,
        "status": machine.status,
        "training": training.number,
        "target_column": training.target,
        "job_id": job.id,
        "links": views.links(training) | {"ranking": f"/ranking/?machine_id={machine.id}"},
    }


@router.post(
    WEBHOOK,
    response_model=bodies.Received,
    summary="Webhook Treinamento",
    responses=REFUSED,
    openapi_extra=SIGNED,
)
async def webhook_treinamento(request: Request) -> dict[str, Any]:
    """Take the ranking, or the error, that an outside service made of a file; its signature stands for a token.

    A result may be sent again with the same id and body: it gets the same answer and changes nothing.
    """
    return await run_in_threadpool(relevance.receive, request.headers, await request.body())


@router.get("/ranking/", response_model=list[bodies.MachineRanking], summary="Get Ranking", responses=MISSING)
def get_ranking(
    who: Who,
    language: Language,
    machine_id: Annotated[int | None, Query(description="Number of the machine; default: all that you may see")] = None,
) -> list[dict[str, Any]]:
    """The newest ranking of one machine or of all, in a list; empty rankings where none finished yet."""
    with reading() as session:
        if machine_id is not None:
            rows = [machines.find(session, machine_id, who)]
        else:
            rows = list(session.scalars(visible(select(Machine), Machine, who).order_by(Machine.id)))
        newest = machines.newest_of(session, [row.id for row in rows])
        return [views.ranking_shown(row, newest.get(row.id), language) for row in rows]
