"""Datasets: preview, choose columns, prepare, split, download. Uploads are in `uploads`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy import select

from vur.errors import VurError, error_body
from vur.languages import LanguageChoice
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
from vur.serving.downloads import EXCEL, attachment, excel_file
from vur.serving.routes import storage, uploads
from vur.serving.schemas import datasets as bodies
from vur.serving.schemas import inspection, preparation
from vur.serving.schemas.storage import DatasetList
from vur.serving.schemas.texts import Number, ObjectId
from vur.serving.views.datasets import CHOSEN, one, shown, usage_shown
from vur.settings import settings
from vur.stages.split.folds import SplitSpec
from vur.stages.upload.suggestions import EXACT_ROWS
from vur.store.accounts.access import check_version, fetch, visible
from vur.store.catalog import Dataset, DatasetVersion
from vur.store.data import datasets, overview, sources, tables
from vur.store.data.retyping import retype
from vur.store.database import reading, writing
from vur.store.events import record_activity
from vur.store.home import folder
from vur.text import translate
from vur.wizard import chart as charts
from vur.wizard import preparation as prepared

router = APIRouter(prefix="/datasets", tags=["datasets"])
router.include_router(uploads.router)
router.include_router(storage.router)
SORTABLE = {
    name: getattr(Dataset, name) for name in ("created_at", "updated_at", "name", "filename", "size_bytes", "rows")
} | {
    "owner": overview.owner_name(),
    "versions": overview.version_count(),
    "models": overview.model_count(),
    "stored_bytes": datasets.stored_bytes(),
    "last_used_at": overview.last_use(),
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such dataset, or none that you may see"}}
CHANGING = MISSING | {
    403: {"description": "You may view it, not change it"},
    412: {"description": "Changed since the version in `If-Match`"},
}


@router.get("", response_model=DatasetList, summary="List datasets")
def list_datasets(
    who: Who,
    asked: Listed,
    owned: Annotated[
        Literal["all", "mine", "shared"], Query(description="Whose datasets: `shared` are others'")
    ] = "all",
) -> dict[str, Any]:
    """Your datasets and those shared with you, who uses them, and your storage.

    `search` matches names, descriptions, file names and owners; `sort` takes every number of a row, such as
    `-stored_bytes`, `versions`, `models`, `owner` or `-last_used_at`.
    """
    with reading() as session:
        rows, page = list_rows(
            session,
            overview.owned(visible(select(Dataset), Dataset, who), who, owned),
            asked,
            sortable=SORTABLE,
            searchable=(Dataset.name, Dataset.description, Dataset.filename, overview.owner_name()),
        )
        facts = overview.overview(session, rows, who)
        items = [shown(row) | facts[row.id] for row in rows]
        return {"items": items, "usage": usage_shown(session, who.user_id)} | page


@router.get("/{dataset_id}", response_model=bodies.DatasetDetail, summary="One dataset", responses=MISSING)
def get_dataset(dataset_id: ObjectId, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """A dataset with its columns and types, suggested and chosen roles, and the format of its file."""
    with reading() as session:
        return one(session, fetch(session, Dataset, dataset_id, who), response, language)


@router.put("/{dataset_id}", response_model=bodies.DatasetDetail, summary="Rename a dataset", responses=CHANGING)
def change_dataset(
    dataset_id: ObjectId,
    body: bodies.DatasetChange,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Change a dataset's name or description."""
    with writing() as session:
        dataset = fetch(session, Dataset, dataset_id, who, "edit")
        check_version(dataset, expected)
        for name, value in body.model_dump(exclude_none=True).items():
            setattr(dataset, name, value)
        return one(session, dataset, response, language)


@router.delete(
    "/{dataset_id}",
    status_code=204,
    summary="Delete a dataset",
    responses=CHANGING | {409: {"description": "A job needs it"}},
)
def delete_dataset(
    dataset_id: ObjectId,
    who: Analyst,
    expected: Version,
    forever: Annotated[
        bool, Query(description="Delete its files at once, also of a dataset that was deleted before")
    ] = False,
) -> None:
    """Delete a dataset with its versions. It can be restored for the days of the setting `keep_deleted_days`.

    Trained models keep working; their link to it becomes null until it is restored.
    """
    at_once = forever or not settings().keep_deleted_days
    fingerprints = []
    with writing(durable=True) as session:
        gone = session.scalar(datasets.deleted_of(who).where(Dataset.id == dataset_id)) if forever else None
        dataset = gone or fetch(session, Dataset, dataset_id, who, "own")
        check_version(dataset, expected)
        if gone is None:
            datasets.delete(session, dataset, who)
        if at_once:
            fingerprints = datasets.purge(session, dataset)
    datasets.collect(fingerprints)


# --- preview and statistics ---


def _place(dataset_id: str, who: Any, number: int | None = None) -> tuple[Dataset, prepared.VersionRef]:
    with reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who)
        return dataset, prepared.version_ref(session, dataset, number)


@router.get("/{dataset_id}/preview", response_model=inspection.Preview, summary="Rows of a dataset", responses=MISSING)
def preview(
    dataset_id: ObjectId,
    who: Who,
    page: Annotated[int, Query(ge=1, le=10_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    columns: Annotated[
        list[str] | None, Query(description="Repeatable, or names separated by commas; default: all")
    ] = None,
    version: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Number of the data version; default: the current one")
    ] = None,
) -> dict[str, Any]:
    """A page of rows in the order of the file. Only the part of the table with the page is read.

    Of a text of more than 1,000 characters only these are shown, with `…` at the end. A page that would be an answer of
    more than 32 MB is refused, with the number of rows that fits.
    """
    dataset, place = _place(dataset_id, who, version)
    head = dataset.head if place.number == dataset.number else tables.head(place.folder)
    types = {column["name"]: column["type"] for column in head["columns"]}
    names = _named(columns, types) or list(types)
    items, total = tables.rows(folder("datasets", place.folder) / sources.TABLE, page, limit, names)
    return {
        "dataset_id": dataset.id,
        "data_version": place.number,
        "columns": names,
        "types": {name: types[name] for name in names},
        "items": items,
        "total": total,
        "page": page,
        "limit": limit,
        "pages": -(-total // limit),
    }


def _named(columns: list[str] | None, known: dict[str, str]) -> list[str]:
    """Parse column names, single or separated by commas. `VurError` lists the existing columns."""
    names = [
        name
        for entry in columns or ()
        for name in ([entry] if entry in known else [part.strip() for part in entry.split(",")])
        if name
    ]
    for name in names:
        if name not in known:
            raise VurError("datasets.column", field="columns", column=name[:200], known=", ".join(known))
    return list(dict.fromkeys(names))


@router.get(
    "/{dataset_id}/statistics",
    response_model=inspection.Statistics,
    summary="Descriptive statistics",
    responses=MISSING,
)
def statistics(
    dataset_id: ObjectId,
    who: Who,
    language: Language,
    series: Annotated[
        Literal["auto", "yes", "no"],
        Query(description="`auto`: up to two million rows; larger tables may take minutes the first time"),
    ] = "auto",
) -> dict[str, Any]:
    """Statistics of each column, and of the series once date and target are known.

    Computed once per data version.
    """
    dataset, place = _place(dataset_id, who)
    known = {column["name"]: column for column in dataset.head["columns"]}
    columns = [
        row
        | {
            "type": known[row["column"]]["type"],
            "unique": min(known[row["column"]]["unique"], row["rows"] - row["missing"]),
        }
        for row in prepared.statistics(place)
    ]
    found = error = None
    wanted = series == "yes" or series == "auto" and place.rows <= EXACT_ROWS
    if wanted and place.date is not None and place.target is not None:
        try:
            found = prepared.series(place, language)
        except VurError as problem:
            if problem.code == "api.busy":
                raise
            error = error_body(problem, language)
    return {
        "dataset_id": dataset.id,
        "data_version": place.number,
        "rows_count": place.rows,
        "columns": columns,
        "series": found,
        "series_error": error,
    }


@router.get(
    "/{dataset_id}/series",
    response_model=inspection.Chart,
    summary="Points of the series for a chart",
    responses=MISSING,
)
def series(
    dataset_id: ObjectId,
    who: Who,
    series: Annotated[
        list[str] | None, Query(max_length=20, description="Names of series, repeatable; default: the first series")
    ] = None,
    total: Annotated[bool, Query(description="The sum of all series by date, instead of single ones")] = False,
    column: Annotated[str | None, Query(max_length=500, description="Column of numbers; default: the target")] = None,
    start: Annotated[
        str | None, Query(alias="from", max_length=40, description="First date, time or integer of the range")
    ] = None,
    end: Annotated[
        str | None, Query(alias="to", max_length=40, description="Last one; a date alone includes its whole day")
    ] = None,
    points: Annotated[
        int, Query(ge=10, le=20_000, description="Most points of the answer, shared equally by its series")
    ] = 2000,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> dict[str, Any]:
    """Values over time, few enough for a chart: every extreme survives, a stretch without values stays a gap.

    Ask again with `from` and `to` for finer points of a part. Rows of the same date are combined as the dataset's
    `duplicates` says.
    """
    dataset, place = _place(dataset_id, who, version)
    head = dataset.head if place.number == dataset.number else tables.head(place.folder)
    found = charts.chart(
        place,
        charts.source_of(place, head, column),
        series=series or [],
        total=total,
        start=start,
        end=end,
        points=points,
    )
    numbers = [one["name"] for one in head["columns"] if one["type"] in ("numeric", "boolean")]
    return found | {"dataset_id": dataset.id, "data_version": place.number, "columns": numbers}


@router.get(
    "/{dataset_id}/rejects", response_model=bodies.RejectList, summary="Rows that could not be read", responses=MISSING
)
def rejects(
    dataset_id: ObjectId,
    who: Who,
    language: Language,
    page: Annotated[int, Query(ge=1, le=10_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> dict[str, Any]:
    """The lines of the file that were rejected, each with the cause."""
    _, place = _place(dataset_id, who, version)
    items, total = tables.reject_rows(place.folder, language, (page - 1) * limit, limit)
    return {"items": items, "total": total, "page": page, "limit": limit, "pages": -(-total // limit)}


@router.get(
    "/{dataset_id}/download",
    response_class=StreamingResponse,
    summary="Download a dataset",
    responses=MISSING
    | NO_DOWNLOADS
    | {
        200: {
            "content": {
                "text/csv": {},
                "application/vnd.apache.parquet": {},
                EXCEL: {},
                "application/octet-stream": {},
            },
            "description": "The file",
        },
    },
)
def download(
    dataset_id: ObjectId,
    who: Downloader,
    language: Language,
    format: Literal["csv", "excel", "parquet", "original"] = "csv",
    dialect: Annotated[
        LanguageChoice,
        Query(description="Delimiter and decimal mark of a language; `auto`: of the user's language"),
    ] = "auto",
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """The typed rows as CSV, Excel or Parquet, or the original file byte for byte.

    Uploading a download gives the same rows. In CSV, text that a spreadsheet would take for a formula (it begins with
    `=`, `+`, `-`, `@`, a tab or a line break and is no number) has a `'` before it; the other formats need none. An
    Excel sheet holds 1,048,575 rows; its stamps are those of the column's clock.
    """
    dataset, place = _place(dataset_id, who, version)
    path = folder("datasets", place.folder) / sources.TABLE
    if format == "parquet":
        return FileResponse(
            path, media_type="application/vnd.apache.parquet", headers=attachment(dataset.name, ".parquet")
        )
    if format == "original":
        with reading() as session:
            kept = datasets.source_path(session, fetch(session, Dataset, dataset_id, who), place.number)
        return FileResponse(
            kept,
            media_type="application/octet-stream",
            headers=attachment(place.filename) if place.filename else attachment(dataset.name, ".parquet"),
        )
    if format == "excel":
        return excel_file(lambda target: prepared.write_excel(place, target), dataset.name)
    found, _ = sources.read_head(folder("datasets", place.folder))
    pieces = tables.csv_pieces(path, found.columns, tables.FORMS[language if dialect == "auto" else dialect])
    return StreamingResponse(
        tables.begun(pieces),
        media_type="text/csv; charset=utf-8",
        headers=attachment(dataset.name, ".csv"),
    )


# --- columns, validation, split, preparation ---


@router.put(
    "/{dataset_id}/config",
    response_model=bodies.Configured,
    summary="Choose date, target and features",
    responses=CHANGING,
)
def configure(
    dataset_id: ObjectId,
    body: bodies.Configure,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Set the role of each column. An unknown name is answered with the existing ones.

    An earlier split is discarded.
    """
    content = body.model_dump()
    with writing() as session:
        dataset = fetch(session, Dataset, dataset_id, who, "edit")
        check_version(dataset, expected)
        remarks = prepared.choose(dataset, {key: content[name] for key, name in CHOSEN.items()})
        record_activity(
            session,
            dataset.owner_id,
            "dataset_configured",
            user_id=who.user_id,
            about=("dataset", dataset.id),
            name=dataset.name,
        )
        return one(session, dataset, response, language) | {
            "remarks": [translate(remark.pop("code"), language, **remark) for remark in remarks]
        }


@router.put(
    "/{dataset_id}/types",
    response_model=bodies.DatasetDetail,
    summary="Set types of columns",
    responses=CHANGING | {400: {"description": "A column cannot be read as the given type"}},
)
def set_types(
    dataset_id: ObjectId,
    body: bodies.Types,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Read the file again with these types of its columns, as a further version; all others are detected.

    Rows with a value that is not of its column's type are rejected. A column of which more than half the values are
    something else is refused. Pipelines on the dataset ask for their steps again.
    """
    retype(who, dataset_id, dict(body.types), language, expected)
    with reading() as session:
        return one(session, fetch(session, Dataset, dataset_id, who), response, language)


@router.post(
    "/{dataset_id}/validate", response_model=inspection.Validated, summary="Validate a dataset", responses=MISSING
)
def validate(
    dataset_id: ObjectId,
    who: Who,
    language: Language,
    country: Annotated[
        str | None, Query(pattern="^[A-Z]{2}$", description="Country for clock changes, such as BR")
    ] = None,
) -> dict[str, Any]:
    """Errors and anomalies in the data, most severe first, each with code that fixes it; whether it can be forecast."""
    dataset, place = _place(dataset_id, who)
    return {"dataset_id": dataset.id, "data_version": place.number} | prepared.validate(place, language, country)


@router.post(
    "/{dataset_id}/split",
    response_model=inspection.SplitOut,
    summary="Split into training, validation and test",
    responses=CHANGING,
)
def split(
    dataset_id: ObjectId,
    body: inspection.Split,
    who: Analyst,
    language: Language,
    expected: Version,
    response: Response,
) -> dict[str, Any]:
    """Split the data by time and store the split for the models of this dataset.

    Shuffling is rejected, because it would leak the future into training.
    """
    wishes = body.model_dump(exclude_none=True, exclude={"method"}) | (
        {"window": "sliding"} if body.method == "sliding" else {}
    )
    SplitSpec(**wishes)
    wishes.pop("shuffle")
    with reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who, "edit")
        check_version(dataset, expected)
        place, stamp = prepared.version_ref(session, dataset), dataset.version
    plan = prepared.split(place, wishes, language)
    with writing() as session:
        dataset = fetch(session, Dataset, dataset_id, who, "edit")
        check_version(dataset, stamp)
        dataset.split = wishes
        record_activity(
            session,
            dataset.owner_id,
            "dataset_split",
            user_id=who.user_id,
            about=("dataset", dataset.id),
            name=dataset.name,
        )
        session.flush()
        set_etag(response, dataset)
        return plan | {
            "dataset_id": dataset.id,
            "data_version": place.number,
            "method": body.method,
            "config": wishes,
            "version": dataset.version,
        }


@router.post(
    "/{dataset_id}/preprocess", response_model=preparation.Preprocessed, summary="Prepare the data", responses=CHANGING
)
def preprocess(
    dataset_id: ObjectId, body: preparation.Preprocess, who: Analyst, language: Language, expected: Version
) -> dict[str, Any]:
    """Fill gaps, treat outliers, scale and build features.

    Steps on the target become part of the pipeline and are fitted on each fold's training part alone, so that no
    score sees the future. Steps that change rows or other columns create a new data version; the old one stays.
    """
    return prepared.prepare(who, dataset_id, body.model_dump(exclude_none=True), language, expected)


@router.get(
    "/{dataset_id}/versions", response_model=bodies.VersionList, summary="Versions of the data", responses=MISSING
)
def list_versions(dataset_id: ObjectId, who: Who) -> dict[str, Any]:
    """All data versions, newest first, with how each was created."""
    with reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who)
        items = [_version(dataset, version) for version in datasets.versions(session, dataset)]
    return {"items": items, "total": len(items)}


def _version(dataset: Dataset, version: DatasetVersion) -> dict[str, Any]:
    return {
        "current": version.number == dataset.number,
        "rows_count": version.rows,
        "size": version.size_bytes,
        "steps": version.recipe.get("steps", []),
        **{name: getattr(version, name) for name in ("number", "kind", "fingerprint", "created_at")},
    }


@router.post(
    "/{dataset_id}/versions/{number}/use",
    response_model=bodies.DatasetDetail,
    summary="Restore a version",
    responses=CHANGING,
)
def use_version(
    dataset_id: ObjectId, number: Number, who: Analyst, language: Language, expected: Version, response: Response
) -> dict[str, Any]:
    """Make a data version the current one. No version is lost."""
    with writing() as session:
        dataset = fetch(session, Dataset, dataset_id, who, "edit")
        check_version(dataset, expected)
        version = datasets.version_of(session, dataset, number)
        datasets.set_current(dataset, version, tables.head(version.folder))
        record_activity(
            session,
            dataset.owner_id,
            "dataset_version_used",
            user_id=who.user_id,
            about=("dataset", dataset.id),
            name=dataset.name,
            version=number,
        )
        return one(session, dataset, response, language)
