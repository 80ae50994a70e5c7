"""Datasets and uploads as the API shows them, in the user's language."""

from typing import Any

from fastapi import Response
from sqlalchemy.orm import Session

from vur.errors import VurError, error_body
from vur.serving.dependencies import set_etag
from vur.stages.upload.files import GIVEN_TYPES, note_text
from vur.store.catalog import Dataset, Upload
from vur.store.data import datasets
from vur.store.data.upload_stream import received
from vur.text import translate

CAUTIONS = (
    "rejected",
    "decimal_assumed",
    "date_order_assumed",
    "date_order_firsts",
    "date_order_close",
    "two_digit_years",
    "no_header",
    "sentinel",
    "sentinel_date",
)
GIVEN = "upload.note.type_given"
CHOSEN = {
    "date": "date_column",
    "target": "target_column",
    "series": "series_columns",
    "features": "feature_columns",
    "exclude": "exclude_columns",
    "freq": "freq",
    "tz": "timezone",
    "roles": "roles",
    "duplicates": "duplicates",
    "absent": "absent",
    "ended": "ended",
    "trust": "trust",
}


def shown(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset as an item of a list."""
    chosen = datasets.chosen_columns(dataset)
    return {
        "dataset_id": dataset.id,
        "size": dataset.size_bytes,
        "rows_count": dataset.rows,
        "columns": datasets.column_names(dataset),
        "data_version": dataset.number,
        "config": {name: chosen[key] for key, name in CHOSEN.items() if chosen.get(key) is not None},
        **{
            name: getattr(dataset, name)
            for name in ("name", "description", "filename", "owner_id", "version", "created_at", "updated_at")
        },
    }


def detail(dataset: Dataset, language: str) -> dict[str, Any]:
    """Return a dataset with everything that its upload detected, in the user's language."""
    head, suggested = dataset.head, dataset.head["suggestions"]
    notes = [note_text(note, language) for note in head["notes"]]
    cautions = [note_text(note, language) for note in head["notes"] if note["key"].rpartition(".")[2] in CAUTIONS]
    cautions += [translate(f"datasets.no_{role}", language) for role in ("date", "target") if suggested[role] is None]
    columns = [
        column | {"reason": note_text(column["reason"], language) if column["reason"] else ""}
        for column in head["columns"]
    ]
    return shown(dataset) | {
        "detected_types": {column["name"]: column["type"] for column in head["columns"]},
        "given_types": given_types(dataset),
        "suggestions": {
            "date_column": suggested["date"],
            "target_column": suggested["target"],
            "series_columns": suggested["series"],
            "feature_columns": suggested["features"],
            "numeric_columns": [c["name"] for c in head["columns"] if c["type"] == "numeric"],
            "reasons": {name: note_text(note, language) for name, note in suggested["reasons"].items()},
        },
        "rejected_rows": head["rejected"],
        "notes": notes,
        "warnings": cautions,
        "details": columns,
        "fingerprint": dataset.fingerprint,
        "file": {name: value for name, value in head["dialect"].items() if name not in ("notes", "columns")},
        **datasets.sections(dataset),
    }


def given_types(dataset: Dataset) -> dict[str, str]:
    """The types that a user gave to columns of the current version."""
    given = {c["name"]: c["type"] for c in dataset.head["columns"] if c["reason"].get("key") == GIVEN}
    return {name: kind if kind in GIVEN_TYPES else "text" for name, kind in given.items()}


def one(session: Session, dataset: Dataset, response: Response, language: str) -> dict[str, Any]:
    session.flush()
    set_etag(response, dataset)
    return detail(dataset, language)


def usage_shown(session: Session, user_id: str) -> dict[str, Any]:
    """Return a user's storage as the API shows it."""
    used = datasets.usage(session, user_id)
    names = ("datasets", "rows", "total_bytes", "quota_bytes", "updates_this_week", "last_upload_at")
    return {
        "remaining_bytes": used.left,
        "uploads_in_progress": used.uploads,
        **{name: getattr(used, name) for name in (*names, "deleted", "deleted_bytes")},
    }


def upload_shown(row: Upload, language: str) -> dict[str, Any]:
    """Return an upload as the API shows it."""
    offset = received(row)
    share = offset / row.size_bytes if row.state == "receiving" and row.size_bytes else row.progress
    error = _told(row.error, language) if row.error else None
    return {
        "upload_id": row.id,
        "size": row.size_bytes,
        "offset": offset,
        "progress": share,
        "error": error,
        **{name: getattr(row, name) for name in ("filename", "state", "dataset_id", "created_at", "updated_at")},
    }


def _told(error: dict[str, Any], language: str) -> dict[str, Any]:
    """Return the error of an upload; only its code if the values of an older release no longer fill the text."""
    try:
        return error_body(VurError(error["code"], stage=error["stage"], **error["data"]), language)
    except (KeyError, IndexError, ValueError, TypeError):
        return {"detail": error["code"], "code": error["code"], "field": None, "values": error["data"]}
