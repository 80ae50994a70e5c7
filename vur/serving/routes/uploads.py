"""Uploads: a form with a file, or a file in chunks."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from sqlalchemy import select

from vur.errors import VurError
from vur.nearest import near
from vur.predictions.actuals import score_in_background
from vur.serving.dependencies import Analyst, Language, Listed, Who, list_rows, set_etag
from vur.serving.schemas import datasets as bodies
from vur.serving.schemas.body import listed
from vur.serving.schemas.texts import ObjectId
from vur.serving.views import uploading
from vur.serving.views.datasets import detail, upload_shown
from vur.store.accounts.access import fetch, visible
from vur.store.catalog import Dataset, Upload, now
from vur.store.data import uploads
from vur.store.data.upload_stream import CHOICES, abandon, begin
from vur.store.database import reading, writing

PREFIX = "/api/v1/datasets"
router = APIRouter()
MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "No such upload, or none that you may see"}}
SENDING: dict[int | str, dict[str, Any]] = {
    400: {"description": "The file cannot be read; the error names column, row and value"},
    413: {"description": "Too large, or over the quota"},
    415: {"description": "Not a form with a file"},
    507: {"description": "The disk is full"},
}
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "CSV, TSV, Excel or Parquet, plain or in gzip or zip",
                        },
                        "name": {"type": "string", "maxLength": 200},
                        "description": {"type": "string", "maxLength": 5000},
                        **{name: {"type": "string", "description": "Only if detection fails"} for name in CHOICES},
                    },
                }
            }
        },
    }
}
BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/upload",
    status_code=201,
    response_model=bodies.Uploaded,
    summary="Upload a file",
    responses=SENDING,
    openapi_extra=FORM,
)
async def upload(request: Request, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Read a file as it streams in and store it as a dataset: types, suggested columns and rejected rows.

    A file that cannot be read safely is not stored. For large files or unstable connections, upload in chunks:
    `POST /datasets/uploads`.
    """
    dataset = await uploading.upload_form(request, who, language)
    set_etag(response, dataset)
    response.headers["Location"] = f"{PREFIX}/{dataset.id}"
    return detail(dataset, language)


@router.post(
    "/{dataset_id}/versions",
    status_code=201,
    response_model=bodies.Uploaded,
    summary="Upload new data for a dataset",
    responses=MISSING | SENDING,
    openapi_extra=FORM,
)
async def upload_version(
    dataset_id: ObjectId, request: Request, who: Analyst, language: Language, response: Response
) -> dict[str, Any]:
    """Make a file, such as a later export, the next version of a dataset.

    Column choices stay; forecasts are scored against the new actual values.
    """
    dataset = await uploading.upload_form(request, who, language, dataset_id)
    set_etag(response, dataset)
    return detail(dataset, language)


@router.post(
    "/uploads",
    status_code=201,
    response_model=bodies.UploadOut,
    summary="Start a chunked upload",
    responses={413: SENDING[413], 507: SENDING[507]},
)
def begin_upload(body: bodies.UploadStart, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Announce a file; its bytes follow with `PATCH`, in any number of chunks and attempts."""
    uploads.sweep_if_due(on_new_rows=score_in_background)
    unknown = [name for name in body.options if name not in CHOICES]
    if unknown:
        name = unknown[0][:100]
        raise VurError("forms.field", field=f"options.{name}", near=near(name, CHOICES), known=listed(name, CHOICES))
    with writing() as session:
        if body.dataset_id is not None:
            fetch(session, Dataset, body.dataset_id, who, "edit")
        row = begin(
            session,
            who.user_id,
            body.filename,
            size=body.size,
            name=body.name,
            description=body.description,
            options=body.options,
            language=language,
            dataset_id=body.dataset_id,
        )
        session.flush()
        response.headers.update(
            {"Location": f"{PREFIX}/uploads/{row.id}", "Upload-Offset": "0", "Upload-Length": str(body.size)}
        )
        return upload_shown(row, language)


@router.get("/uploads", response_model=bodies.UploadList, summary="Recent uploads")
def list_uploads(who: Who, asked: Listed, language: Language) -> dict[str, Any]:
    """Your uploads, newest first: in progress, finished and failed."""
    with reading() as session:
        rows, page = list_rows(
            session,
            visible(select(Upload), Upload, who),
            asked,
            sortable={"created_at": Upload.created_at, "state": Upload.state},
            searchable=(Upload.filename,),
        )
        return {"items": [upload_shown(row, language) for row in rows]} | page


@router.get("/uploads/{upload_id}", response_model=bodies.UploadOut, summary="Progress of an upload", responses=MISSING)
@router.head("/uploads/{upload_id}", summary="Offset of the next chunk of an upload", responses=MISSING)
def get_upload(upload_id: ObjectId, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """Bytes received, then the progress of the conversion, then the dataset or the error in the file."""
    with reading() as session:
        row = fetch(session, Upload, upload_id, who)
    if row.state == "converting" and row.size_bytes is not None and row.updated_at < now() - uploads.STALE:
        uploads.convert_in_background(row.id, on_new_rows=score_in_background)
    found = upload_shown(row, language)
    response.headers.update(
        {
            "Upload-Offset": str(found["offset"]),
            "Upload-Length": str(row.size_bytes or found["offset"]),
            "Cache-Control": "no-store",
        }
    )
    return found


@router.patch(
    "/uploads/{upload_id}",
    response_model=bodies.UploadOut,
    summary="Send a chunk of a file",
    openapi_extra=BYTES,
    responses=MISSING
    | SENDING
    | {409: {"description": "The chunk does not start where the last one ended, or another request is sending"}},
)
async def append_upload(
    upload_id: ObjectId,
    request: Request,
    who: Analyst,
    language: Language,
    response: Response,
    upload_offset: Annotated[int, Header(ge=0, description="Offset of this chunk in the file")],
) -> dict[str, Any]:
    """Append the bytes of the body. The last chunk starts the conversion in the background; `GET` shows progress."""
    await uploading.append(request, who, upload_id, upload_offset)
    return await uploading.run_in_threadpool(get_upload, upload_id, who, language, response)


@router.delete("/uploads/{upload_id}", status_code=204, summary="Abort an upload", responses=MISSING)
def delete_upload(upload_id: ObjectId, who: Analyst) -> None:
    """Delete an upload and its bytes; a dataset created from it stays."""
    with reading() as session:
        fetch(session, Upload, upload_id, who, "own")
    abandon(upload_id)
