"""Sources of new rows for continuous predictions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import select

from vur.serving.dependencies import Analyst, Language, Listed, Version, Who, list_rows, set_etag
from vur.serving.schemas import databases as bodies
from vur.serving.schemas.texts import ObjectId
from vur.store.accounts.access import check_version, visible
from vur.store.catalog import DatabaseConnection
from vur.store.database import reading
from vur.store.feeds import connections
from vur.store.feeds.connections import Columns, Wanted

router = APIRouter(prefix="/databases", tags=["monitoring"])
SORTABLE = {name: getattr(DatabaseConnection, name) for name in ("created_at", "updated_at", "name", "kind", "status")}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such source, or none that you may see"}}
CHANGING = MISSING | {
    403: {"description": "You may view it, not change it"},
    412: {"description": "Changed since the version in `If-Match`"},
}
UNREADABLE: dict[int | str, dict[str, Any]] = {
    403: {"description": "Only administrators may register this kind"},
    422: {"description": "It cannot be read with these settings"},
}


def _columns(chosen: bodies.SourceColumns) -> Columns:
    return Columns(chosen.date, chosen.target, tuple(chosen.series), tuple(chosen.covariates))


@router.get("", response_model=bodies.DatabaseList, summary="List sources of new rows")
def list_databases(who: Who, asked: Listed) -> dict[str, Any]:
    """Your sources and those shared with you, each with its status and configuration."""
    with reading() as session:
        rows, page = list_rows(
            session,
            visible(select(DatabaseConnection), DatabaseConnection, who),
            asked,
            sortable=SORTABLE,
            searchable=(DatabaseConnection.name,),
        )
        return {"items": [connections.configuration(row) for row in rows]} | page


@router.post("", status_code=201, response_model=bodies.DatabaseOut, summary="Register a source", responses=UNREADABLE)
def add_database(body: bodies.DatabaseNew, who: Analyst, response: Response) -> dict[str, Any]:
    """Register a SQLite, DuckDB or Parquet file in the allowed folders, or a PostgreSQL database.

    It is opened read-only and checked.
    """
    row = connections.register(who, Wanted(body.name, body.kind, body.source, body.table, _columns(body.columns)))
    set_etag(response, row)
    return connections.configuration(row)


@router.get("/{database_id}", response_model=bodies.DatabaseOut, summary="One source", responses=MISSING)
def get_database(database_id: ObjectId, who: Who, response: Response) -> dict[str, Any]:
    """The status and configuration of a source."""
    with reading() as session:
        row = connections.find(session, who, database_id)
    set_etag(response, row)
    return connections.configuration(row)


@router.put(
    "/{database_id}", response_model=bodies.DatabaseOut, summary="Change a source", responses=CHANGING | UNREADABLE
)
def change_database(
    database_id: ObjectId, body: bodies.DatabaseChange, who: Analyst, expected: Version, response: Response
) -> dict[str, Any]:
    """Change a source's name, address, table or columns; it must be readable afterwards."""
    row = connections.change(
        who,
        database_id,
        expected,
        name=body.name,
        source=body.source,
        table=body.table,
        columns=_columns(body.columns) if body.columns else None,
    )
    set_etag(response, row)
    return connections.configuration(row)


@router.delete(
    "/{database_id}",
    status_code=204,
    summary="Remove a source",
    responses=CHANGING | {409: {"description": "A monitor reads it"}},
)
def delete_database(database_id: ObjectId, who: Analyst, expected: Version) -> None:
    """Remove a source; its data stays where it is."""
    with reading() as session:
        check_version(connections.find(session, who, database_id, "own"), expected)
    connections.remove(who, database_id)


@router.post("/{database_id}/test", response_model=bodies.DatabaseTest, summary="Test a source", responses=CHANGING)
def test_database(database_id: ObjectId, who: Analyst, language: Language) -> dict[str, Any]:
    """Open the source and check its table and columns; the result becomes its status."""
    with reading() as session:
        row = connections.find(session, who, database_id)
    found = connections.probe(row)
    told = {
        "ok": found.ok,
        "status": "connected" if found.ok else "error",
        "milliseconds": round(found.milliseconds, 1),
    }
    if found.error:
        return told | {"detail": found.error.text(language), "code": found.error.code}
    return told | {"tables": found.tables, "columns": found.columns, "newest": found.newest}


@router.get(
    "/{database_id}/preview",
    response_model=bodies.DatabasePreview,
    summary="The last rows of a source",
    responses=MISSING | {422: {"description": "It cannot be read"}},
)
def preview_database(
    database_id: ObjectId,
    who: Who,
    limit: Annotated[int, Query(ge=1, le=connections.MOST_SHOWN)] = connections.SHOWN_ROWS,
) -> dict[str, Any]:
    """The rows with the latest dates, oldest first, and the role of each column."""
    with reading() as session:
        row = connections.find(session, who, database_id)
    return connections.preview(row, limit)
