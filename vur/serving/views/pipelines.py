"""Pipelines as the API shows them, and the operations on their steps that need catalog and data."""

from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.runs.config import Config
from vur.serving.schemas.body import Body
from vur.serving.schemas.models import Configure
from vur.serving.schemas.preparation import FeatureEngineering, Preprocess
from vur.serving.schemas.texts import storable
from vur.serving.validation import checked
from vur.serving.views.configure import AUTO, NETWORK, model_section
from vur.stages.model.search_space import Remark, say_remark
from vur.store import database, pipelines
from vur.store.accounts.access import Principal, check_version, fetch
from vur.store.catalog import Dataset, Model, Pipeline, new_id
from vur.store.data import datasets
from vur.store.events import record_activity
from vur.text import on_one_line, phrase, translate
from vur.wizard import preparation, steps


def listed(session: Session, rows: list[Pipeline]) -> list[dict[str, Any]]:
    """Return pipelines as items of a list."""
    found = pipelines.statuses(session, rows)
    return [_shown(row, found[row.id]) for row in rows]


def shown(session: Session, pipeline: Pipeline) -> dict[str, Any]:
    """Return a pipeline as an item of a list."""
    return listed(session, [pipeline])[0]


def _shown(pipeline: Pipeline, status: str) -> dict[str, Any]:
    done = pipelines.done(pipeline)
    return {
        "pipeline_id": pipeline.id,
        "status": status,
        "current_step": pipeline.step,
        "completed_steps": done,
        "progress": round(100 * len(done) / len(pipelines.STEPS)),
        **{
            name: getattr(pipeline, name)
            for name in ("name", "description", "dataset_id", "owner_id", "version", "created_at", "updated_at")
        },
    }


def dataset_shown(session: Session, pipeline: Pipeline, who: Principal) -> dict[str, Any] | None:
    """Return the pipeline's dataset as the API shows it, or None if the user may not see it."""
    dataset = dataset_of(session, pipeline, who)
    if dataset is None:
        return None
    return {
        "dataset_id": dataset.id,
        "name": dataset.name,
        "filename": dataset.filename,
        "rows_count": dataset.rows,
        "data_version": dataset.number,
    }


def dataset_of(session: Session, pipeline: Pipeline, who: Principal) -> Dataset | None:
    """Return the dataset of a pipeline, or None if there is none that `who` may see."""
    try:
        return fetch(session, Dataset, pipeline.dataset_id, who) if pipeline.dataset_id else None
    except VurError:
        return None


def detail(session: Session, pipeline: Pipeline, who: Principal) -> dict[str, Any]:
    """Return a pipeline with its settings and models."""
    models = [_model_ref(model) for model in pipelines.models_of(session, pipeline)]
    return shown(session, pipeline) | {
        "config": pipeline.config,
        "dataset": dataset_shown(session, pipeline, who),
        "models": models,
    }


def _model_ref(model: Model) -> dict[str, Any]:
    names = ("name", "algorithm", "status", "created_at", "trained_at")
    return {"model_id": model.id, **{name: getattr(model, name) for name in names}}


def state(session: Session, pipeline: Pipeline, who: Principal, language: str) -> dict[str, Any]:
    """Return the progress through the steps, and the newest model."""
    newest = pipelines.models_of(session, pipeline, most=1)
    done = pipelines.done(pipeline)
    rows = [
        {
            "step": step,
            "number": number,
            "title": translate(f"pipelines.step.{step}", language),
            "completed": step in done,
            "current": step == pipeline.step,
            "missing": (lacking := pipelines.missing(pipeline, step)),
            "reachable": not lacking,
            "data": pipelines.section(pipeline, step),
        }
        for number, step in enumerate(pipelines.STEPS, 1)
    ]
    coming = next((step for step in pipelines.STEPS if step not in done), None)
    dataset = dataset_shown(session, pipeline, who)
    return shown(session, pipeline) | {
        "steps": rows,
        "next_step": coming,
        "dataset": dataset,
        "can_train": coming is None and dataset is not None,
        "model": _model_ref(newest[0]) if newest else None,
        "outdated": bool(newest) and is_outdated(session, pipeline, newest[0]),
        "champion": _model_ref(champion) if (champion := pipelines.champion_of(session, pipeline)) else None,
    }


def is_outdated(session: Session, pipeline: Pipeline, model: Model) -> bool:
    """Whether the settings of the steps, or the dataset or its version, are others than those of `model`."""
    dataset = session.get(Dataset, pipeline.dataset_id) if pipeline.dataset_id else None
    number = model.dataset_number
    if dataset is not None and (dataset.id != model.dataset_id or number not in (None, dataset.number)):
        return True
    now, then = steps.config_of(pipeline.name, pipeline.config).to_dict(), model.config
    return any(now[name] != then.get(name) for name in steps.SECTIONS.values())


def save_step(
    who: Principal,
    pipeline_id: str,
    step: str,
    given: dict[str, Any],
    expected: int | None,
    language: str,
    confirm: bool = True,
) -> dict[str, Any]:
    """Validate a step's settings against the data and store them; without `confirm` as a draft that is not complete.

    Returns the state afterwards, the later steps to confirm again, and the effect on the data (empty for a draft).
    """
    pipelines.check_step(step)
    check_form(step, given)
    with database.reading() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        check_version(pipeline, expected)
        check_reachable(pipeline, step)
        stamp, chosen = pipeline.version, dict(pipeline.config.get("data") or {})
        dataset = fetch(session, Dataset, _dataset_id(given) if step == "upload" else pipeline.dataset_id or "", who)
        place = preparation.version_ref(session, dataset)
    section, facts = given, {"rows": place.rows, "columns": place.kinds}
    given, remarks = model_request(step, given)
    if step != "upload":
        seen = place if step == "preview" else steps.with_columns(place, chosen)
        section, facts = (
            steps.check_step(step, given, seen, language) if confirm else (steps.read_section(step, given, seen), {})
        )
    facts = facts | {"warnings": [say_remark(parts, language) for parts in remarks]} if remarks else facts
    with database.writing() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        check_version(pipeline, stamp)
        changed = (
            pipelines.take_dataset(session, pipeline, fetch(session, Dataset, place.dataset_id, who))
            if step == "upload"
            else pipelines.set_section(pipeline, step, section)
        )
        if confirm:
            undone = pipelines.complete(pipeline, step, changed)
            pipeline.step = next((name for name in pipelines.STEPS if name not in pipeline.completed), step)
        else:
            undone, pipeline.step = pipelines.reopen(pipeline, step) if changed else [], step
        session.flush()
        return state(session, pipeline, who, language) | {"undone": undone, "facts": facts or {}}


def model_request(step: str, given: dict[str, Any]) -> tuple[dict[str, Any], list[Remark]]:
    """The section of a request for one algorithm, and remarks on its search; other settings as they are."""
    if step != "model" or "algorithm" not in given:
        return given, []
    return model_section(
        given["algorithm"],
        given.get("hyperparameters") or {},
        given.get("optimization"),
        given.get("metrics") or [],
        given.get("preset"),
    )


def check_form(step: str, given: dict[str, Any]) -> None:
    """Check a step's keys; settings in the form of an endpoint's body as that endpoint does. `VurError` if wrong."""
    form: type[Body] | None = None
    if step == "preprocessing" and steps.is_preparation_request(given):
        form = Preprocess
    elif step == "features" and steps.is_feature_request(given):
        form = FeatureEngineering
    elif step == "model" and "algorithm" in given:
        form, given = Configure, {"dataset_id": "-"} | given
    if form is not None:
        checked(form, given, "data")
    elif step != "upload":
        steps.check_step_keys(step, given)


def _dataset_id(given: dict[str, Any]) -> str:
    id = given.get("dataset_id")
    if not isinstance(id, str) or len(id) > 64 or set(given) != {"dataset_id"}:
        raise VurError("pipelines.dataset_id", field="data.dataset_id")
    return id


def check_reachable(pipeline: Pipeline, step: str) -> None:
    """Raise `VurError` pipelines.unreachable, which names the steps to complete before `step`."""
    if lacking := pipelines.missing(pipeline, step):
        raise VurError("pipelines.unreachable", field="step", step=step, missing=", ".join(lacking))


def export(session: Session, pipeline: Pipeline, who: Principal) -> tuple[dict[str, Any], Config]:
    """Return a pipeline as an export document, and its whole configuration."""
    dataset = dataset_of(session, pipeline, who)
    about, fingerprint, options = None, None, None
    if dataset is not None:
        spec = datasets.data_spec(session, dataset)
        fingerprint, options = spec["fingerprint"], spec["upload"]
        about = {
            "fingerprint": fingerprint,
            "name": dataset.name,
            "filename": dataset.filename,
            "rows_count": dataset.rows,
            "columns": [{"name": column["name"], "type": column["type"]} for column in dataset.head["columns"]],
        }
    config = steps.in_language(steps.config_of(pipeline.name, pipeline.config, fingerprint, options), who.language)
    return steps.export_document(pipeline.name, pipeline.description, config, pipelines.done(pipeline), about), config


def bring_in(who: Principal, text: str, language: str) -> dict[str, Any]:
    """Create a pipeline from an export or a pipeline.yaml. Returns its state and the settings that do not fit here."""
    document = steps.read_document(text)
    try:
        storable(document)
    except PydanticCustomError as error:
        raise VurError("pipelines.document", field="body", reason=phrase(f"api.reason.{error.type}")) from None
    steps.check_document_keys(document)
    content = (
        document["config"]
        if isinstance(document.get("config"), dict)
        else {key: value for key, value in document.items() if key not in ("name", "language")}
    )
    sections, problems = steps.valid_sections(
        {key: value for key, value in content.items() if key not in ("name", "language")}, language
    )
    if not sections and (problems or not content):
        raise VurError(
            "pipelines.document",
            field="body",
            reason=problems[0]["text"] if problems else phrase("api.reason.no_section"),
        )
    data = content.get("data")
    data = data if isinstance(data, dict) else {}
    name = on_one_line(str(document.get("name") or content.get("name") or translate("pipelines.imported", language)))[
        :200
    ]
    with database.writing() as session:
        dataset, number = pipelines.find_dataset(session, who, str(data.get("fingerprint") or "")[:64])
        completed = steps.completed_steps(document, sections)
        problems += _misfits(document, dataset, number, sections, completed, language)
        pipeline = Pipeline(
            id=new_id(),
            owner_id=who.user_id,
            name=name or translate("pipelines.imported", language),
            description=str(document.get("description") or "")[:5000],
            config=sections,
            dataset_id=dataset.id if dataset else None,
            completed=completed,
        )
        pipeline.step = next((step for step in pipelines.STEPS if step not in completed), "training")
        session.add(pipeline)
        session.flush()
        record_activity(session, who.user_id, "pipeline_imported", about=("pipeline", pipeline.id), name=pipeline.name)
        return state(session, pipeline, who, language) | {"problems": problems}


def _misfits(
    document: dict[str, Any],
    dataset: Dataset | None,
    number: int | None,
    sections: dict[str, Any],
    completed: list[str],
    language: str,
) -> list[dict[str, str]]:
    """List what does not fit the datasets here; removes the steps that depend on it from `completed`."""
    about = document.get("dataset")
    about = about if isinstance(about, dict) else {}
    if dataset is None:
        completed[:] = []
        return [
            _problem(
                "upload", "warning", "pipelines.dataset_missing", language, file=str(about.get("filename") or "–")[:255]
            )
        ]
    if "upload" not in completed:
        completed.insert(0, "upload")
    found = []
    if number != dataset.number:
        found.append(
            _problem(
                "upload",
                "warning",
                "pipelines.dataset_moved",
                language,
                name=dataset.name,
                number=number,
                present=dataset.number,
            )
        )
    data = sections.get("data", {})
    named = [
        name
        for name in (data.get("date"), data.get("target"), *(data.get("series") or ()), *(data.get("roles") or {}))
        if name
    ]
    lacking = [name for name in named if name not in datasets.column_names(dataset)]
    if lacking:
        completed[:] = ["upload"]
        found.append(
            _problem(
                "preview",
                "error",
                "pipelines.columns_missing",
                language,
                columns=", ".join(lacking)[:500],
                name=dataset.name,
            )
        )
    return found


def _problem(section: str, severity: str, key: str, language: str, **values: Any) -> dict[str, str]:
    return {"section": section, "severity": severity, "code": key, "text": translate(key, language, **values)}


def make_model(session: Session, who: Principal, pipeline: Pipeline, name: str | None) -> Model:
    """Create a model with exactly the steps' settings. `VurError` pipelines.unreachable if a step is incomplete."""
    if lacking := [step for step in pipelines.STEPS if step not in pipelines.done(pipeline)]:
        raise VurError("pipelines.unreachable", field="steps", step="training", missing=", ".join(lacking))
    dataset = fetch(session, Dataset, pipeline.dataset_id or "", who)
    config = steps.in_language(steps.config_of(name or pipeline.name, pipeline.config), who.language)
    chosen = config.model.algorithms
    algorithm = NETWORK if config.model.networks else chosen[0] if chosen != AUTO and len(chosen) == 1 else AUTO
    model = Model(
        id=new_id(),
        owner_id=who.user_id,
        name=name or pipeline.name,
        algorithm=algorithm,
        dataset_id=dataset.id,
        pipeline_id=pipeline.id,
        family=pipeline.id,
        config=config.to_dict(),
    )
    session.add(model)
    record_activity(
        session, who.user_id, "model_configured", about=("model", model.id), name=model.name, algorithm=algorithm
    )
    return model
