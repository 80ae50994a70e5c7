"""The seven steps of a pipeline in the catalog: which are complete or available, and what a change invalidates."""

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store.accounts.access import Principal, visible
from vur.store.catalog import Alert, Alias, Dataset, DatasetVersion, Job, Model, Pipeline, Share
from vur.store.data import datasets
from vur.store.events import record_activity

STEPS = ("upload", "preview", "split", "preprocessing", "features", "model", "training")
SECTIONS = {
    "preview": "data",
    "split": "split",
    "preprocessing": "preprocess",
    "features": "features",
    "model": "model",
    "training": "training",
}
# The steps that must be confirmed again when the choices of a step change.
INVALIDATES: dict[str, tuple[str, ...]] = {
    "upload": STEPS[1:],
    "preview": ("split", "preprocessing", "features", "training"),
    "split": ("training",),
    "preprocessing": ("training",),
    "features": ("training",),
    "model": ("training",),
    "training": (),
}
STATUSES = {"queued": "training", "training": "training", "trained": "trained", "failed": "failed"}


def check_step(step: str) -> str:
    """`step` if it exists; else `VurError` pipelines.step, which names the seven."""
    if step not in STEPS:
        raise VurError("pipelines.step", field="step", step=step[:50], known=", ".join(STEPS))
    return step


def done(pipeline: Pipeline) -> list[str]:
    """The complete steps in order; none if the dataset was deleted."""
    return [name for name in STEPS if name in pipeline.completed] if pipeline.dataset_id else []


def missing(pipeline: Pipeline, step: str) -> list[str]:
    """The incomplete steps before `step`; without any, the step is available."""
    return [name for name in STEPS[: STEPS.index(step)] if name not in done(pipeline)]


def complete(pipeline: Pipeline, step: str, changed: bool) -> list[str]:
    """Mark a step as complete; if its choices `changed`, returns the steps that must be confirmed again."""
    undone = [name for name in INVALIDATES[step] if changed and name in pipeline.completed]
    kept = (set(pipeline.completed) | {step}) - set(undone)
    pipeline.completed = [name for name in STEPS if name in kept]
    if pipeline.status in ("draft", "ready"):
        pipeline.status = "ready" if len(pipeline.completed) == len(STEPS) else "draft"
    return undone


def reopen(pipeline: Pipeline, step: str) -> list[str]:
    """Mark the later steps that depend on a changed `step` as to be confirmed again, and return them."""
    undone = [name for name in INVALIDATES[step] if name in pipeline.completed]
    pipeline.completed = [name for name in pipeline.completed if name not in undone]
    if pipeline.status == "ready" and undone:
        pipeline.status = "draft"
    return undone


def section(pipeline: Pipeline, step: str) -> dict[str, Any]:
    """The current choices of a step."""
    if step == "upload":
        return {"dataset_id": pipeline.dataset_id} if pipeline.dataset_id else {}
    return dict(pipeline.config.get(SECTIONS[step]) or {})


def set_section(pipeline: Pipeline, step: str, values: dict[str, Any]) -> bool:
    """Store the choices of a step; whether they changed."""
    changed = section(pipeline, step) != values
    pipeline.config = pipeline.config | {SECTIONS[step]: values}
    return changed


def take_dataset(session: Session, pipeline: Pipeline, dataset: Dataset) -> bool:
    """Set the pipeline's dataset; whether that is a change.

    Choices of columns stay if the new dataset has these columns, otherwise the dataset's own apply.
    """
    if pipeline.dataset_id == dataset.id:
        return False
    pipeline.dataset_id = dataset.id
    own = datasets.sections(dataset)
    spec = {
        key: value
        for key, value in datasets.data_spec(session, dataset).items()
        if key not in ("fingerprint", "upload")
    }
    kept = dict(pipeline.config.get("data") or {})
    named = [
        name
        for name in (kept.get("date"), kept.get("target"), *(kept.get("series") or ()), *(kept.get("roles") or {}))
        if name
    ]
    fits = bool(named) and set(named) <= set(datasets.column_names(dataset))
    pipeline.config = {
        **{name: values for name, values in own.items() if values},
        **pipeline.config,
        "data": kept if fits else spec,
    }
    return True


def models_of(session: Session, pipeline: Pipeline, most: int = 100) -> list[Model]:
    """The latest models of a pipeline, the newest first."""
    return list(
        session.scalars(
            select(Model).where(Model.pipeline_id == pipeline.id).order_by(Model.created_at.desc()).limit(most)
        )
    )


def champion_of(session: Session, pipeline: Pipeline) -> Model | None:
    """The champion among the models of a pipeline."""
    query = select(Model).join(Alias, Alias.model_id == Model.id).where(Alias.name == "champion")
    return session.scalar(query.where(Model.pipeline_id == pipeline.id).order_by(Model.created_at.desc()).limit(1))


def statuses(session: Session, rows: list[Pipeline]) -> dict[str, str]:
    """The status by id: `draft`, `ready`, or that of the newest model, `training, trained, failed`."""
    found = {row.id: "ready" if len(done(row)) == len(STEPS) else "draft" for row in rows}
    query = (
        select(Model.pipeline_id, Model.status)
        .where(Model.pipeline_id.in_(found), Model.status.in_(STATUSES))
        .order_by(Model.created_at)
    )
    return found | {id: STATUSES[status] for id, status in session.execute(query) if id is not None}


def find_dataset(session: Session, who: Principal, fingerprint: str | None) -> tuple[Dataset | None, int | None]:
    """The newest dataset with a version of this fingerprint that `who` may see, and the version's number."""
    if not fingerprint:
        return None, None
    query = (
        select(Dataset, DatasetVersion.number)
        .join(DatasetVersion, DatasetVersion.dataset_id == Dataset.id)
        .where(DatasetVersion.fingerprint == fingerprint)
    )
    row = session.execute(visible(query, Dataset, who).order_by(Dataset.created_at.desc()).limit(1)).first()
    return (row[0], row[1]) if row else (None, None)


def remove(session: Session, pipeline: Pipeline, who: Principal) -> None:
    """Delete a pipeline; its models stay. `VurError` pipelines.in_use while one of them is in training."""
    models = select(Model.id).where(Model.pipeline_id == pipeline.id)
    job = session.scalar(select(Job.id).where(Job.model_id.in_(models), Job.state.in_(datasets.BUSY)))
    if job is not None:
        raise VurError("pipelines.in_use", id=pipeline.id, job=job)
    session.execute(delete(Share).where(Share.kind == "pipeline", Share.object_id == pipeline.id))
    session.execute(delete(Alert).where(Alert.object_kind == "pipeline", Alert.object_id == pipeline.id))
    record_activity(
        session,
        pipeline.owner_id,
        "pipeline_deleted",
        user_id=who.user_id,
        about=("pipeline", pipeline.id),
        name=pipeline.name,
    )
    session.delete(pipeline)
