"""Activities, alerts and tasks in the user's language, each with a link to its object."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.store import dashboard
from vur.store.accounts.access import Principal
from vur.store.catalog import Activity, Alert, Dataset
from vur.store.data import datasets, tables
from vur.store.places import PLACES, alert_page, link, page
from vur.store.sentences import alert_sentence, sentence
from vur.text import LANGUAGES, translate
from vur.wizard import preparation

DOINGS = {
    "many_rejects": "/datasets/{id}/rejects",
    "retrain": "/models/{id}/train",
    "failed_run": "/models/{id}/training/status",
    "drift": "/models/{id}/train",
    "coverage": "/models/{id}/train",
    "future_values": "/datasets/{id}/validate",
    "train_pipeline": "/pipelines/{id}/models",
}
TASK_PAGES: dict[str, tuple[str, dict[str, str]]] = {  # the page that does a task, and its parameters; {id} is filled
    "many_rejects": ("data", {"dataset": "{id}", "view": "rejects"}),
    "future_values": ("data", {"dataset": "{id}", "view": "upload"}),
    "train_model": ("pipeline", {"dataset": "{id}"}),
    "continue_pipeline": ("pipeline", {"pipeline": "{id}"}),
    "train_pipeline": ("pipeline", {"pipeline": "{id}", "step": "training"}),
    "failed_run": ("monitoring", {"model": "{id}", "view": "training"}),
    "retrain": ("monitoring", {"model": "{id}", "view": "retrain"}),
    "drift": ("monitoring", {"model": "{id}", "view": "retrain"}),
    "coverage": ("monitoring", {"model": "{id}", "view": "retrain"}),
}


def task_page(type: str, kind: str, id: str) -> dict[str, Any]:
    """Return the page that does a task, and the parameters of its address."""
    if type not in TASK_PAGES:
        return page(kind, id)
    name, parameters = TASK_PAGES[type]
    return {"page": name, "parameters": {key: value.format(id=id) for key, value in parameters.items()}}


def whole_number(id: str) -> int:
    """Return a UUID as a whole number for clients that expect one: its last 52 bits, which JavaScript holds exactly."""
    return int(id.replace("-", "")[-13:], 16)


def activity_shown(row: Activity, language: str) -> dict[str, Any]:
    """Return an activity as the API shows it."""
    return {
        "id": whole_number(row.id),
        "type": row.kind,
        "message": sentence(f"activity.{row.kind}", row.values, language),
        "timestamp": row.created_at,
        "status": row.status,
        "object_kind": row.object_kind,
        "object_id": row.object_id,
        "user_id": row.user_id,
        "link": link(row.object_kind, row.object_id),
        **page(row.object_kind, row.object_id),
    }


def alert_shown(row: Alert, language: str) -> dict[str, Any]:
    """Return an alert as the API shows it."""
    state = "resolved" if row.resolved_at else "acknowledged" if row.acknowledged_at else "open"
    return {
        "id": row.id,
        "type": row.kind,
        "severity": row.severity,
        "message": alert_sentence(row.kind, row.values, language),
        "state": state,
        "link": link(row.object_kind, row.object_id),
        **alert_page(row),
        **{
            name: getattr(row, name)
            for name in ("object_kind", "object_id", "created_at", "acknowledged_at", "resolved_at")
        },
    }


def task_shown(task: dict[str, Any], language: str) -> dict[str, Any]:
    """Return a task as the API shows it."""
    type, id = task["type"], task["object_id"]
    values = {name: _said(name, value, language) for name, value in task["values"].items()}
    return {
        "id": f"{type}:{id}",
        "title": sentence(f"task.{type}.title", values, language),
        "reason": sentence(f"task.{type}.reason", values, language),
        "link": (DOINGS.get(type) or PLACES[task["object_kind"]]).format(id=id),
        **task_page(type, task["object_kind"], id),
        **{name: task[name] for name in ("type", "priority", "object_kind", "object_id", "since")},
    }


def _said(name: str, value: Any, language: str) -> Any:
    if name == "step" and value:
        return translate(f"pipelines.step.{value}", language)
    if name == "error":
        return _error(value, language)
    return value


def _error(error: dict[str, Any] | None, language: str) -> str:
    from vur.jobs.messages import error_text

    return (error_text(error, language) or {}).get("detail") or translate("task.failed_run.unknown", language)


def future_tasks(session: Session, who: Principal) -> list[dict[str, Any]]:
    """Return tasks for datasets that lack future values of known-future columns, if their statistics are cached."""
    found = []
    for dataset in session.scalars(
        dashboard.mine(select(Dataset), Dataset, who).order_by(Dataset.updated_at.desc()).limit(5 * dashboard.MOST_EACH)
    ):
        facts = _known_facts(session, dataset) or {}
        names = [name for name, role in facts.get("roles", {}).items() if role == "known_future"]
        horizon = dataset.split.get("horizon") or facts.get("horizon")
        if names and horizon and (facts["known_steps"] or 0) < horizon:
            found.append(
                dashboard.task(
                    "future_values",
                    "medium",
                    "dataset",
                    dataset.id,
                    dataset.updated_at,
                    name=dataset.name,
                    columns=", ".join(names[:5]),
                    known=facts["known_steps"] or 0,
                    horizon=horizon,
                )
            )
    return found[: dashboard.MOST_EACH]


def _known_facts(session: Session, dataset: Dataset) -> dict[str, Any] | None:
    """Return the cached statistics of the dataset's series, in any language; the dashboard computes none."""
    try:
        version = datasets.version_of(session, dataset)
    except VurError:
        return None
    data = datasets.data_spec(session, dataset)
    for language in LANGUAGES:
        found = tables.find_cached(
            version.folder, "series", preparation.inputs_of(version.folder, data, language=language)
        )
        if found is not None:
            return found
    return None
