"""Uploads over HTTP: a form with a file, or the bytes of a file in chunks.

An aborted request leaves no partial data behind.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.nearest import near
from vur.predictions.actuals import score_in_background
from vur.serving.multipart import pieces, read_form
from vur.serving.schemas.body import listed
from vur.store import database
from vur.store.accounts.access import Principal, fetch
from vur.store.catalog import Dataset, Upload, new_id
from vur.store.data import datasets, uploads
from vur.store.data.upload_stream import (
    CHOICES,
    Receiver,
    abandon,
    begin,
    choices_of,
    clean_name,
    note_received,
    options_of,
)
from vur.text import phrase

FIELDS = ("name", "description", *CHOICES)
LONGEST = {"name": 200, "description": 5000}


class FormUpload:
    """An upload in a single request."""

    def __init__(self, who: Principal, language: str, dataset_id: str | None = None):
        self.who, self.language, self.id, self.dataset_id = who, language, new_id(), dataset_id
        self.receiver: Receiver | None = None

    def open(self, filename: str) -> Callable[[bytes], None]:
        """Start the upload when the form reaches its file; returns the sink of its bytes."""
        self.receiver = Receiver(self.id)
        with database.writing() as session:
            begin(
                session,
                self.who.user_id,
                filename.replace("\x00", ""),
                language=self.language,
                id=self.id,
                dataset_id=self.dataset_id,
            )
            self.receiver.room = datasets.usage(session, self.who.user_id)
        return self.receiver.write

    def finish(self, fields: dict[str, str]) -> Dataset:
        """Convert the file and return the dataset. `VurError` for an invalid field or file, or one over the quota."""
        options = form_options(fields)
        options_of(options, self.language)
        with database.writing() as session:
            row = session.get_one(Upload, self.id)
            row.name, row.description, row.options = (
                clean_name(fields.get("name"), row.filename),
                fields.get("description", "").strip(),
                options,
            )
        uploads.claim(self.id)
        assert self.receiver is not None  # the form held a file, so `open` was called
        self.receiver.close()
        return uploads.convert(self.id, on_new_rows=score_in_background, patience=uploads.PATIENCE)

    def abandon(self) -> None:
        """Delete everything of an aborted request."""
        if self.receiver is not None:
            self.receiver.close()
            abandon(self.id)


def form_options(fields: dict[str, str]) -> dict[str, Any]:
    """Parse file options from a form's text fields. `VurError` forms.field for one that is unknown or too long."""
    for name, value in fields.items():
        if name not in FIELDS:
            known = ("file", *FIELDS)
            raise VurError("forms.field", field=name[:100], near=near(name, known), known=listed(name, known))
        if len(value) > LONGEST.get(name, 1000) or "\x00" in value:
            raise VurError("api.invalid", field=name, reason=phrase("api.reason.length", most=LONGEST.get(name, 1000)))
    return choices_of(fields)


async def upload_form(request: Request, who: Principal, language: str, dataset_id: str | None = None) -> Dataset:
    """Create a dataset, or the next version of one, from a form with a file."""
    await run_in_threadpool(_check_announced, request, who, dataset_id)
    upload = FormUpload(who, language, dataset_id)
    try:
        fields = await read_form(request, upload.open)
        return await asyncio.to_thread(
            upload.finish, fields
        )  # not in the endpoints' thread pool: reading a file may take minutes
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(upload.abandon)
        raise


def _check_announced(request: Request, who: Principal, dataset_id: str | None) -> None:
    """Reject early what exceeds the user's quota by its announced size, or a dataset that they may not change."""
    uploads.sweep_if_due(on_new_rows=score_in_background)
    announced = request.headers.get("content-length", "")
    with database.reading() as session:
        if dataset_id is not None:
            fetch(session, Dataset, dataset_id, who, "edit")
        used = datasets.usage(session, who.user_id)
    needed = int(announced) - 2**16 if announced.isascii() and announced.isdigit() else 1
    if used.left is not None and needed > used.left:
        raise VurError("api.quota", needed=needed, used=used.total_bytes, quota=used.quota_bytes)


async def append(request: Request, who: Principal, upload_id: str, offset: int) -> None:
    """Append the body of a request to an upload; received bytes survive a broken connection.

    The last byte starts the conversion.
    """
    row = await run_in_threadpool(_receiving, who, upload_id)
    receiver = await run_in_threadpool(Receiver, upload_id, offset, row.size_bytes)
    try:
        async for piece in pieces(request):
            await run_in_threadpool(receiver.write, piece)
    finally:
        with anyio.CancelScope(shield=True):
            complete = await run_in_threadpool(_note, upload_id, receiver)
    if complete:
        await run_in_threadpool(uploads.convert_in_background, upload_id, on_new_rows=score_in_background)


def _receiving(who: Principal, upload_id: str) -> Upload:
    with database.reading() as session:
        row = fetch(session, Upload, upload_id, who, "own")
    if row.state != "receiving" or row.size_bytes is None:
        raise VurError("uploads.state", id=upload_id, state=row.state)
    return row


def _note(upload_id: str, receiver: Receiver) -> bool:
    try:
        with database.writing() as session:
            row = session.get(Upload, upload_id)
            return row is not None and note_received(session, row) == row.size_bytes
    finally:
        receiver.close()
