"""Jobs, training and results as the API shows them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs.messages import error_text, jsonable, log_text
from vur.jobs.queue import ACTIVE, STATUS, best_scores
from vur.jobs.training import figure
from vur.store.accounts.access import Principal, fetch, visible
from vur.store.catalog import Job, JobLog, Model, Run
from vur.store.home import home
from vur.store.models import registry
from vur.text import table, translate

if TYPE_CHECKING:
    from vur.stages.training.budget import Note

LATEST_LINES = 20
MOST_ROWS = 10_000


# --- permissions ---


def seen(statement: Select[Any], who: Principal) -> Select[Any]:
    """Limit `statement` to the jobs that `who` may see: their own, and those of models that they may see."""
    if who.is_admin:
        return statement
    return statement.where(or_(Job.owner_id == who.user_id, Job.model_id.in_(visible(select(Model.id), Model, who))))


def find_job(session: Session, id: str, who: Principal, right: str = "view") -> Job:
    """Return a job that `who` may `view` or `edit`: their own, or one of a model that they may view or edit.

    `VurError` api.not_found or api.not_yours otherwise.
    """
    job = session.scalar(seen(select(Job).where(Job.id == id), who))
    if job is None:
        raise VurError("api.not_found", kind="job", id=id)
    if right != "view":
        who.require("analyst")
        if job.owner_id != who.user_id and not who.is_admin:
            fetch(session, Model, job.model_id, who, right)
    return job


def last_training(session: Session, model_id: str) -> Job | None:
    """Return the latest training job of a model."""
    return session.scalar(
        select(Job)
        .where(Job.model_id == model_id, Job.kind == "train")
        .order_by(Job.created_at.desc(), Job.id)
        .limit(1)
    )


# --- status ---


def job_shown(job: Job, language: str) -> dict[str, Any]:
    """Return a job as the API shows it."""
    keys = (
        "kind",
        "state",
        "model_id",
        "dataset_id",
        "owner_id",
        "params",
        "attempt",
        "stage",
        "eta_seconds",
        "best",
        "result",
        "cancel_requested",
        "created_at",
        "started_at",
        "ended_at",
    )
    return {
        "job_id": job.id,
        "progress": _percent(job),
        "stage_name": stage_name(job.stage, language),
        "error": error_text(job.error, language),
        **{key: getattr(job, key) for key in keys},
    }


def jobs_shown(session: Session, rows: Sequence[Job], language: str) -> list[dict[str, Any]]:
    """Return jobs with the names of their models."""
    named = select(Model.id, Model.name).where(Model.id.in_({row.model_id for row in rows}))
    names = dict(session.execute(named).tuples().all())
    return [job_shown(row, language) | {"model_name": names.get(row.model_id or "")} for row in rows]


def stage_name(stage: str, language: str) -> str:
    """Return the name of a stage in `language`."""
    key = f"stage.{stage}"
    return translate(key, language) if key in table() else stage


def started(job: Job) -> dict[str, Any]:
    """Return the response to a queued training."""
    return {
        "job_id": job.id,
        "model_id": job.model_id,
        "status": STATUS[job.state],
        "dataset_id": job.dataset_id,
        "attempt": job.attempt,
    }


def training_shown(session: Session, model: Model, language: str) -> dict[str, Any]:
    """Return the status of the latest training of `model`."""
    job = last_training(session, model.id)
    if job is None:
        done = model.tag is not None
        empty = dict.fromkeys(
            (
                "job_id",
                "current_epoch",
                "total_epochs",
                "loss",
                "eta_seconds",
                "best",
                "error",
                "queued_before",
                "created_at",
                "started_at",
                "ended_at",
            )
        )
        return empty | {
            "best": figure(model.facts, model.metrics),
            "model_id": model.id,
            "status": model.status,
            "progress": 100.0 if done else 0.0,
            "logs": [],
            "metrics": numbers(model.metrics),
            "stage": "",
            "stage_name": "",
            "attempt": 0,
            "cancel_requested": False,
        }
    epochs = job.epochs or {}
    return {
        "model_id": model.id,
        "job_id": job.id,
        "status": STATUS[job.state],
        "progress": _percent(job),
        "current_epoch": epochs.get("epoch"),
        "total_epochs": epochs.get("epochs"),
        "loss": epochs.get("loss"),
        "logs": [text for _, text in lines(session, job, language)],
        "metrics": numbers(model.metrics) if job.state == "succeeded" else numbers(best_scores(job.best)),
        "stage": job.stage,
        "stage_name": stage_name(job.stage, language),
        "eta_seconds": job.eta_seconds,
        "best": job.best,
        "error": error_text(job.error, language),
        "attempt": job.attempt,
        "cancel_requested": job.cancel_requested,
        "queued_before": _before(session, job) if job.state == "queued" else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
    }


def _percent(job: Job) -> float:
    return round(100 * job.progress, 1)


def numbers(values: dict[str, Any]) -> dict[str, float | None]:
    """Keep the entries that are numbers or None."""
    return {
        key: value
        for key, value in values.items()
        if value is None or isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _before(session: Session, job: Job) -> int:
    earlier = select(func.count()).select_from(Job).where(Job.state.in_(ACTIVE), Job.created_at < job.created_at)
    return session.scalar(earlier) or 0


def lines(session: Session, job: Job, language: str, limit: int = LATEST_LINES) -> list[tuple[int, str]]:
    """Return the latest lines of a job's log in `language`, oldest first, with their ids."""
    rows = session.scalars(select(JobLog).where(JobLog.job_id == job.id).order_by(JobLog.id.desc()).limit(limit)).all()
    return [(row.id, line_shown(row, language)) for row in reversed(rows)]


def line_shown(row: JobLog, language: str) -> str:
    """Translate a line of a log."""
    return log_text(row.key, row.values, language) if row.key else row.text


# --- results ---


def latest_file(session: Session, model: Model, name: str, finished: bool = True) -> Path:
    """Return a file of the model's run, or with `finished` False of its latest run, failed or not.

    `VurError` jobs.no_file without one.
    """
    if finished and model.run_id:
        path = registry.run_folder(session, model) / name
    else:
        row = session.scalar(select(Run).where(Run.model_id == model.id).order_by(Run.created_at.desc()).limit(1))
        if row is None or finished:
            raise VurError("models.no_results", id=model.id, status=model.status)
        path = home() / row.folder / name
        path = path if path.is_file() else path.with_name(f".{name}")  # written by an interrupted run
    if not path.is_file():
        raise VurError("jobs.no_file", what=name)
    return path


def results(
    session: Session, model: Model, language: str, series: str | None = None, limit: int = 1000
) -> dict[str, Any]:
    """Return the results of the model's training; `series` and `limit` filter the rows of the forecast.

    `VurError` models.no_results or jobs.no_file if there are none.
    """
    from vur.runs.result import RunResult

    found = RunResult(registry.run_folder(session, model))
    record, board, scores = found.record, jsonable(found.leaderboard.to_dict("records")), jsonable(_scores(found))
    winner = record["winner"]
    best = next((row for row in board if row["algorithm"] == winner), board[0])
    forecast, rows = _forecast(found.folder, series, limit)
    job = session.scalar(select(Run.job_id).where(Run.model_id == model.id, Run.run_id == model.run_id))
    test = [row for row in scores if row["algorithm"] == winner]
    return {
        "model_id": model.id,
        "run_id": found.id,
        "job_id": job,
        "status": record["status"],
        "algorithm": winner,
        "metrics": numbers(model.metrics),
        **{name: record.get(name) for name in ("metric", "reference", "verdict", "headline")},
        "choice": _choice(record, language),
        "test": test[0] if test else None,
        "test_scores": scores,
        "coverage": {
            key.removeprefix("coverage-"): value for key, value in best.items() if key.startswith("coverage-")
        },
        "winkler": {key.removeprefix("winkler-"): value for key, value in best.items() if key.startswith("winkler-")},
        "wql": best.get("wql"),
        "leaderboard": board,
        "forecast": forecast,
        "forecast_rows": rows,
        "diagnostics": _diagnostics(found.folder, language),
        "facts": model.facts,
        "trained_at": model.trained_at,
        "seconds": record.get("seconds"),
    }


def _choice(record: dict[str, Any], language: str) -> dict[str, Any] | None:
    """Return why the model is used, with its sentence in `language`; None for a run that did not record it."""
    from vur.stages.training.budget import Note
    from vur.stages.training.choice import Choice

    if not record.get("choice"):
        return None
    note = Choice.from_dict(record["choice"]).note
    return record["choice"] | {"text": _named(note, language).say(language) if isinstance(note, Note) else ""}


def _named(note: "Note", language: str) -> "Note":
    """A note with the names of algorithms in place of their ids."""
    from vur.forecasters.registry import algorithm_name
    from vur.stages.training.budget import Note

    def name(value: Any) -> Any:
        known = isinstance(value, str) and f"report.algorithm.{value.removesuffix('-tuned')}" in table()
        return algorithm_name(value, language) if known else value

    return Note.of([(key, {word: name(value) for word, value in data.items()}) for key, data in note.parts])


def _scores(found: Any) -> list[dict[str, Any]]:
    """Return the scores on the held-out test part; empty if there is none."""
    from vur.store.runs import read_table

    path = found.folder / "test_scores.csv"
    return [] if not path.is_file() or path.stat().st_size < 3 else read_table(path).to_dict("records")


def _forecast(folder: Path, series: str | None, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return the first rows of the forecast, of one series if given, and the total number of rows."""
    from vur.store.runs import read_table

    frame = read_table(folder / "forecast.csv").astype({"ds": str})
    if series is not None:
        frame = frame[frame["unique_id"] == series]
    return jsonable(frame.head(limit).to_dict("records")), len(frame)


def _diagnostics(folder: Path, language: str) -> list[dict[str, Any]]:
    import json

    path = folder / "diagnostics.json"
    checks = json.loads(path.read_text(encoding="utf-8")).get("checks", []) if path.is_file() else []
    return [
        {key: check[key] for key in ("check", "verdict", "value", "p_value")} | {"text": check["text"][language]}
        for check in checks
    ]
