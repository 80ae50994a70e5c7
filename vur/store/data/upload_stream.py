"""Streams the bytes of an upload to disk, within the size limit, the sender's quota and the free disk space."""

import fcntl
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.settings import settings
from vur.stages.upload.files import UploadOptions
from vur.store import database
from vur.store.catalog import Upload, new_id, now
from vur.store.data import datasets, sources
from vur.store.full_disk import disk_error, is_full
from vur.store.home import folder, home
from vur.text import on_one_line

FILE = "data"
SPARE = 256 * 2**20  # bytes that stay free on the disk
CHECK_EVERY = 64 * 2**20  # bytes between two checks of the disk
CHOICES = (
    *("encoding", "delimiter", "quote", "decimal", "date_order", "header", "sheet", "member", "na_values"),
    *("sentinels", "types"),
)


TYPES_EXPECTED = '{"column": "numeric"}'


# --- names and limits ---


def clean_filename(name: str) -> str:
    """The last part of a client's file name, without control characters; it is shown, but never used as a path."""
    plain = unicodedata.normalize("NFC", re.split(r"[\\/]", name)[-1])
    return "".join(letter for letter in plain if letter.isprintable()).strip()[-255:] or "data"


def clean_name(name: str | None, filename: str) -> str:
    """The name of a dataset: `name`, else the file's name without suffixes."""
    plain = on_one_line(name or "")
    return (
        plain
        or re.sub(r"(\.(csv|tsv|txt|parquet|xlsx|xlsm|xlsb|ods|gz|zip))+$", "", filename, flags=re.IGNORECASE)
        or filename
    )[:200]


def options_of(given: dict[str, Any], language: str = "en") -> UploadOptions:
    """The options for reading a file from a client's choices; `VurError` upload.option for a wrong value."""
    chosen = {name: value for name, value in given.items() if name in CHOICES and value not in (None, "")}
    if not isinstance(chosen.get("types", {}), dict):
        raise VurError("upload.option", option="types", value=str(chosen["types"])[:100], allowed=TYPES_EXPECTED)
    if "na_values" in chosen:
        chosen["na_values"] = tuple(chosen["na_values"])
    if "encoding" in chosen:
        _check_encoding(chosen["encoding"])
    return sources.within_limits(UploadOptions(**chosen, language=language))


def choices_of(fields: dict[str, str]) -> dict[str, Any]:
    """A client's choices among the text fields of a form: words are separated by commas, types are JSON."""
    options: dict[str, Any] = {name: value for name, value in fields.items() if name in CHOICES and value}
    if "na_values" in options:
        options["na_values"] = [word.strip() for word in options["na_values"].split(",") if word.strip()]
    if "types" in options:
        try:
            options["types"] = json.loads(options["types"])
        except ValueError:
            value = options["types"][:100]
            raise VurError("upload.option", option="types", value=value, allowed=TYPES_EXPECTED) from None
    return options


def _check_encoding(name: str) -> None:
    import codecs

    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        raise VurError(
            "upload.option", option="encoding", value=name, allowed="utf-8, cp1252, latin-1, utf-16, …"
        ) from None


def check_disk(needed: int) -> None:
    """`VurError` api.disk if the disk has no space for `needed` bytes."""
    free = shutil.disk_usage(home()).free
    if free - needed < SPARE:
        raise VurError("api.disk", needed=needed, free=free)


@contextmanager
def disk_full() -> Iterator[None]:
    """Convert the error of a full disk or disk quota to `VurError` api.disk."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise disk_error() from error


# --- receiving ---


def begin(
    session: Session,
    owner_id: str,
    filename: str,
    *,
    size: int | None = None,
    name: str | None = None,
    description: str = "",
    options: dict[str, Any] | None = None,
    language: str = "en",
    id: str | None = None,
    dataset_id: str | None = None,
) -> Upload:
    """Add an upload; `VurError` if it exceeds the size limit, the owner's quota or the disk, or has a wrong option.

    With `dataset_id` the file becomes the next version of that dataset; the caller checks the owner's right to change
    it.
    """
    options_of(options or {}, language)
    limit = settings().max_upload_bytes
    if size is not None and size > limit:
        raise VurError("api.too_large", limit=limit)
    datasets.check_quota(session, owner_id, size or 1)
    check_disk(2 * (size or 0))
    filename = clean_filename(filename)
    row = Upload(
        id=id or new_id(),
        owner_id=owner_id,
        filename=filename,
        name=clean_name(name, filename),
        description=description,
        size_bytes=size,
        options=options or {},
        language=language,
        dataset_id=dataset_id,
    )
    session.add(row)
    return row


class Receiver:
    """Writes the bytes of an upload from `offset` on, under a lock; `VurError` if they exceed a limit.

    `most` is the announced size, `room` the owner's storage. Received bytes stay if the connection breaks; `size` is
    their number.
    """

    def __init__(self, upload_id: str, offset: int = 0, most: int | None = None, room: datasets.Usage | None = None):
        self.limit, self.most, self.room = settings().max_upload_bytes, most, room
        path = file_of(upload_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("ab", buffering=0)
        try:
            self._claim(upload_id, offset)
        except VurError:
            self.file.close()
            raise
        self.size = self.checked = self.start = offset

    def _claim(self, upload_id: str, offset: int) -> None:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VurError("uploads.busy", id=upload_id) from None
        present = os.fstat(self.file.fileno()).st_size
        if present != offset:
            raise VurError("uploads.offset", id=upload_id, offset=present, given=offset)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self.size += len(data)
        if self.size > self.limit:
            raise VurError("api.too_large", limit=self.limit)
        if self.most is not None and self.size > self.most:
            raise VurError("uploads.longer", size=self.most)
        if self.room and self.room.left is not None and self.size - self.start > self.room.left:
            raise VurError("api.quota", needed=self.size, used=self.room.total_bytes, quota=self.room.quota_bytes)
        if self.size - self.checked > CHECK_EVERY:
            check_disk(0)
            self.checked = self.size
        with disk_full():
            view = memoryview(data)
            while view:
                view = view[self.file.write(view) :]

    def close(self) -> None:
        """Close the file, which releases the lock."""
        self.file.close()


def file_of(upload_id: str) -> Path:
    """The file with the bytes of an upload."""
    return folder("uploads", upload_id) / FILE


def received(row: Upload) -> int:
    """The number of received bytes."""
    path = file_of(row.id)
    return path.stat().st_size if row.state == "receiving" and path.is_file() else row.received


def note_received(session: Session, row: Upload) -> int:
    """Store the number of received bytes in the catalog, and return it."""
    row.received, row.updated_at = received(row), now()
    return row.received


def abandon(upload_id: str) -> None:
    """Delete an upload and its bytes."""
    with database.writing() as session:
        session.execute(delete(Upload).where(Upload.id == upload_id))
    shutil.rmtree(folder("uploads", upload_id), ignore_errors=True)
