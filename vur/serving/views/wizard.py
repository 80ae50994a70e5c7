"""The wizard: live previews, repairs and their undoing, code, and a training as it goes."""

import re
from pathlib import PurePath
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.forecasters.registry import algorithm_name
from vur.jobs.queue import STATUS
from vur.serving.views.jobs import last_training, line_shown
from vur.serving.views.pipelines import check_form, dataset_of, model_request, state
from vur.settings import settings
from vur.store import child_process, database, pipelines
from vur.store.accounts.access import Principal, check_version, fetch
from vur.store.catalog import Dataset, DatasetVersion, Job, JobLog, Model, Pipeline
from vur.store.data import datasets, tables
from vur.store.events import record_activity
from vur.text import translate
from vur.wizard import preparation, repairs, steps
from vur.wizard.code import Source
from vur.wizard.preparation import VersionRef

HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
SECTIONS_BEFORE = {
    "preview": ("preprocess",),
    "split": (),
    "preprocessing": (),
    "features": ("preprocess", "split"),
    "model": ("split",),
    "training": ("split", "model"),
}
OWN_NAME = {"split": "spec", "preprocessing": "preprocess"}  # the argument of a preview that takes the step's section
WITH_SERIES = ("preview", "split", "preprocessing", "features")
MOST_LOSSES = 12
EPOCHS = ("networks.progress.epoch", "networks.progress.epoch_only")
SCORED = "training.progress.scored"


# --- previews ---


def place_of(session: Session, pipeline: Pipeline, who: Principal) -> VersionRef:
    """The current version of the pipeline's dataset, with the columns that the dataset chose.

    `VurError` pipelines.unreachable without a dataset.
    """
    if pipeline.dataset_id is None:
        raise VurError("pipelines.unreachable", field="step", step="preview", missing="upload")
    return preparation.version_ref(session, fetch(session, Dataset, pipeline.dataset_id, who))


def preview(
    who: Principal,
    pipeline_id: str,
    step: str,
    given: dict[str, Any] | None,
    series: str | None,
    points: int,
    language: str,
) -> dict[str, Any]:
    """The effect of a step with settings `given`, or with the stored ones; nothing is stored."""
    with database.reading() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who)
        place = place_of(session, pipeline, who)
        config = {name: dict(pipeline.config.get(name) or {}) for name in steps.SECTIONS.values()}
        effects = rows_in_effect(session, pipeline, language) if step == "preview" else []
    if given is None:
        section = config[steps.SECTIONS[step]]
    else:
        check_form(step, given)
        given, _ = model_request(step, given)
        section = steps.read_section(
            step, given, place if step == "preview" else steps.with_columns(place, config["data"])
        )
    chosen = section if step == "preview" else config["data"]
    place = steps.with_columns(place, chosen)
    arguments: dict[str, Any] = {name: config[name] for name in SECTIONS_BEFORE[step]}
    if step == "preview":
        arguments["country"] = config["features"].get("country")
    else:
        arguments[OWN_NAME.get(step, step)] = section
    if step in WITH_SERIES:
        arguments["series"] = series
    if step in ("preview", "split", "preprocessing"):
        arguments["points"] = points
    inputs = preparation.inputs_of(place.folder, place.data, language=language, **arguments)
    heavy = preparation.is_big(place)
    with child_process.limited(heavy):
        answer = preparation.analyse(place, f"vur.wizard.previews:{step}", inputs, heavy)
    if step == "preview":
        answer["repairs"] = repairs.in_effect(section, config["preprocess"], language) + effects
    return answer | {"step": step, "section": section}


# --- repairs ---


def rows_in_effect(session: Session, pipeline: Pipeline, language: str) -> list[dict[str, str]]:
    """The latest repair of the dataset's rows, if its current version was made by one."""
    version = _repaired_version(session, pipeline)
    if version is None:
        return []
    told = " ".join(version.recipe.get("steps", []))
    return [{"key": "rows", "text": translate("repair.effect.rows", language, steps=told)}]


def _repaired_version(session: Session, pipeline: Pipeline) -> DatasetVersion | None:
    dataset = session.get(Dataset, pipeline.dataset_id) if pipeline.dataset_id else None
    version = datasets.version_of(session, dataset) if dataset else None
    made = version is not None and "repair" in (version.recipe.get("asked") or {})
    return version if made else None


def repair(who: Principal, pipeline_id: str, key: str, language: str) -> dict[str, Any]:
    """Carry out the repair of a finding: new settings of a step, or a new version of the dataset.

    `VurError` repairs.unknown if the data have no such finding or it has no repair.
    """
    with database.reading() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        stamp, config = pipeline.version, dict(pipeline.config)
        place = steps.with_columns(place_of(session, pipeline, who), dict(config.get("data") or {}))
    preprocess = dict(config.get("preprocess") or {})
    country = (config.get("features") or {}).get("country")
    found = _find_repair(place, key, preprocess, country, language)
    if found is None:
        raise VurError("repairs.unknown", field="key", key=key)
    if found["rows"] is not None:
        preparation.repair_rows(who, place, found["rows"], language)
        return _changed(who, pipeline_id, None, "preview", None, found["text"], language)
    section = steps.SECTIONS[found["step"]]
    values = dict(config.get(section) or {})
    if "roles" in found["settings"]:
        found["settings"] = {"roles": dict(values.get("roles") or {}) | found["settings"]["roles"]}
    new = steps.read_section(found["step"], values | found["settings"], place)
    return _changed(who, pipeline_id, stamp, found["step"], new, found["text"], language)


def _find_repair(
    place: VersionRef, key: str, preprocess: dict[str, Any], country: str | None, language: str
) -> dict[str, Any] | None:
    inputs = preparation.inputs_of(
        place.folder, place.data, key=key, preprocess=preprocess, country=country, language=language
    )
    heavy = preparation.is_big(place)
    with child_process.limited(heavy):
        found: dict[str, Any] | None = preparation.analyse(place, "vur.wizard.previews:find_repair", inputs, heavy)
    return found


def undo(who: Principal, pipeline_id: str, key: str, language: str) -> dict[str, Any]:
    """Undo a repair in effect: `rows` returns to the version before it. `VurError` repairs.unknown if it is not one."""
    with database.reading() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        stamp, config = pipeline.version, dict(pipeline.config)
        effects = repairs.in_effect(config.get("data") or {}, config.get("preprocess") or {}, language)
        effects += rows_in_effect(session, pipeline, language)
        place = place_of(session, pipeline, who)
    text = next((one["text"] for one in effects if one["key"] == key), None)
    if text is None:
        raise VurError("repairs.unknown", field="key", key=key)
    if key == "rows":
        _use_version_before(who, pipeline_id)
        return _changed(who, pipeline_id, None, "preview", None, text, language)
    found = repairs.without(key, dict(config.get("data") or {}), dict(config.get("preprocess") or {}))
    assert found is not None, "what is in effect stands in the settings"
    step, values = found
    section = steps.read_section(step, values, place)
    return _changed(who, pipeline_id, stamp, step, section, text, language)


def _use_version_before(who: Principal, pipeline_id: str) -> None:
    with database.writing() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        dataset = fetch(session, Dataset, pipeline.dataset_id or "", who, "edit")
        version = _repaired_version(session, pipeline)
        if version is None:
            raise VurError("repairs.unknown", field="key", key="rows")
        before = datasets.version_of(session, dataset, version.recipe["from"])
        datasets.set_current(dataset, before, tables.head(before.folder))
        record_activity(
            session,
            dataset.owner_id,
            "dataset_version_used",
            user_id=who.user_id,
            about=("dataset", dataset.id),
            name=dataset.name,
            version=before.number,
        )


def _changed(
    who: Principal,
    pipeline_id: str,
    stamp: int | None,
    step: str,
    section: dict[str, Any] | None,
    text: str,
    language: str,
) -> dict[str, Any]:
    """Store a step's section, or with None note that its data have changed; the state afterwards."""
    with database.writing() as session:
        pipeline = fetch(session, Pipeline, pipeline_id, who, "edit")
        check_version(pipeline, stamp)
        changed = section is None or pipelines.set_section(pipeline, step, section)
        undone = pipelines.reopen(pipeline, step) if changed else []
        session.flush()
        dataset = session.get(Dataset, pipeline.dataset_id) if pipeline.dataset_id else None
        return state(session, pipeline, who, language) | {
            "text": text,
            "undone_steps": undone,
            "dataset_version": dataset.number if dataset else 0,
        }


# --- code ---


def source(session: Session, pipeline: Pipeline, who: Principal, base: str, language: str) -> Source:
    """What the code of a pipeline is made from; `base` is the address that the client used."""
    dataset = dataset_of(session, pipeline, who)
    if dataset is None:
        raise VurError("pipelines.unreachable", field="step", step="preview", missing="upload")
    version = datasets.version_of(session, dataset)
    config = steps.trained_config(pipeline.name, dict(pipeline.config), datasets.data_spec(session, dataset))
    file = PurePath(version.recipe.get("filename") or f"{dataset.name}.parquet").name
    return Source(
        pipeline_id=pipeline.id,
        dataset_id=dataset.id,
        name=pipeline.name,
        file=plain_name(file),
        number=version.number,
        config=steps.in_language(config, language),
        stored={step: pipelines.section(pipeline, step) for step in pipelines.STEPS},
        url=base if HOST.fullmatch(base.partition("://")[2]) else f"http://{settings().host}:{settings().port}",
        language=language,
    )


def plain_name(name: str) -> str:
    """The name of a file without what no file of some system may have in its name."""
    return "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in name)


# --- a training as it goes ---


def training_progress(session: Session, model: Model, language: str, after: int, limit: int) -> dict[str, Any]:
    """Scores so far, losses by epoch, and the log of the latest training of `model`."""
    job = last_training(session, model.id)
    if job is None:
        return {
            "model_id": model.id,
            "job_id": None,
            "status": model.status,
            "scores": [],
            "losses": [],
            "log": [],
            "next": after,
        }
    rows = session.scalars(
        select(JobLog).where(JobLog.job_id == job.id, JobLog.id > after).order_by(JobLog.id.desc()).limit(limit)
    ).all()[::-1]
    return {
        "model_id": model.id,
        "job_id": job.id,
        "status": STATUS[job.state],
        "scores": _scores(session, job, language),
        "losses": _losses(session, job, language),
        "log": [{"id": row.id, "at": row.at, "level": row.level, "text": line_shown(row, language)} for row in rows],
        "next": rows[-1].id if rows else after,
    }


def _lines(session: Session, job: Job, *keys: str) -> list[JobLog]:
    query = select(JobLog).where(JobLog.job_id == job.id, JobLog.attempt == job.attempt, JobLog.key.in_(keys))
    return list(session.scalars(query.order_by(JobLog.id)))


def _scores(session: Session, job: Job, language: str) -> list[dict[str, Any]]:
    """The candidates that have been compared, the best first; `best` is the leader among those that count."""
    found = {str(row.values["algorithm"]): row.values for row in _lines(session, job, SCORED)}
    best = job.best or {}
    if best.get("algorithm") and best["algorithm"] not in found and best.get("value") is not None:
        found[best["algorithm"]] = best | {"seconds": None}
    lower = all(entry["metric"] != "R2" for entry in found.values())
    ranked = sorted(found.items(), key=lambda one: one[1]["value"], reverse=not lower)
    return [
        {
            "algorithm": name,
            "name": algorithm_name(name, language),
            "metric": values["metric"],
            "value": values["value"],
            "seconds": values.get("seconds"),
            "best": name == best.get("algorithm"),
        }
        for name, values in ranked
    ]


def _losses(session: Session, job: Job, language: str) -> list[dict[str, Any]]:
    """The latest series of losses: one for each network and fold, a new one where epochs begin again."""
    found: list[dict[str, Any]] = []
    for row in _lines(session, job, *EPOCHS):
        values = row.values
        name, fold, epoch = str(values.get("algorithm", "")), values.get("fold"), values.get("epoch")
        last = found[-1] if found else None
        if last is None or (last["algorithm"], last["fold"]) != (name, fold) or epoch <= last["epoch"][-1]:
            last = {
                "algorithm": name,
                "name": algorithm_name(name, language),
                "fold": fold,
                "epochs": values.get("epochs"),
                "epoch": [],
                "loss": [],
                "val_loss": [],
            }
            found.append(last)
        last["epoch"].append(epoch)
        last["loss"].append(values.get("loss"))
        last["val_loss"].append(values.get("val_loss"))
    return found[-MOST_LOSSES:]
