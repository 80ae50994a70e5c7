"""Starting the training of a machine: from a form with a file, which is streamed to disk, or on a stored dataset."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.jobs import queue
from vur.jobs.batch import INPUT
from vur.nearest import near
from vur.serving.multipart import read_form
from vur.serving.schemas.body import listed
from vur.serving.schemas.machines import TrainDataset
from vur.serving.validation import one_of
from vur.serving.views.batches import FormBatch
from vur.settings import entries_of, settings
from vur.store import machines
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Dataset, Job, Machine, MachineTraining
from vur.store.data.upload_stream import CHOICES, choices_of, clean_filename, options_of
from vur.store.database import reading, writing
from vur.store.events import record_activity
from vur.store.home import folder
from vur.text import phrase

GOALS = ("max", "min")
FIELDS = ("target", "time", "lags", "goal", "level", "seed", "exclude")
NAMES = {"target_column": "target", "time_column": "time"}  # as the interface without version calls them
MOST_LAGS, LONGEST_NAME, LARGEST = 500, 500, 2**31 - 1


class FormTraining(FormBatch):
    """A training whose data are a file in a form; choices come in its fields or in `given`."""

    def __init__(self, who: Principal, language: str, machine_id: int, given: Mapping[str, str] | None = None):
        super().__init__(who, language)
        self.machine_id, self.given, self.filename = machine_id, dict(given or {}), ""
        self.hash = hashlib.sha256()

    def open(self, filename: str) -> Callable[[bytes], None]:
        """Open the file; its name is kept for its readers."""
        self.filename = clean_filename(filename.replace("\x00", ""))
        return super().open(filename)

    def write(self, content: bytes) -> None:
        """Write a chunk of the file, and note its digest."""
        self.hash.update(content)
        super().write(content)

    def train(self, fields: dict[str, str]) -> Job:
        """Queue the training. `VurError` names an invalid field."""
        assert self.file is not None  # the form held a file, so `open` was called
        self.file.close()
        params = choices(self.given | fields, self.language) | {
            "input": self.job_id,
            "input_name": self.name,
            "filename": self.filename,
            "fingerprint": self.hash.hexdigest(),
        }
        return start(self.who, self.machine_id, params, self.language, job_id=self.job_id)


def choices(fields: dict[str, str], language: str) -> dict[str, Any]:
    """Parse target, time, lags, goal, level, seed and file options from text. `VurError` for a wrong or unknown one."""
    asked = {NAMES.get(name, name): name for name in fields}  # errors name what the client wrote
    fields = {name: fields[given] for name, given in asked.items()}
    for name, value in fields.items():
        if name not in (*FIELDS, *CHOICES):
            known = ("file", *FIELDS, *CHOICES)
            raise VurError("forms.field", field=name[:100], near=near(name, known), known=listed(name, known))
        if "\x00" in value or name in ("target", "time") and len(value) > LONGEST_NAME:
            raise VurError("api.invalid", field=asked[name], reason=phrase("api.reason.length", most=LONGEST_NAME))
    if not fields.get("target"):
        raise VurError("api.invalid", field=asked.get("target", "target"), reason=phrase("api.reason.missing"))
    if fields.get("goal") and fields["goal"] not in GOALS:
        raise VurError("api.invalid", field="goal", reason=one_of(fields["goal"], GOALS))
    options = choices_of(fields)
    options_of(options, language)
    found = {
        "target": fields["target"],
        "time": fields.get("time") or None,
        "goal": fields.get("goal") or None,
        "lags": _number("lags", fields.get("lags"), int, 0, MOST_LAGS),
        "level": _number("level", fields.get("level"), float, 0.5, 0.999),
        "seed": _number("seed", fields.get("seed"), int, 0, LARGEST),
        "exclude": _names(fields.get("exclude")),
        "options": options,
    }
    return {name: value for name, value in found.items() if value is not None}


def _names(text: str | None) -> list[str] | None:
    """Names of columns, separated by commas or as JSON."""
    if not text:
        return None
    try:
        return entries_of(text)
    except ValueError:
        reason = phrase("api.reason.names", value=text[:50])
        raise VurError("api.invalid", field="exclude", reason=reason) from None


def _number(name: str, text: str | None, kind: Callable[[str], Any], least: float, most: float) -> Any:
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        reason = phrase("api.reason.between", value=text[:50], least=f"{least:g}", most=f"{most:g}")
        raise VurError("api.invalid", field=name, reason=reason)
    return value


def check(who: Principal, machine_id: int) -> None:
    """Check before a file is read that `who` may train a machine, and that no other training runs."""
    with reading() as session:
        machine = machines.find(session, machine_id, who, "edit")
        if (busy := machines.active(session, machine.id)) is not None:
            raise VurError("machines.busy", machine=machine.id, name=machine.machine_name, training=busy.number)


def start(
    who: Principal,
    machine_id: int,
    params: dict[str, Any],
    language: str,
    *,
    dataset_id: str | None = None,
    job_id: str | None = None,
) -> Job:
    """Queue the training of a machine: here, or for the outside service if there is one."""
    outside = bool(settings().relevance_service_api_url)
    if outside and dataset_id is not None:
        raise VurError("machines.outside_file", field="dataset_id")
    params = params | {"machine_id": machine_id, "language": language} | ({"outside": True} if outside else {})
    with writing(durable=True) as session:
        machine = machines.find(session, machine_id, who, "edit")
        if dataset_id is not None:
            from vur.store.data.datasets import version_of

            dataset = fetch(session, Dataset, dataset_id, who)
            version = version_of(session, dataset, params.get("dataset_number"))
            params |= {"dataset_number": version.number, "fingerprint": version.fingerprint}
            params["filename"] = dataset.filename
        job = queue.add(session, "ranking", who.user_id, params, dataset_id=dataset_id, id=job_id)
        record_activity(
            session,
            machine.owner_id,
            "ranking_started",
            status="info",
            user_id=who.user_id,
            about=("machine", str(machine.id)),
            name=machine.machine_name,
            target=params["target"],
        )
        over = machines.failed_jobs(session, machine.id)
    queue.hand_over(job.id)
    forget_inputs(over, but=params.get("input", ""))
    return job


def forget_inputs(job_ids: list[str], but: str) -> None:
    """Delete the files of trainings that failed: after a newer training, nobody tries them again."""
    for id in job_ids:
        for path in folder("results", id).glob(f"{INPUT}*") if id != but else ():
            path.unlink(missing_ok=True)


async def start_form(
    request: Request, who: Principal, language: str, machine_id: int, given: Mapping[str, str] | None = None
) -> Job:
    """Queue the training that a form with a file asks for."""
    await run_in_threadpool(check, who, machine_id)
    if given is not None:
        await run_in_threadpool(choices, dict(given), language)
    training = FormTraining(who, language, machine_id, given)
    try:
        fields = await read_form(request, training.open)
        return await run_in_threadpool(training.train, fields)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(training.abandon)
        raise


def start_dataset(who: Principal, language: str, machine_id: int, body: TrainDataset) -> Job:
    """Queue a training on a stored dataset."""
    check(who, machine_id)
    asked = body.model_dump(exclude_none=True, exclude={"dataset_id"})
    return start(who, machine_id, asked, language, dataset_id=body.dataset_id)


def queued(job: Job) -> tuple[Machine, MachineTraining]:
    """Return the machine and the training of a job that was just queued."""
    with reading() as session:
        training = machines.by_job(session, job.id)
        machine = session.get(Machine, job.params["machine_id"])
    if training is None or machine is None:
        raise VurError("api.not_found", kind="machine", id=job.params["machine_id"])
    return machine, training
