"""Batches over HTTP: the payload is stored until the job has read it."""

import json
from collections.abc import Callable
from typing import Any, BinaryIO

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.jobs import queue
from vur.jobs.batch import ERRORS, INPUT, OUTPUTS, REJECTS, results_folder
from vur.jobs.messages import error_text
from vur.models.forecast import check_request
from vur.models.future import check_reach
from vur.models.horizon import LONGEST
from vur.nearest import near
from vur.predictions.open_models import open_model
from vur.serving.multipart import read_form
from vur.serving.schemas.body import listed
from vur.serving.validation import one_of
from vur.settings import entries_of
from vur.store import database
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Dataset, Job, new_id
from vur.store.data import datasets
from vur.store.data.upload_stream import CHOICES, choices_of, clean_filename, options_of
from vur.store.home import folder
from vur.store.models.champions import Served, find_served
from vur.text import phrase

FIELDS = ("model", "horizon", "levels", "whole", "output")
SWITCH = {"": None, "true": True, "1": True, "false": False, "0": False}


def submit(
    who: Principal, model: str, params: dict[str, Any], *, dataset_id: str | None = None, job_id: str | None = None
) -> tuple[Job, Served]:
    """Queue a batch for the model that `model` resolves to now. `VurError` for a horizon that it cannot have."""
    with database.reading() as session:
        served = find_served(session, who, model)
        number = fetch(session, Dataset, dataset_id, who).number if dataset_id else None
    if params.get("horizon") is not None:
        saved = open_model(served).saved
        check_reach(saved.pipeline, check_request(saved, params["horizon"], params["levels"])[0])
    params = params | ({"dataset_number": number} if number else {})
    return queue.submit("batch", who.user_id, params, model_id=served.id, dataset_id=dataset_id, id=job_id), served


def submit_rows(who: Principal, model: str, params: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[Job, Served]:
    """Queue a batch for rows from the request's body."""
    job_id = new_id()
    path = results_folder(job_id) / f"{INPUT}.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    try:
        return submit(who, model, params | {"input": job_id, "input_name": path.name}, job_id=job_id)
    except BaseException:
        discard(job_id)
        raise


def rows_of(series: dict[str, Any] | list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return observations as rows, None for none. `VurError` predictions.lengths for lists of different lengths."""
    if series is None:
        return None
    if not series:
        raise VurError("api.invalid", field="series", reason=phrase("api.reason.empty"))
    if isinstance(series, list):
        return series
    rows = []
    for id, block in series.items():
        if len({len(values) for values in block.values()}) > 1:
            raise VurError(
                "predictions.lengths",
                series=id,
                lengths=", ".join(f"{name}: {len(values)}" for name, values in block.items()),
            )
        names = [{"timestamps": "ds", "values": "y"}.get(name, name) for name in block]
        rows += [{"unique_id": id} | dict(zip(names, row, strict=True)) for row in zip(*block.values(), strict=True)]
    return rows


class FormBatch:
    """A batch whose rows are a file in a form."""

    def __init__(self, who: Principal, language: str):
        self.who, self.language, self.job_id, self.name = who, language, new_id(), ""
        self.file: BinaryIO | None = None

    def open(self, filename: str) -> Callable[[bytes], None]:
        """Open the input file when the form reaches its file; the name only decides how it is read."""
        suffixes = "".join(
            part
            for part in ("." + part for part in clean_filename(filename).lower().split(".")[1:])
            if part[1:].isalnum()
        )[-20:]
        self.name = f"{INPUT}{suffixes or '.csv'}"
        if self.name.endswith(".json"):
            raise VurError("forms.json", field="file")
        with database.reading() as session:
            self.left = datasets.usage(session, self.who.user_id).left
        self.file = (results_folder(self.job_id) / self.name).open("wb")
        return self.write

    def write(self, content: bytes) -> None:
        """Write a chunk of the file. `VurError` api.quota over the user's quota, ledger.full if the disk is full."""
        assert self.file is not None
        if self.left is not None and self.file.tell() + len(content) > self.left:
            raise VurError("api.quota", needed=self.file.tell() + len(content), used="-", quota=self.left)
        try:
            self.file.write(content)
        except OSError as error:
            raise VurError("ledger.full") from error

    def finish(self, fields: dict[str, str]) -> tuple[Job, Served]:
        """Queue the batch. `VurError` names an invalid field."""
        assert self.file is not None  # the form held a file, so `open` was called
        self.file.close()
        if not (results_folder(self.job_id) / self.name).stat().st_size:
            raise VurError("upload.empty", file=self.name)
        params = {
            "input": self.job_id,
            "input_name": self.name,
            "language": self.language,
            **read_fields(fields, self.language),
        }
        return submit(self.who, fields["model"], params, job_id=self.job_id)

    def abandon(self) -> None:
        """Delete everything of an aborted request."""
        if self.file is not None:
            self.file.close()
        discard(self.job_id)


def read_fields(fields: dict[str, str], language: str) -> dict[str, Any]:
    """Parse horizon, levels, output and file options from a form's text fields; `model_id` is `model`."""
    if "model_id" in fields and "model" not in fields:
        fields["model"] = fields.pop("model_id")
    for name in fields:
        if name not in (*FIELDS, *CHOICES):
            known = ("file", *FIELDS, *CHOICES)
            raise VurError("forms.field", field=name[:100], near=near(name, known), known=listed(name, known))
    if not 1 <= len(fields.get("model", "")) <= 200:
        raise VurError("api.invalid", field="model", reason=phrase("api.reason.missing"))
    output = fields.get("output") or OUTPUTS[0]
    if output not in OUTPUTS:
        raise VurError("api.invalid", field="output", reason=one_of(output, OUTPUTS))
    whole = (fields.get("whole") or "").lower()
    if whole not in SWITCH:
        raise VurError("api.invalid", field="whole", reason=one_of(whole, ("true", "false")))
    options = choices_of(fields)
    options_of(options, language)
    return {
        "horizon": _number("horizon", fields.get("horizon"), int, 1, LONGEST),
        "output": output,
        "whole": SWITCH[whole],
        "options": options,
        "levels": _levels(fields.get("levels")),
    }


def _levels(text: str | None) -> list[float] | None:
    """Interval levels as `80,95` or JSON: as trained for None or "", no intervals for `[]`."""
    if not text:
        return None
    try:
        parts = entries_of(text)
    except ValueError:
        parts = text.split(",")
    return [_number("levels", part, float, 0.001, 99.999) for part in parts]


def _number(name: str, text: str | None, kind: Callable[[str], Any], least: float, most: float) -> Any:
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise VurError(
            "api.invalid",
            field=name,
            reason=phrase("api.reason.between", value=text[:50], least=f"{least:g}", most=f"{most:g}"),
        )
    return value


async def submit_form(request: Request, who: Principal, language: str) -> tuple[Job, Served]:
    """Queue the batch requested by a form with a file."""
    import anyio

    batch = FormBatch(who, language)
    try:
        fields = await read_form(request, batch.open)
        return await run_in_threadpool(batch.finish, fields)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(batch.abandon)
        raise


def discard(job_id: str) -> None:
    """Delete the files of a batch that was never queued."""
    import shutil

    shutil.rmtree(folder("results", job_id), ignore_errors=True)


# --- status and results ---


def find_batch(session: Session, id: str, who: Principal) -> Job:
    """Return a batch of `who`. `VurError` api.not_found for anything else."""
    job = fetch(session, Job, id, who)
    if job.kind != "batch":
        raise VurError("api.not_found", kind="batch", id=id)
    return job


def batch_shown(job: Job, tag: str | None, language: str) -> dict[str, Any]:
    """Return a batch as the API shows it."""
    keys = ("stage", "eta_seconds", "result", "created_at", "started_at", "ended_at")
    shown = {
        "job_id": job.id,
        "status": job.state,
        "model_id": job.model_id,
        "model_version": (job.result or {}).get("model_version") or tag or "",
        "progress": round(100 * job.progress, 1),
        "error": error_text(job.error, language),
        "files": files_of(job),
    }
    return shown | {key: getattr(job, key) for key in keys}


def files_of(job: Job) -> list[str]:
    """Return the names of a batch's result files, the forecast first."""
    path = folder("results", job.id)
    wanted = ((job.result or {}).get("file", ""), ERRORS, REJECTS) if job.state == "succeeded" else ()
    return [name for name in wanted if name and (path / name).is_file()]
