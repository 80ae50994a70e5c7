"""Where an object is: its path in the API, and the page of the dashboards that shows it."""

from typing import Any

from vur.store.catalog import Alert

PLACES = {
    "dataset": "/datasets/{id}",
    "pipeline": "/pipelines/{id}/state",
    "model": "/models/{id}",
    "monitor": "/monitoring/predictions/{id}",
    "job": "/jobs/{id}",
    "connection": "/monitoring/databases/{id}",
    "webhook": "/webhooks/{id}",
    "machine": "/machines/{id}",
    "table": "/tables/{id}",
}
PAGES = {  # the page of an object, and its parameter there
    "dataset": ("data", "dataset"),
    "pipeline": ("pipeline", "pipeline"),
    "model": ("forecasts", "model"),
    "monitor": ("monitoring", "monitor"),
    "job": ("monitoring", "job"),
    "connection": ("monitoring", "source"),
    "machine": ("machines", "machine"),
    "webhook": ("monitoring", "webhook"),
}


def page(kind: str | None, id: str | None) -> dict[str, Any]:
    """Return the dashboards' page on which an object is seen, and the parameters of its address."""
    if kind not in PAGES or not id:
        return {"page": None, "parameters": {}}
    name, parameter = PAGES[kind]
    return {"page": name, "parameters": {parameter: id}}


def alert_page(row: Alert) -> dict[str, Any]:
    """Return the page that shows what an alert is about: of a model, whether to retrain it."""
    if row.object_kind == "model" and row.kind.startswith("model_"):
        return {"page": "monitoring", "parameters": {"model": row.object_id, "view": "retrain"}}
    return page(row.object_kind, row.object_id)


def link(kind: str | None, id: str | None) -> str | None:
    """Return the path of an object in the API."""
    return PLACES[kind].format(id=id) if kind in PLACES and id else None
