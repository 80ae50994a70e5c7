"""Tables: starting a training from a file or a dataset, and tables as the API shows them in the reader's language."""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from fastapi import Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.jobs import queue
from vur.jobs.messages import error_text
from vur.jobs.tables import CHOICES as FIT_CHOICES
from vur.nearest import near
from vur.predictions import tables as predicting
from vur.serving.multipart import read_form
from vur.serving.schemas.body import listed
from vur.serving.schemas.tables import Choices, TableNew, VersionNew
from vur.serving.validation import checked
from vur.serving.views.batches import FormBatch
from vur.serving.views.jobs import lines, stage_name
from vur.store import tables
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Dataset, Job, Tabular, TabularPrediction, TabularVersion
from vur.store.data import datasets
from vur.store.data.upload_stream import CHOICES, choices_of, clean_filename, clean_name, options_of
from vur.store.database import reading, writing
from vur.store.home import folder, home
from vur.text import on_one_line, phrase

if TYPE_CHECKING:
    import pandas as pd

AT = "/api/v1/tables"
LISTS = ("algorithms", "features", "trust", "levels")
FIELDS = ("name", "description", "target", *FIT_CHOICES)
LONGEST = 5_000


# --- training ---


def read_choices(fields: Mapping[str, str], language: str) -> dict[str, Any]:
    """Parse the text fields of a form: lists are JSON or words separated by commas, hyperparameters are JSON.

    `VurError` names a field that is unknown or wrong.
    """
    for name, value in fields.items():
        if name not in (*FIELDS, *CHOICES):
            known = ("file", *FIELDS, *CHOICES)
            raise VurError("forms.field", field=name[:100], near=near(name, known), known=listed(name, known))
        if "\x00" in value or len(value) > LONGEST:
            raise VurError("api.invalid", field=name, reason=phrase("api.reason.length", most=LONGEST))
    given: dict[str, Any] = {name: fields[name] for name in FIT_CHOICES if fields.get(name)}
    for name in LISTS:
        if name in given:
            given[name] = _list(given[name])
    if "hyperparameters" in given:
        given["hyperparameters"] = _object("hyperparameters", given["hyperparameters"])
    options = choices_of(dict(fields))
    options_of(options, language)
    return checked(Choices, given, "body").model_dump(exclude_none=True) | ({"options": options} if options else {})


def _list(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, list):
        return found
    return [part.strip() for part in text.split(",") if part.strip()]


def _object(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        reason = phrase("tables.reason.object", example='{"boosting": {"rounds": 400}}')
        raise VurError("api.invalid", field=name, reason=reason) from None


class FormTable(FormBatch):
    """A training whose data are a file in a form: of a new table, or the next version of one."""

    def __init__(self, who: Principal, language: str, table_id: str | None):
        super().__init__(who, language)
        self.table_id, self.filename = table_id, ""

    def open(self, filename: str) -> Callable[[bytes], None]:
        """Open the file; its name is kept for its readers."""
        self.filename = clean_filename(filename.replace("\x00", ""))
        return super().open(filename)

    def train(self, fields: dict[str, str]) -> Job:
        """Queue the training. `VurError` names an invalid field."""
        path = self.stored()
        params = read_choices(fields, self.language) | {
            "input": self.job_id,
            "input_name": path.name,
            "filename": self.filename,
        }
        if fields.get("target"):
            params["target"] = fields["target"]
        heading = {"name": clean_name(fields.get("name"), self.filename), "description": fields.get("description", "")}
        return start(self.who, self.table_id, params, self.language, heading, job_id=self.job_id)

    def stored(self) -> Path:
        """The closed file; `VurError` upload.empty for one without a byte."""
        assert self.file is not None  # the form held a file, so `open` was called
        self.file.close()
        path = folder("results", self.job_id) / self.name
        if not path.stat().st_size:
            raise VurError("upload.empty", file=self.filename)
        return path


async def start_form(request: Request, who: Principal, language: str, table_id: str | None = None) -> Job:
    """Queue the training that a form with a file asks for."""
    if table_id is not None:
        await run_in_threadpool(check, who, table_id)
    form = FormTable(who, language, table_id)
    try:
        fields = await read_form(request, form.open)
        return await run_in_threadpool(form.train, fields)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(form.abandon)
        raise


def check(who: Principal, table_id: str) -> None:
    """Check before a file is read that `who` may train the table, and that no other training runs."""
    with reading() as session:
        table = tables.find(session, table_id, who, "edit")
        if (busy := tables.active(session, table.id)) is not None:
            raise VurError("tables.busy", name=table.name, number=busy.number)


def start_dataset(who: Principal, language: str, body: TableNew | VersionNew, table_id: str | None = None) -> Job:
    """Queue a training on a stored dataset."""
    skipped = {"dataset_id", "name", "description"}
    params = body.model_dump(exclude_none=True, exclude=skipped)
    heading = {"name": getattr(body, "name", None), "description": getattr(body, "description", "")}
    return start(who, table_id, params, language, heading, dataset_id=body.dataset_id)


def start(
    who: Principal,
    table_id: str | None,
    params: dict[str, Any],
    language: str,
    heading: Mapping[str, Any],
    *,
    dataset_id: str | None = None,
    job_id: str | None = None,
) -> Job:
    """Queue the training of a new table, or of the next version of `table_id`, whose choices it continues."""
    check_choices(params)
    with writing(durable=True) as session:
        name = heading.get("name")
        if dataset_id is not None:
            from vur.store.data.datasets import version_of

            dataset = fetch(session, Dataset, dataset_id, who)
            params["dataset_number"] = version_of(session, dataset, params.get("dataset_number")).number
            name = name or dataset.name
        if table_id is None:
            if not params.get("target"):
                raise VurError("api.invalid", field="target", reason=phrase("api.reason.missing"))
            description = on_one_line(str(heading.get("description") or ""))
            table = tables.create(session, who, name or params["target"], params["target"], description)
        else:
            table = tables.find(session, table_id, who, "edit")
            params = continued(session, table) | params
            table.target = params["target"]
        params |= {"table_id": table.id, "language": language}
        job = queue.add(session, "table", who.user_id, params, dataset_id=dataset_id, id=job_id)
        tables.note(session, table, "table_started", who.user_id, "info", target=table.target)
    queue.hand_over(job.id)
    return job


def continued(session: Session, table: Tabular) -> dict[str, Any]:
    """The choices of the newest version of a table."""
    last = tables.last_number(session, table.id)
    config = tables.version_of(session, table, last).config if last else {}
    return {name: config[name] for name in FIT_CHOICES if name in config} | {"target": table.target}


def check_choices(params: Mapping[str, Any]) -> None:
    """`VurError` for an unknown algorithm, and for a hyperparameter that does not exist or has a wrong value."""
    from vur.tabular.algorithms import checked_parameters, chosen_algorithms

    checked_parameters(chosen_algorithms(params.get("algorithms") or "auto", 1), params.get("hyperparameters"))


def queued(job: Job) -> tuple[Tabular, TabularVersion]:
    """The table and the version of a job that was just queued."""
    with reading() as session:
        found = tables.by_job(session, job.id)
    if found is None:
        raise VurError("api.not_found", kind="table", id=job.params["table_id"])
    return found


def cancel(who: Principal, table_id: str, number: int) -> None:
    """Cancel the training of a version: at once if it is queued, within seconds if it runs."""
    with reading() as session:
        table = tables.find(session, table_id, who, "edit")
        version = tables.version_of(session, table, number)
    if version.state not in tables.ACTIVE or version.job_id is None:
        raise VurError("jobs.over", id=version.job_id or f"{table_id}/{number}", state=version.state)
    queue.request_cancel(version.job_id)


def delete(who: Principal, table_id: str) -> None:
    """Delete a table with its models, predictions and files, and the data that nothing else needs."""
    from vur.store.models.models import delete_model

    with writing(durable=True) as session:
        tags, results, data = tables.remove(session, tables.find(session, table_id, who, "own"), who)
    for tag in tags:
        delete_model(tag)
    for id in results:
        shutil.rmtree(folder("results", id), ignore_errors=True)
    datasets.collect(data)


# --- as the API shows them ---


def shown(session: Session, rows: Sequence[Tabular], language: str) -> list[dict[str, Any]]:
    """Tables, each with its newest version."""
    found = []
    for table in rows:
        last = tables.last_number(session, table.id)
        newest = version_shown(session, table, tables.version_of(session, table, last), language) if last else None
        keys = ("name", "description", "target", "owner_id", "version", "created_at", "updated_at")
        found.append(
            {"table_id": table.id, "number": table.number or None, "newest": newest}
            | {key: getattr(table, key) for key in keys}
        )
    return found


def version_shown(session: Session, table: Tabular, version: TabularVersion, language: str) -> dict[str, Any]:
    """A version with the progress of its job."""
    keys = (
        *("number", "state", "source", "dataset_id", "dataset_number", "config", "fingerprint", "tag", "run_id"),
        *("job_id", "user_id", "created_at", "started_at", "trained_at"),
    )
    job, document, at = tables.job_of(session, version), version.document or {}, f"{AT}/{table.id}"
    running = job is not None and version.state in tables.ACTIVE
    query = f"?version={version.number}"
    links = {"version": f"{at}/versions/{version.number}", "predict": f"{at}/predict"}
    if version.state == "trained":
        links |= {name: f"{at}/{name}{query}" for name in ("metrics", "cross-validation", "report", "notebook")}
    if job is not None:
        links["job"] = f"/api/v1/jobs/{job.id}"
    return {key: getattr(version, key) for key in keys} | {
        "table_id": table.id,
        "target": version.config.get("target", table.target),
        "progress": round(100 * job.progress, 1) if running and job else 100.0 if version.state == "trained" else 0.0,
        "eta_seconds": job.eta_seconds if running and job else None,
        "stage_name": stage_name(job.stage, language) if running and job else "",
        "algorithm": document.get("chosen"),
        "metrics": document.get("metrics"),
        "error": error_text(version.error, language),
        "links": links,
    }


def version_detail(session: Session, table: Tabular, version: TabularVersion, language: str) -> dict[str, Any]:
    """A version with all that is known of its fit."""
    from vur.tabular.words import say, say_aside, say_note

    document, job = version.document, tables.job_of(session, version)
    found = document or {"aside": [], "notes": [], "columns": []}
    return version_shown(session, table, version, language) | {
        "logs": [text for _, text in lines(session, job, language)] if job is not None else [],
        "says": say(document, language) if document else [],
        "columns": found["columns"],
        "aside": [one | {"text": say_aside(one, language)} for one in found["aside"]],
        "notes": [one | {"text": say_note(one, language)} for one in found["notes"]],
        "document": document,
    }


def finite(value: Any) -> Any:
    """Plain JSON values; NaN and infinity are None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def metrics_shown(version: TabularVersion, language: str) -> dict[str, Any]:
    """How good a version is, with the leaderboard and the importances."""
    from vur.tabular.words import say

    model = predicting.open_version(version)
    document = model.document
    names = ("target", "chosen", "verdict", "metrics", "held_out", "coverage")
    return {name: document[name] for name in names} | {
        "table_id": version.table_id,
        "number": version.number,
        "leaderboard": finite(model.leaderboard.to_dict("records")),
        "importances": finite(model.importances.to_dict("records")),
        "says": say(document, language),
    }


def cross_validation(version: TabularVersion, page: int, limit: int, fold: int | None) -> dict[str, Any]:
    """The errors of each fold, and a page of the rows with their predictions out of fold."""
    from vur.tabular.evaluation import as_error, losses

    model = predicting.open_version(version)
    cv, metric, folds = model.cv, model.document["metric"], model.document["folds"]
    ids = [name for name in cv.columns if name not in ("row", "fold", "y")]
    errors = [
        {
            "fold": int(number),
            "rows": len(rows),
            "errors": {id: float(as_error(losses(rows["y"], rows[id], metric).mean(), metric)) for id in ids},
        }
        for number, rows in cv.groupby("fold")
    ]
    chosen = cv if fold is None else cv[cv["fold"] == fold]
    shown_rows = chosen.iloc[(page - 1) * limit : page * limit]
    items = [
        {
            "row": int(row["row"]),
            "fold": int(row["fold"]),
            "actual": float(row["y"]),
            "predictions": {id: float(row[id]) for id in ids},
        }
        for row in shown_rows.to_dict("records")
    ]
    pages = {"total": len(chosen), "page": page, "limit": limit, "pages": -(-len(chosen) // limit)}
    head = {"table_id": version.table_id, "number": version.number, "metric": metric}
    return head | {"kind": folds["kind"], "column": folds["column"], "folds": errors, "items": items} | pages


def file_of(version: TabularVersion, name: str) -> Path:
    """A file of the version's run; `VurError` tables.no_results if it no longer exists."""
    path = home() / (version.folder or "") / name
    if not version.folder or not path.is_file():
        raise VurError("tables.no_results", number=version.number, state=version.state)
    return path


# --- predictions ---


def prediction_shown(row: TabularPrediction) -> dict[str, Any]:
    """A prediction of the history."""
    keys = (
        *("table_id", "number", "kind", "source", "n_rows", "lowest", "mean", "highest", "seconds"),
        *("owner_id", "request_id", "created_at"),
    )
    return {"prediction_id": row.id} | {key: getattr(row, key) for key in keys}


def notes_shown(notes: Sequence[dict[str, Any]], language: str) -> list[dict[str, Any]]:
    """Notes of a prediction in words and as data."""
    from vur.tabular.words import say_note

    return [one | {"text": say_note(one, language)} for one in notes]


def answer(entry: TabularPrediction, target: str, language: str) -> dict[str, Any]:
    """The answer to a prediction."""
    at = f"{AT}/{entry.table_id}/predictions/{entry.id}"
    links = {"prediction": at} | ({"download": f"{at}/download"} if entry.kind == "file" else {})
    return prediction_shown(entry) | {
        "target": target,
        "predictions": [one["answer"] for one in entry.rows],
        "notes": notes_shown(entry.notes, language),
        "links": links,
    }


class FormRows(FormTable):
    """Rows to predict, as a file in a form."""

    def predict(self, fields: dict[str, str], number: int | None, request_id: str | None) -> dict[str, Any]:
        """Read the file and predict its rows. `VurError` names an invalid field or value."""
        path = self.stored()
        for name in fields:
            if name not in ("levels", *CHOICES):
                known = ("file", "levels", *CHOICES)
                raise VurError("forms.field", field=name[:100], near=near(name, known), known=listed(name, known))
        levels = fields.get("levels")
        asked = checked(Choices, {"levels": _list(levels)} if levels else {}, "body").levels
        with reading() as session:
            version = tables.trained(session, tables.find(session, self.table_id or "", self.who), number)
        rows = self.rows(path, choices_of(fields))
        entry, _ = predicting.predict(
            self.who, version, rows, asked, kind="file", source=self.filename, request_id=request_id
        )
        return answer(entry, version.config["target"], self.language)

    def rows(self, path: Path, options: dict[str, Any]) -> "pd.DataFrame":
        """The rows of the file, read as strictly as a dataset's file; `VurError` for one with rows that do not fit."""
        from vur.stages.upload import Upload
        from vur.store.data.uploads import within_limits

        options_of(options, self.language)
        scratch = path.parent / "upload"
        scratch.mkdir()
        order = {
            "path": str(path),
            "out": str(scratch),
            "series": [],
            "options": options,
            "name": self.filename,
            "language": self.language,
        }
        found = Upload.from_dict(within_limits("read_named", order))
        if found.rejected:
            raise VurError("tables.rejected", file=self.filename, count=found.rejected)
        return found.frame()


async def predict_form(
    request: Request, who: Principal, language: str, table_id: str, number: int | None
) -> dict[str, Any]:
    """Predict the rows of a file in a form."""
    form = FormRows(who, language, table_id)
    try:
        fields = await read_form(request, form.open)
        return await run_in_threadpool(form.predict, fields, number, request.scope.get("vur.request_id"))
    finally:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(form.abandon)
