"""The job kind `train`: runs the training notebook for a configured model, and stores the result in its row."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs.messages import error_text, jsonable
from vur.jobs.spec import JobSpec
from vur.store.catalog import Alert, Alias, Dataset, Job, Model, Run, User, now
from vur.store.database import reading
from vur.store.events import raise_alert, record_activity
from vur.store.home import folder, home, write_text
from vur.store.models import champions, registry
from vur.store.webhooks import outbox
from vur.text import DEFAULT_LANGUAGE, LANGUAGES

if TYPE_CHECKING:
    import pandas as pd

    from vur.runs.config import Config
    from vur.runs.result import RunResult

RUN, DIAGNOSTICS = "run.txt", "diagnostics.json"


# --- in the child process ---


def work(job: JobSpec, report: Callable[..., None]) -> dict[str, Any]:
    """Run the training notebook for the job's model and describe its run; `VurError` of the stage that fails."""
    from vur.runs.execute import execute_notebook
    from vur.runs.result import RunResult

    config, number = configuration(job)
    target = prepare(job, config)

    def watch(event: dict[str, Any]) -> None:
        report(event["percent"] / 100, event["stage"], event["message"], eta=event["eta"], **event["data"])

    execute_notebook(target, watch)
    found = RunResult(target)
    write_text(target / DIAGNOSTICS, json.dumps(diagnostics(found), ensure_ascii=False))
    return describe(found) | {"dataset_number": number}


def configuration(job: JobSpec) -> tuple["Config", int]:
    """The model's configuration with the file of its training data, and the number of the dataset's version.

    The path has the name that the user gave the file; nothing is there, so that the stored original is read.
    """
    from vur.runs.config import Config
    from vur.store.data import datasets
    from vur.wizard.steps import chosen_data

    with reading() as session:
        model = session.get(Model, job.model_id)
        dataset = session.get(Dataset, model.dataset_id) if model is not None and model.dataset_id else None
        if model is None or dataset is None:
            raise VurError("jobs.no_dataset", stage="upload")
        number = job.params.get("dataset_number") or dataset.number
        path, found, content = (
            datasets.source_path(session, dataset, number).with_name(named(session, dataset, number)),
            datasets.data_spec(session, dataset, number),
            dict(model.config),
        )
        name = content.get("name") or model.name
    chosen = chosen_data(content.get("data", {}))
    return Config.from_dict(content | {"name": name, "data": found | chosen | {"path": str(path)}}), number


def named(session: Session, dataset: Dataset, number: int) -> str:
    """The name of the file that a version of a dataset was made from, as its user called it."""
    from vur.store.data.datasets import version_of

    return Path(version_of(session, dataset, number).recipe.get("filename") or dataset.filename).name


def prepare(job: JobSpec, config: "Config") -> Path:
    """Create the folder of this attempt's run with its configuration.

    All attempts of a job share one run id, and so one tag in the model store.
    """
    from vur.runs.run import CONFIG
    from vur.store.runs import file_fingerprint, next_attempt, run_hash

    note = folder("jobs", job.id) / RUN
    if not note.is_file():
        fingerprint = config.data.fingerprint or file_fingerprint(Path(config.data.path or ""))
        write_text(note, next_attempt(folder("runs"), run_hash(fingerprint, config.hash())))
    target = folder("results", job.id, str(job.attempt)) / note.read_text(encoding="utf-8")
    target.mkdir(parents=True, exist_ok=True)
    write_text(target / CONFIG, config.to_yaml())
    return target


def describe(found: "RunResult") -> dict[str, Any]:
    """Describe a finished run for the catalog: its folder, checksums, metrics and facts."""
    from vur.runs.folder import RECORD
    from vur.runs.run import NOTEBOOK
    from vur.scoring.metrics import METRICS
    from vur.store.models.models import model_folder

    record, board = found.record, found.leaderboard
    best = board[board["algorithm"] == record["winner"]].head(1).to_dict("records")
    kept = (*METRICS, "skill", "wql")
    scores = {
        key: value
        for row in best
        for key, value in row.items()
        if key in kept or str(key).startswith(("coverage-", "winkler-"))
    }
    facts = {key: value for key, value in registry.stored_metadata(record["model"]).items() if key in registry.FACTS}
    facts |= {
        key: record[key]
        for key in (
            "winner",
            "metric",
            "reference",
            "verdict",
            "headline",
            "folds",
            "rows",
            "rejected",
            "seconds",
            "fingerprint",
            "config_hash",
            "status",
        )
        if key in record
    }
    facts["series"] = record["n_series"]
    return {
        "run_id": found.id,
        "folder": found.folder.relative_to(home()).as_posix(),
        "tag": record["model"],
        "status": record["status"],
        "checksum": checksum(found.folder / RECORD, found.folder / NOTEBOOK),
        "model_checksum": registry.checksum(model_folder(record["model"])),
        "metrics": scores,
        "facts": facts,
        "record": record,
    }


def figure(facts: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any] | None:
    """A finished model as the best candidate of its training: `algorithm, metric, value, scores`; None if unscored."""
    from vur.scoring.metrics import METRICS

    value = scores.get(facts.get("metric", ""))
    if value is None:
        return None
    kept = {name: scores[name] for name in METRICS if scores.get(name) is not None}
    return {"algorithm": facts["winner"], "metric": facts["metric"].upper(), "value": value, "scores": kept}


def checksum(*files: Path) -> str:
    """SHA-256 of the SHA-256 of each file, in this order."""
    return hashlib.sha256(
        b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files if path.is_file())
    ).hexdigest()


def diagnostics(found: "RunResult") -> dict[str, Any]:
    """Check the winner's residuals over the folds: numbers, and texts in every language; empty if none are stored."""
    from vur.explain.residuals import residual_checks, residual_sentences
    from vur.frequency import frequency

    errors = _winners_forecasts(found)
    if errors is None or errors.empty:
        return {}
    checks = residual_checks(errors, frequency(found.config.data.freq or "").season)
    sentences = {language: residual_sentences(checks, language) for language in LANGUAGES}
    return jsonable(
        {
            "n": checks["n"],
            "checks": [
                check | {"text": {language: sentences[language][place][1] for language in LANGUAGES}}
                for place, check in enumerate(checks["checks"])
            ],
        }
    )


def _winners_forecasts(found: "RunResult") -> "pd.DataFrame | None":
    """The winner's forecasts over the folds with the actual values; None if a stopped training did not store them."""
    from vur.store.runs import fold_forecasts

    frame = fold_forecasts(found.record)
    return None if frame is None else frame[frame["algorithm"] == found.record["winner"]]


# --- hooks in the transactions that change the job's state ---


def on_queued(session: Session, job: Job) -> None:
    """Mark the model as queued; `VurError` api.running if another job trains it already."""
    model = session.get(Model, job.model_id, with_for_update=True) if job.model_id else None
    if model is None:
        raise VurError("api.not_found", kind="model", id=job.model_id)
    if (busy := registry.active_job(session, model.id)) is not None:
        raise VurError("api.running", kind="model", id=model.id, job=busy.id)
    model.status, job.dataset_id = "queued", job.dataset_id or model.dataset_id


def on_started(session: Session, job: Job) -> None:
    """Mark the model as in training."""
    if (model := session.get(Model, job.model_id, with_for_update=True)) is not None:
        model.status = "training"


def on_interrupted(session: Session, job: Job) -> None:
    """Mark the model as queued, until another worker resumes the job."""
    if (model := session.get(Model, job.model_id, with_for_update=True)) is not None:
        model.status = "queued"


def on_ended(session: Session, job: Job, result: dict[str, Any] | None) -> None:
    """Store the run and its results in the model, or restore its status; record activity and alert."""
    model = session.get(Model, job.model_id, with_for_update=True)
    if job.state == "succeeded" and result is not None:
        _add_run(session, job, "finished", result["folder"], result["run_id"], result["checksum"], result["record"])
        job.artifact, job.checksum = result["folder"], result["checksum"]
        job.result = {key: value for key, value in result.items() if key != "record"}
        job.best = figure(result["facts"], result["metrics"])
        if model is not None:
            _trained(session, job, model, result)
        return
    if job.state == "failed":
        _add_failed_run(session, job)
    if model is None:
        return
    model.status = "trained" if model.tag else job.state
    about = ("model", model.id)
    if job.state == "cancelled":
        record_activity(
            session,
            model.owner_id,
            "training_cancelled",
            status="warning",
            user_id=job.owner_id,
            about=about,
            name=model.name,
        )
        return
    error = job.error or {}
    reason = failure(job, session.scalar(select(User.language).where(User.id == model.owner_id)) or DEFAULT_LANGUAGE)
    record_activity(
        session,
        model.owner_id,
        "training_failed",
        status="error",
        user_id=job.owner_id,
        about=about,
        name=model.name,
        reason=reason,
    )
    raise_alert(
        session, model.owner_id, "training_failed", severity="error", about=about, name=model.name, reason=reason
    )
    run_id = session.scalar(select(Run.run_id).where(Run.job_id == job.id)) or ""
    told = {"code": error.get("code", ""), "message": reason}
    outbox.emit_run(session, model, "training.failed", run_id, job.id, **told)


def failure(job: Job, language: str) -> str:
    """The reason of a failed job in `language`."""
    return (error_text(job.error, language) or {}).get("detail", "")


def _trained(session: Session, job: Job, model: Model, result: dict[str, Any]) -> None:
    model.tag, model.checksum, model.run_id = result["tag"], result["model_checksum"], result["run_id"]
    model.metrics, model.facts, model.dataset_number = result["metrics"], result["facts"], result["dataset_number"]
    model.status, model.trained_at = "trained", now()
    record_activity(
        session,
        model.owner_id,
        "model_trained",
        user_id=job.owner_id,
        about=("model", model.id),
        name=model.name,
        algorithm=result["facts"]["winner"],
    )
    figures = {"algorithm": result["facts"]["winner"], "metrics": result["metrics"]}
    outbox.emit_run(session, model, "training.finished", result["run_id"], job.id, **figures)
    outbox.emit_run(session, model, "report.ready", result["run_id"], job.id, of="training")
    session.execute(
        update(Alert)
        .where(
            Alert.owner_id == model.owner_id,
            Alert.kind == "training_failed",
            Alert.object_id == model.id,
            Alert.resolved_at.is_(None),
        )
        .values(resolved_at=now())
    )
    session.flush()
    present = session.scalar(
        select(Model)
        .join(Alias, Alias.model_id == Model.id)
        .where(Alias.owner_id == model.owner_id, Alias.family == model.family, Alias.name == champions.CHAMPION)
    )
    if present is None or job.params.get("promote") and not _worse(model, present):
        champions.promote(session, model, job.owner_id)


def _worse(model: Model, present: Model) -> bool:
    """Whether a retrained model has a worse MASE over its folds than the champion over its own."""
    new, old = model.metrics.get("mase"), present.metrics.get("mase")
    return new is None or old is not None and new > old


def _add_run(
    session: Session, job: Job, status: str, path: str, run_id: str, hashed: str | None, record: dict[str, Any]
) -> None:
    session.add(
        Run(
            run_id=run_id,
            model_id=job.model_id,
            job_id=job.id,
            owner_id=job.owner_id,
            status=status,
            folder=path,
            checksum=hashed,
            record=record,
        )
    )


def _add_failed_run(session: Session, job: Job) -> None:
    """Store the run of a failed job, if it had begun: its notebook shows the failing cell."""
    note = folder("jobs", job.id) / RUN
    run_id = note.read_text(encoding="utf-8") if note.is_file() else ""
    path = folder("results", job.id, str(job.attempt)) / run_id if run_id else None
    if path is not None and path.is_dir():
        record = path / "run.json"
        content = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        _add_run(session, job, "failed", path.relative_to(home()).as_posix(), run_id, None, content)
