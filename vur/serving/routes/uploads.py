"""Uploads: a form with a file, or a file in pieces."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from sqlalchemy import select

from vur.errors import VurError
from vur.predictions.actuals import score_in_background
from vur.serving.dependencies import Analyst, Language, Listed, Who, list_rows, set_etag
from vur.serving.schemas import datasets as bodies
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
    400: {"description": "The file cannot be read: column, row and value are named"},
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
                        **{name: {"type": "string", "description": "Only where detection fails"} for name in CHOICES},
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
    """Read a file as it streams in and keep it as a dataset: types, suggested columns, and every row that could not be read.

    Nothing is kept of a file that cannot be read safely. For large files, or shaky connections, send it in pieces:
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
    summary="Upload new data of a dataset",
    responses=MISSING | SENDING,
    openapi_extra=FORM,
)
async def upload_version(
    dataset_id: ObjectId, request: Request, who: Analyst, language: Language, response: Response
) -> dict[str, Any]:
    """Make a file, such as a later export, the next version of a dataset.

    Chosen columns stay chosen; forecasts are compared with what came true.
    """
    dataset = await uploading.upload_form(request, who, language, dataset_id)
    set_etag(response, dataset)
    return detail(dataset, language)


@router.post(
    "/uploads",
    status_code=201,
    response_model=bodies.UploadOut,
    summary="Begin an upload in pieces",
    responses={413: SENDING[413], 507: SENDING[507]},
)
def begin_upload(body: bodies.UploadStart, who: Analyst, language: Language, response: Response) -> dict[str, Any]:
    """Announce a file; its bytes follow with `PATCH`, in as many pieces and attempts as it takes."""
    uploads.sweep_if_due(on_new_rows=score_in_background)
    unknown = [name for name in body.options if name not in CHOICES]
    if unknown:
        raise VurError("forms.field", field=f"options.{unknown[0][:100]}", known=", ".join(CHOICES))
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


@router.get("/uploads", response_model=bodies.UploadList, summary="Uploads of the last days")
def list_uploads(who: Who, asked: Listed, language: Language) -> dict[str, Any]:
    """Your uploads, the newest first: under way, finished and failed."""
    with reading() as session:
        rows, page = list_rows(
            session,
            visible(select(Upload), Upload, who),
            asked,
            sortable={"created_at": Upload.created_at, "state": Upload.state},
            searchable=(Upload.filename,),
        )
        return {"items": [upload_shown(row, language) for row in rows]} | page


@router.get("/uploads/{upload_id}", response_model=bodies.UploadOut, summary="How far an upload is", responses=MISSING)
@router.head("/uploads/{upload_id}", summary="Where the next piece of an upload begins", responses=MISSING)
def get_upload(upload_id: ObjectId, who: Who, language: Language, response: Response) -> dict[str, Any]:
    """Bytes that have arrived, then how far the conversion is, then the dataset or what is wrong with the file."""
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
    summary="Send a piece of a file",
    openapi_extra=BYTES,
    responses=MISSING
    | SENDING
    | {409: {"description": "The piece does not begin where the last one ended, or another request is sending"}},
)
async def append_upload(
    upload_id: ObjectId,
    request: Request,
    who: Analyst,
    language: Language,
    response: Response,
    upload_offset: Annotated[int, Header(ge=0, description="Where in the file this piece begins")],
) -> dict[str, Any]:
    """Append the bytes of the body. The last piece starts the conversion in the background: ask `GET` how far it is."""
    await uploading.append(request, who, upload_id, upload_offset)
    return await uploading.run_in_threadpool(get_upload, upload_id, who, language, response)


@router.delete("/uploads/{upload_id}", status_code=204, summary="Abort an upload", responses=MISSING)
def delete_upload(upload_id: ObjectId, who: Analyst) -> None:
    """Forget an upload and its bytes; a dataset that it became stays."""
    with reading() as session:
        fetch(session, Upload, upload_id, who, "own")
    abandon(upload_id)
