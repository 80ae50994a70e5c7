"""The job kind `batch`: forecasts many series, writes them to a file and to the ledger, and errors to another file."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.frequency import advance
from vur.jobs.messages import error_text
from vur.jobs.spec import JobSpec
from vur.languages import DEFAULT_LANGUAGE
from vur.models.forecast import Forecasts, check_request, forecasts, points_of
from vur.models.saved import Saved
from vur.predictions.open_models import open_served
from vur.spreadsheets import safe_frame, safe_text
from vur.store.accounts.access import Principal
from vur.store.catalog import Dataset, Job, User
from vur.store.database import reading
from vur.store.events import raise_alert, record_activity
from vur.store.forecasts.ledger import Entry, Head, record_large, stored_errors
from vur.store.home import folder
from vur.store.models.champions import Served, find_served
from vur.timezones import stamp_texts, zone

if TYPE_CHECKING:
    import pandas as pd

OUTPUTS = ("csv", "parquet")
DOUBTFUL = tuple(f"upload.note.date_order_{why}" for why in ("regular", "firsts", "close", "assumed"))
ERRORS, REJECTS, INPUT = "errors.csv", "rejects.csv", "input"


def work(job: JobSpec, report: Callable[..., None]) -> dict[str, Any]:
    """Forecast as requested and write the files to the job's folder of results; `VurError` if no series has a forecast.

    `params`: `horizon, levels, whole, output` and the source of the observations: `input` (a file among the results of
    a job, `input_kind` json or file with `options` to read it), else the job's dataset, else none.
    """
    started, params = perf_counter(), job.params
    report(0.02, "model")
    served = serving_model(job)
    saved = open_served(served)
    horizon, levels = check_request(saved, params.get("horizon"), params.get("levels"))
    report(0.1, "upload")
    table, rejected = observations(job, saved)
    report(0.2, "forecast")
    found = forecasts(saved, horizon, levels, observations=table, whole=params.get("whole"))
    if found.frame.empty:
        raise next(iter(found.errors.values()))
    report(0.8, "save")
    head = head_of(job, served, saved, found, horizon, perf_counter() - started)
    record_large(Entry(head, points_of(found, horizon, levels)))
    report(0.95, "save")
    content = write_forecasts(job, saved, found.frame, params.get("output") or OUTPUTS[0])
    if found.errors:
        write_errors(job, found.errors)
    return content | {
        "forecast_id": head.id,
        "model_id": served.id,
        "model_version": served.tag,
        "run_id": served.run_id,
        "data_version": head.data_version,
        "series": head.n_series,
        "failed": len(found.errors),
        "rejected": rejected,
        "horizon": horizon,
        "levels": list(levels),
        "point": saved.pipeline.point,
    }


def serving_model(job: JobSpec) -> Served:
    """The job's model; `VurError` if its owner may no longer view it."""
    with reading() as session:
        owner = session.get_one(User, job.owner_id)
        return find_served(session, Principal(owner.id, owner.role), job.model_id or "")


def results_folder(job_id: str) -> Path:
    """The folder for the files of a batch."""
    path = folder("results", job_id)
    path.mkdir(parents=True, exist_ok=True)
    return path


# --- input ---


def observations(job: JobSpec, saved: Saved) -> "tuple[pd.DataFrame | None, int]":
    """The new observations from whose ends to forecast, and the number of rejected rows.

    None without new observations, also if they are the model's training data: all series are forecast as trained.
    """
    import pandas as pd

    if job.params.get("input"):
        return _read_input(job, saved)
    if job.dataset_id is None:
        return None, 0
    from vur.store.data.datasets import parquet_path, version_of

    with reading() as session:
        dataset = session.get(Dataset, job.dataset_id)
        if dataset is None or dataset.deleted_at is not None:
            raise VurError("api.not_found", kind="dataset", id=job.dataset_id)
        version = version_of(session, dataset, job.params.get("dataset_number"))
        path = parquet_path(session, dataset, version.number)
    if version.fingerprint == saved.metadata.get("fingerprint"):
        return None, 0
    return pd.read_parquet(path), 0


def _read_input(job: JobSpec, saved: Saved) -> "tuple[pd.DataFrame, int]":
    import pandas as pd

    path = folder("results", job.params["input"]) / job.params["input_name"]
    if not path.is_file():
        raise VurError("predictions.input_gone", job=job.params["input"])
    if path.suffix == ".json":
        return pd.DataFrame.from_records(json.loads(path.read_text(encoding="utf-8"))), 0
    from vur.stages.upload import Upload
    from vur.store.data.uploads import within_limits

    scratch = job.folder / "upload"
    scratch.mkdir(parents=True, exist_ok=True)
    language = job.params.get("language") or DEFAULT_LANGUAGE
    series = [*saved.head["names"].get("series", ()), "unique_id"]
    order = {
        "path": str(path),
        "out": str(scratch),
        "series": series,
        "options": job.params.get("options") or {},
        "name": path.name,
        "language": language,
    }

    def read(options: dict[str, Any]) -> Upload:
        return Upload.from_dict(within_limits("read_named", order | {"options": order["options"] | options}))

    found = read({})
    doubtful = {} if order["options"].get("date_order") else doubtful_orders(found.notes)
    for column, orders in doubtful.items():
        dates = {one: read({"date_order": one}).frame()[column] for one in orders}  # each reading replaces the last one
        found = read({"date_order": following_order(dates, saved)})
    if found.rejected:
        write_rejects(job, found.rejects)
    return found.frame(), found.rejected


def doubtful_orders(notes: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """The orders of day, month and year that a column of dates may have, the likeliest first; none if it is certain."""
    return {
        note["data"]["column"]: [note["data"]["option"], note["data"]["other"]]
        for note in notes
        if note["key"] in DOUBTFUL
    }


def following_order(dates: "dict[str, pd.Series]", saved: Saved) -> str:
    """The order whose dates follow the end of the model's data step by step; the first one where none does better.

    `dates` are those of each order. Twelve days of January in dd/mm/yyyy are also the first days of twelve months.
    """
    import pandas as pd

    end = pd.Series(saved.pipeline.ends).max()

    def share(order: str) -> float:
        distinct = pd.to_datetime(dates[order], errors="coerce").dropna().unique()
        if not len(distinct) or not isinstance(end, pd.Timestamp):
            return 0.0
        steps = np.arange(-len(distinct), len(distinct) + 1)
        near = advance(np.full(len(steps), end.to_datetime64()), steps, saved.pipeline.head.freq.alias)
        return float(np.isin(distinct.astype("M8[ns]"), near.astype("M8[ns]")).mean())

    return max(dates, key=share)


# --- output: no text in a CSV file is a formula of a spreadsheet ---


def write_rejects(job: JobSpec, rejects: Path) -> None:
    """Write the rows of the input that could not be read: `line, cause, text`."""
    import csv

    csv.field_size_limit(2**24)
    draft = job.folder / REJECTS
    with rejects.open(encoding="utf-8", newline="") as source, draft.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([safe_text(cell) for cell in row] for row in csv.reader(source))
    os.replace(draft, results_folder(job.id) / REJECTS)


def head_of(job: JobSpec, served: Served, saved: Saved, found: Forecasts, horizon: int, seconds: float) -> Head:
    """The ledger's head for all forecasts of the job."""
    freq, timezone = zone(saved.pipeline.head.freq, saved.head["tz"])
    return Head(
        owner_id=job.owner_id,
        kind="batch",
        tag=served.tag,
        model_id=served.id,
        run_id=served.run_id,
        job_id=job.id,
        freq=freq,
        timezone=timezone,
        data_version=served.data_version(saved.metadata),
        horizon=horizon,
        n_series=len(found.ends),
        seconds=round(seconds, 6),
        errors=stored_errors(found.errors),
    )


def write_forecasts(job: JobSpec, saved: Saved, frame: "pd.DataFrame", output: str) -> dict[str, Any]:
    """Write the forecasts and describe the file: `file, rows, bytes, sha256`."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    name = f"forecast.{output}"
    draft = job.folder / name
    if output == "csv":
        stamps = stamp_texts(frame["ds"].to_numpy(), *zone(saved.pipeline.head.freq, saved.head["tz"]))
        pa.csv.write_csv(
            pa.Table.from_pandas(safe_frame(frame.assign(ds=stamps)), preserve_index=False),
            draft,
            pa.csv.WriteOptions(quoting_style="needed"),
        )
    else:
        from vur.timezones import to_zone

        pa.parquet.write_table(
            pa.Table.from_pandas(to_zone(frame, saved.head["tz"], saved.pipeline.head.freq), preserve_index=False),
            draft,
        )
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = draft.stat().st_size
    os.replace(draft, results_folder(job.id) / name)
    return {"file": name, "rows": len(frame), "bytes": size, "sha256": digest}


def write_errors(job: JobSpec, errors: dict[str, VurError]) -> None:
    """Write the errors of series without a forecast: `series, code, detail`, in the language of the request."""
    import csv

    language = job.params.get("language") or DEFAULT_LANGUAGE
    draft = job.folder / ERRORS
    with draft.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["series", "code", "detail"])
        rows.writerows([safe_text(id), error.code, safe_text(error.text(language))] for id, error in errors.items())
    os.replace(draft, results_folder(job.id) / ERRORS)


# --- hook in the transaction that ends the job ---


def on_ended(session: Session, job: Job, result: dict[str, Any] | None) -> None:
    """Record the activity, and an alert if the job failed; after a success, delete its input."""
    about = ("job", job.id)
    if job.state == "succeeded" and result is not None:
        job.artifact, job.checksum = f"results/{job.id}/{result['file']}", result["sha256"]
        record_activity(
            session,
            job.owner_id,
            "batch_finished",
            status="warning" if result["failed"] else "success",
            about=about,
            series=result["series"],
            failed=result["failed"],
        )
        if job.params.get("input"):
            (folder("results", job.params["input"]) / job.params["input_name"]).unlink(missing_ok=True)
    elif job.state == "failed":
        owner = session.get(User, job.owner_id)
        reason = (error_text(job.error, owner.language if owner else DEFAULT_LANGUAGE) or {}).get("detail", "")
        record_activity(session, job.owner_id, "batch_failed", status="error", about=about, reason=reason)
        raise_alert(session, job.owner_id, "batch_failed", severity="error", about=about, reason=reason)
