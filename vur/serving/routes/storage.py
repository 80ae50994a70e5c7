"""Storage of datasets: deleted ones and their return, disk usage, use by models, two versions compared."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from vur.serving.dependencies import Analyst, Language, Listed, Version, Who, list_rows
from vur.serving.schemas import storage as bodies
from vur.serving.schemas.datasets import DatasetDetail
from vur.serving.schemas.texts import ObjectId
from vur.serving.views.datasets import one, usage_shown
from vur.settings import settings
from vur.store.accounts.access import check_version, fetch
from vur.store.catalog import Dataset
from vur.store.data import datasets, overview
from vur.store.database import reading, writing
from vur.store.operations import disk
from vur.wizard import preparation as prepared

router = APIRouter()
SORTABLE = {
    "deleted_at": Dataset.deleted_at,
    "created_at": Dataset.created_at,
    "name": Dataset.name,
    "rows": Dataset.rows,
    "stored_bytes": datasets.stored_bytes(),
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such dataset, or none that you may see"}}


@router.get(
    "/deleted",
    response_model=bodies.DeletedList,
    summary="List deleted datasets",
    responses={403: {"description": "Only for analysts and administrators"}},
)
def list_deleted(who: Analyst, asked: Listed) -> dict[str, Any]:
    """Your deleted datasets that can still be restored; of all users for administrators."""
    kept = timedelta(days=settings().keep_deleted_days)
    with reading() as session:
        rows, page = list_rows(
            session,
            datasets.deleted_of(who),
            asked,
            sortable=SORTABLE,
            searchable=(Dataset.name, Dataset.filename),
            default="-deleted_at",
        )
        facts = overview.overview(session, rows, who)
    items = [
        {
            "dataset_id": row.id,
            "rows_count": row.rows,
            "stored_bytes": facts[row.id]["stored_bytes"],
            "owner": facts[row.id]["owner"],
            "forgotten_at": row.deleted_at and row.deleted_at + kept,
            **{name: getattr(row, name) for name in ("name", "filename", "owner_id", "version", "deleted_at")},
        }
        for row in rows
    ]
    return {"items": items} | page


@router.post(
    "/{dataset_id}/restore", response_model=DatasetDetail, summary="Restore a deleted dataset", responses=MISSING
)
def restore(
    dataset_id: ObjectId, who: Analyst, language: Language, expected: Version, response: Response
) -> dict[str, Any]:
    """Undo the deletion: versions, shares, and the links of models and pipelines that have no other dataset now."""
    with writing() as session:
        dataset = datasets.find_deleted(session, dataset_id, who)
        check_version(dataset, expected)
        datasets.restore(session, dataset, who)
        return one(session, dataset, response, language)


@router.get("/storage", response_model=bodies.Storage, summary="Disk usage")
def storage(who: Who) -> dict[str, Any]:
    """Your storage against your quota, and your largest datasets; for administrators also all users and the disk."""
    with reading() as session:
        found = {
            "usage": usage_shown(session, who.user_id),
            "datasets": disk.largest(session, who.user_id),
            "users": disk.by_user(session) if who.is_admin else None,
        }
    limits = {name: getattr(settings(), name) for name in ("keep_deleted_days", "max_upload_bytes")}
    return found | limits | {"home": disk.data_home() if who.is_admin else None}


@router.get("/{dataset_id}/usage", response_model=bodies.DatasetUse, summary="Who uses a dataset", responses=MISSING)
def use(dataset_id: ObjectId, who: Who) -> dict[str, Any]:
    """The owner of a dataset, what you may do with it, and the models and pipelines that use it."""
    with reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who)
        facts = overview.overview(session, [dataset], who)[dataset.id]
        return {"dataset_id": dataset.id, **facts, **overview.users_of(session, dataset, who)}


@router.get(
    "/{dataset_id}/compare", response_model=bodies.Comparison, summary="Compare two versions", responses=MISSING
)
def compare(
    dataset_id: ObjectId,
    who: Who,
    start: Annotated[
        int | None,
        Query(alias="from", ge=1, le=2**31 - 1, description="The version before; default: the one before `to`"),
    ] = None,
    end: Annotated[
        int | None, Query(alias="to", ge=1, le=2**31 - 1, description="The version after; default: the current one")
    ] = None,
    limit: Annotated[int, Query(ge=0, le=200, description="Rows of each kind of change to show")] = 20,
) -> dict[str, Any]:
    """Rows that were added, removed and changed (by date and series), columns, range of dates, and totals.

    Computed once per pair of versions, in a process with limited memory and time.
    """
    with reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who)
        new = prepared.version_ref(session, dataset, end)
        old = prepared.version_ref(session, dataset, max(new.number - 1, 1) if start is None else start)
    return {"dataset_id": dataset.id, "from_version": old.number, "to_version": new.number} | prepared.compare(
        old, new, limit
    )
