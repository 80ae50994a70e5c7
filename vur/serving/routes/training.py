"""Training in the background: start, status, cancel, retry, results, jobs, schedules."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import FileResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.jobs import queue
from vur.jobs.schedules import first_time, model_to_train, next_time
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
from vur.serving.schemas.texts import ObjectId, control_character
from vur.serving.schemas.training import (
    JobLines,
    JobList,
    JobOut,
    ModelScheduleIn,
    Results,
    ScheduleChange,
    ScheduleIn,
    ScheduleList,
    ScheduleOut,
    Started,
    Train,
    TrainingStatus,
    TrainNow,
)
from vur.serving.views import jobs
from vur.store.accounts.access import Principal, check_version, fetch, visible
from vur.store.catalog import Dataset, Job, JobLog, Model, Schedule, new_id, now
from vur.store.database import reading, writing
from vur.store.events import record_activity
from vur.text import is_blank, phrase

router = APIRouter(tags=["training"])
JOBS = {
    "created_at": Job.created_at,
    "started_at": Job.started_at,
    "ended_at": Job.ended_at,
    "state": Job.state,
    "kind": Job.kind,
}
SCHEDULES = {"created_at": Schedule.created_at, "next_at": Schedule.next_at}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such object, or none that you may see"}}
BUSY: dict[int | str, dict[str, Any]] = {409: {"description": "A training of this model is queued or running"}}
OVER: dict[int | str, dict[str, Any]] = {409: {"description": "It is over"}}
FAILED_NOT: dict[int | str, dict[str, Any]] = {409: {"description": "It did not fail"}}
UNTRAINED: dict[int | str, dict[str, Any]] = {409: {"description": "Not trained"}}
CHANGED: dict[int | str, dict[str, Any]] = {412: {"description": "Changed since the version in `If-Match`"}}
HTML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {}}}}
NOTEBOOK: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ipynb+json": {}}}}
TRAIN = {
    "present": {"summary": "On the current version of the dataset", "value": {}},
    "earlier": {"value": {"dataset_number": 1}},
}
# The report is a page with scripts: it runs sandboxed from the service's origin, without network access.
PAGE = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups allow-downloads; default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}


# --- training ---


@router.post(
    "/models/train",
    status_code=202,
    response_model=Started,
    responses=MISSING,
    summary="Configure and train a model",
)
def train_now(body: TrainNow, who: Analyst, language: Language) -> dict[str, Any]:
    """Create a model from a dataset and an algorithm, or from a whole configuration, and queue its training."""
    from vur.serving.views.configure import configured, model_remarks, planned_split, said, split_section

    asked = body.model_dump(exclude_none=True, exclude={"config", "validation", "optimization"})
    asked |= {
        name: part.model_dump(exclude_none=True, exclude_unset=name == "validation")
        for name in ("validation", "optimization")
        if (part := getattr(body, name)) is not None
    }
    changes = split_section(asked.get("validation"), body.horizon) | _split_of(body.config or {})
    plan = planned_split(who, body.dataset_id, body.pipeline_id, changes, language)
    with writing(durable=True) as session:
        model = configured(session, who, plan=plan, **asked)
        if body.config:
            model.config = over(model.config, body.config)
            remarks = model_remarks(model.config) if "model" in body.config else model.options["warnings"]["search"]
            model.options = model.options | {"warnings": model.options["warnings"] | {"search": remarks}}
        session.flush()
        job, warnings = _queue(session, model, who, {}), said(model, language)
    queue.hand_over(job.id)
    return jobs.started(job) | {"warnings": warnings}


def _split_of(sections: dict[str, Any]) -> dict[str, Any]:
    """Return the `split` section among those of a pipeline.yaml, checked."""
    from vur.runs.config import Config

    found = sections.get("split") or {}
    Config.from_dict({"split": found})
    return found


def over(config: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    """Return a model's configuration overridden by `sections` of a pipeline.yaml. `VurError` names an invalid key.

    A request may not set where the data is stored.
    """
    from vur.runs.config import Config

    if isinstance(data := sections.get("data"), dict) and {"path", "fingerprint"} & data.keys():
        raise VurError("api.invalid", field="config.data", reason=phrase("api.reason.from_dataset"))
    if found := control_character(str(sections.get("name") or "")):
        raise VurError("api.control_character", field="config.name", character=found)
    if (name := sections.get("name")) is not None and is_blank(str(name)):
        raise VurError("api.blank", field="config.name")
    both = {name: isinstance(values, dict) and isinstance(config.get(name), dict) for name, values in sections.items()}
    return Config.from_dict(
        config | {name: config[name] | values if both[name] else values for name, values in sections.items()}
    ).to_dict()


def _queue(session: Session, model: Model, who: Principal, params: dict[str, Any]) -> Job:
    job = queue.add(session, "train", who.user_id, params, model_id=model.id, dataset_id=model.dataset_id)
    record_activity(
        session,
        model.owner_id,
        "training_started",
        status="info",
        user_id=who.user_id,
        about=("model", model.id),
        name=model.name,
    )
    return job


@router.post(
    "/models/{model_id}/train",
    status_code=202,
    response_model=Started,
    responses=MISSING | BUSY,
    summary="Train a model",
)
def train(
    model_id: ObjectId, who: Analyst, body: Annotated[Train | None, Body(openapi_examples=TRAIN)] = None
) -> dict[str, Any]:
    """Queue a training. For a trained model, a new model of its family is trained; the response names it."""
    from vur.store.data.datasets import version_of

    with writing(durable=True) as session:
        model = fetch(session, Model, model_id, who, "edit")
        if model.dataset_id is None:
            raise VurError("jobs.no_dataset")
        if (number := body.dataset_number if body else None) is not None:
            version_of(session, session.get_one(Dataset, model.dataset_id), number)
        job = _queue(
            session,
            model_to_train(session, model, who.user_id),
            who,
            {"dataset_number": number} if number is not None else {},
        )
    queue.hand_over(job.id)
    return jobs.started(job)


@router.get(
    "/models/{model_id}/training/status",
    response_model=TrainingStatus,
    responses=MISSING,
    summary="Training status",
)
def training_status(model_id: ObjectId, who: Who, language: Language) -> dict[str, Any]:
    """Status, progress, latest log lines and best errors so far; the reason if it failed."""
    with reading() as session:
        return jobs.training_shown(session, fetch(session, Model, model_id, who), language)


@router.post(
    "/models/{model_id}/training/cancel",
    status_code=202,
    response_model=TrainingStatus,
    responses=MISSING | OVER,
    summary="Cancel a training",
)
def cancel_training(model_id: ObjectId, who: Analyst, language: Language) -> dict[str, Any]:
    """Cancel a training: at once if it is queued, within seconds if it is running."""
    with reading() as session:
        fetch(session, Model, model_id, who, "edit")
        job = _last(session, model_id)
    _cancel(job)
    return training_status(model_id, who, language)


def _last(session: Session, model_id: str) -> Job:
    job = jobs.last_training(session, model_id)
    if job is None:
        raise VurError("jobs.nothing", id=model_id)
    return job


def _cancel(job: Job) -> None:
    if job.state in queue.ENDED:
        raise VurError("jobs.over", id=job.id, state=job.state)
    queue.request_cancel(job.id)


@router.post(
    "/models/{model_id}/training/retry",
    status_code=202,
    response_model=Started,
    responses=MISSING | FAILED_NOT,
    summary="Retry a training",
)
def retry_training(model_id: ObjectId, who: Analyst) -> dict[str, Any]:
    """Queue a failed or cancelled training again; finished stages are not repeated."""
    with reading() as session:
        fetch(session, Model, model_id, who, "edit")
        job = _last(session, model_id)
    return jobs.started(queue.retry(job.id))


# --- results ---


@router.get(
    "/models/{model_id}/results", response_model=Results, responses=MISSING | UNTRAINED, summary="Training results"
)
def results(
    model_id: ObjectId,
    who: Who,
    language: Language,
    series: Annotated[str | None, Query(max_length=500, description="Forecast rows of this series only")] = None,
    limit: Annotated[int, Query(ge=0, le=jobs.MOST_ROWS, description="Maximum number of forecast rows")] = 1000,
) -> dict[str, Any]:
    """Leaderboard, errors, test, forecast, coverage and residual checks, as recorded by the model's run."""
    with reading() as session:
        found = jobs.results(session, fetch(session, Model, model_id, who), language, series, limit)
    at = f"/api/v1/models/{model_id}"
    links = {
        "report": f"{at}/report",
        "notebook": f"{at}/notebook",
        "metrics": f"{at}/metrics",
        "training": f"{at}/training/status",
    }
    return found | {"links": links}


@router.get(
    "/models/{model_id}/report", response_class=FileResponse, responses=MISSING | HTML, summary="The report of a model"
)
def report(model_id: ObjectId, who: Who) -> FileResponse:
    """The report as one self-contained page, for people who do not open notebooks."""
    with reading() as session:
        path = jobs.latest_file(session, fetch(session, Model, model_id, who), "report.html")
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=PAGE)


@router.get(
    "/models/{model_id}/notebook",
    response_class=FileResponse,
    responses=MISSING | NOTEBOOK | NO_DOWNLOADS,
    summary="The notebook of a model",
)
def notebook(model_id: ObjectId, who: Downloader) -> FileResponse:
    """The executed notebook; for a failed training, up to the cell that failed."""
    with reading() as session:
        model = fetch(session, Model, model_id, who)
        path = jobs.latest_file(session, model, "train.ipynb", finished=model.run_id is not None)
    return FileResponse(
        path,
        media_type="application/x-ipynb+json",
        headers=attachment(path.parent.name, ".ipynb") | {"X-Content-Type-Options": "nosniff"},
    )


# --- jobs ---


@router.get("/jobs", response_model=JobList, summary="List jobs")
def list_jobs(
    who: Who,
    asked: Listed,
    language: Language,
    state: str | None = None,
    kind: str | None = None,
    model_id: str | None = None,
) -> dict[str, Any]:
    """Background jobs that you may see, newest first."""
    statement = jobs.seen(select(Job), who)
    for column, value in ((Job.state, state), (Job.kind, kind), (Job.model_id, model_id)):
        if value is not None:
            statement = statement.where(column == value)
    with reading() as session:
        rows, page = list_rows(session, statement, asked, sortable=JOBS, searchable=(Job.id, Job.stage))
        return {"items": jobs.jobs_shown(session, rows, language)} | page


@router.get("/jobs/{job_id}", response_model=JobOut, responses=MISSING, summary="One job")
def get_job(job_id: ObjectId, who: Who, language: Language) -> dict[str, Any]:
    """The state of a job, and its result or error."""
    with reading() as session:
        return jobs.jobs_shown(session, [jobs.find_job(session, job_id, who)], language)[0]


@router.get("/jobs/{job_id}/logs", response_model=JobLines, responses=MISSING, summary="The log of a job")
def job_logs(
    job_id: ObjectId,
    who: Who,
    language: Language,
    after: Annotated[int, Query(ge=0, description="Lines after this id")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """The lines of a job's log, oldest first."""
    with reading() as session:
        job = jobs.find_job(session, job_id, who)
        rows = session.scalars(
            select(JobLog).where(JobLog.job_id == job.id, JobLog.id > after).order_by(JobLog.id).limit(limit)
        ).all()
        items = [
            {
                "id": row.id,
                "at": row.at,
                "attempt": row.attempt,
                "level": row.level,
                "text": jobs.line_shown(row, language),
            }
            for row in rows
        ]
        return {"items": items, "next": items[-1]["id"] if items else after}


@router.post(
    "/jobs/{job_id}/cancel", status_code=202, response_model=JobOut, responses=MISSING | OVER, summary="Cancel a job"
)
def cancel_job(job_id: ObjectId, who: Analyst, language: Language) -> dict[str, Any]:
    """Cancel a job: at once if it is queued, within seconds if it is running."""
    with reading() as session:
        job = jobs.find_job(session, job_id, who, "edit")
    _cancel(job)
    return get_job(job_id, who, language)


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    response_model=JobOut,
    responses=MISSING | FAILED_NOT,
    summary="Retry a job",
)
def retry_job(job_id: ObjectId, who: Analyst, language: Language) -> dict[str, Any]:
    """Queue a failed or cancelled job again as a new job; repeated requests return the same new job."""
    with reading() as session:
        jobs.find_job(session, job_id, who, "edit")
    return jobs.job_shown(queue.retry(job_id), language)


# --- schedules ---


@router.get("/schedules", response_model=ScheduleList, summary="List schedules")
def list_schedules(who: Who, asked: Listed, model_id: str | None = None) -> dict[str, Any]:
    """Your training schedules."""
    statement = visible(select(Schedule), Schedule, who)
    if model_id is not None:
        statement = statement.where(Schedule.model_id == model_id)
    with reading() as session:
        rows, page = list_rows(session, statement, asked, sortable=SCHEDULES)
        return {"items": [_schedule(row) for row in rows]} | page


@router.post(
    "/schedules", status_code=201, response_model=ScheduleOut, responses=MISSING, summary="Create a training schedule"
)
def add_schedule(body: ScheduleIn, who: Analyst, response: Response) -> dict[str, Any]:
    """Retrain a model on a schedule; each time a new model of its family is trained."""
    with writing() as session:
        model = fetch(session, Model, body.model_id, who, "edit")
        row = Schedule(
            id=new_id(),
            owner_id=who.user_id,
            model_id=model.id,
            cron=" ".join(body.cron.split()),
            timezone=body.timezone,
            enabled=body.enabled,
            promote=body.promote,
            next_at=first_time(body.cron, body.timezone),
        )
        session.add(row)
        session.flush()
        set_etag(response, row)
        return _schedule(row)


@router.get(
    "/models/{model_id}/schedules", response_model=ScheduleList, responses=MISSING, summary="Schedules of a model"
)
def model_schedules(model_id: ObjectId, who: Who, asked: Listed) -> dict[str, Any]:
    """The retraining schedules of a model."""
    with reading() as session:
        fetch(session, Model, model_id, who)
    return list_schedules(who, asked, model_id)


@router.post(
    "/models/{model_id}/schedules",
    status_code=201,
    response_model=ScheduleOut,
    responses=MISSING,
    summary="Create a schedule for a model",
)
def add_model_schedule(model_id: ObjectId, body: ModelScheduleIn, who: Analyst, response: Response) -> dict[str, Any]:
    """Retrain this model on a schedule."""
    return add_schedule(ScheduleIn(model_id=model_id, **body.model_dump()), who, response)


@router.get("/schedules/{schedule_id}", response_model=ScheduleOut, responses=MISSING, summary="One schedule")
def get_schedule(schedule_id: ObjectId, who: Who, response: Response) -> dict[str, Any]:
    """A schedule and its next run time."""
    with reading() as session:
        row = fetch(session, Schedule, schedule_id, who)
        set_etag(response, row)
        return _schedule(row)


@router.put(
    "/schedules/{schedule_id}", response_model=ScheduleOut, responses=MISSING | CHANGED, summary="Change a schedule"
)
def change_schedule(
    schedule_id: ObjectId, body: ScheduleChange, who: Analyst, version: Version, response: Response
) -> dict[str, Any]:
    """Change a schedule's times, or enable or disable it; the next run is computed from now."""
    with writing() as session:
        row = fetch(session, Schedule, schedule_id, who, "edit")
        check_version(row, version)
        for key, value in body.model_dump(exclude_none=True).items():
            setattr(row, key, value)
        changed = body.cron is not None or body.timezone is not None
        row.next_at = first_time(row.cron, row.timezone) if changed else next_time(row.cron, row.timezone, now())
        session.flush()
        set_etag(response, row)
        return _schedule(row)


@router.delete("/schedules/{schedule_id}", status_code=204, responses=MISSING, summary="Delete a schedule")
def delete_schedule(schedule_id: ObjectId, who: Analyst) -> None:
    """Delete a schedule; training jobs that it started continue."""
    with writing() as session:
        session.delete(fetch(session, Schedule, schedule_id, who, "edit"))


def _schedule(row: Schedule) -> dict[str, Any]:
    keys = ("model_id", "cron", "timezone", "enabled", "promote", "next_at", "last_job_id", "version", "created_at")
    return {"schedule_id": row.id} | {key: getattr(row, key) for key in keys}
