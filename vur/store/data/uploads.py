"""Uploads that are complete, and the datasets that they become; what a broken connection or a killed process leaves is swept.

Reading a large file happens in a process of its own. Whoever converts an upload says so every few seconds: when that
stops, another process takes it up.
"""

import errno
import fcntl
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update

from vur.errors import VurError
from vur.stages.upload.files import UploadOptions, fingerprint
from vur.store import child_process, database
from vur.store.catalog import Dataset, Model, Upload, now
from vur.store.data import datasets, sources
from vur.store.data.upload_stream import abandon, check_disk, disk_full, file_of, options_of
from vur.store.events import publish
from vur.store.home import folder, home

SMALL = 4 * 2**20  # bytes that are read in the calling thread
BEAT, STALE = 5.0, timedelta(seconds=60)
UNFINISHED_FOR, REMEMBERED_FOR = timedelta(days=2), timedelta(days=7)
SWEEP_EVERY = 600.0
GROWN = "vur.predictions.actuals:score_dataset"  # what a dataset's new rows are good for beside training
log = logging.getLogger("vur.uploads")


def claim(upload_id: str) -> bool:
    """Whether the caller is the one to convert an upload: it is complete, or whoever was at it has gone."""
    free = (Upload.state == "receiving") | ((Upload.state == "converting") & (Upload.updated_at < now() - STALE))
    with database.writing() as session:
        return (
            session.execute(
                update(Upload).where(Upload.id == upload_id, free).values(state="converting", updated_at=now())
            ).rowcount
            == 1
        )


def convert(upload_id: str) -> Dataset:
    """The dataset that a claimed upload becomes; `VurError` for a file that cannot be read or may not be stored."""
    with database.writing() as session:
        row = session.get(Upload, upload_id)
        row.received = path_size = file_of(upload_id).stat().st_size
        given = row.options or datasets.last_options(session, row.dataset_id)
    options = options_of(given, row.language)
    order = {"path": str(file_of(upload_id)), "options": given, "name": row.filename, "language": row.language}
    check_disk(path_size)
    with _beating(upload_id, row.owner_id) as beat, disk_full():
        made = child_process.call(
            "vur.store.data.uploads:read_file", order, apart=path_size > SMALL, progress=beat.tell
        )
        try:
            return _register(row, made, options, path_size)
        except BaseException:
            datasets.collect([made["fingerprint"]])
            raise


def read_file(
    path: str, options: dict[str, Any], name: str, language: str, progress: sources.Progress | None = None
) -> dict[str, str]:
    """Read the file at `path` into a table: its `fingerprint`, and the `folder` of the table."""
    digest = fingerprint(Path(path))
    try:
        target = sources.read(Path(path), digest, options_of(options, language), name, language, progress)
    except Exception as error:
        if _is_full(error):
            raise VurError("api.disk", needed=Path(path).stat().st_size, free=shutil.disk_usage(home()).free) from None
        raise
    return {"fingerprint": digest, "folder": target.name}


def _is_full(error: Exception) -> bool:
    import duckdb

    text = str(error).lower()
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or (
        isinstance(error, duckdb.Error) and ("no space left" in text or "failed to offload" in text)
    )


def _register(row: Upload, made: dict[str, str], options: UploadOptions, size: int) -> Dataset:
    path, digest = file_of(row.id), made["fingerprint"]
    with sources.held(digest):
        target = folder("datasets", made["folder"])
        if not (target / sources.HEAD).is_file():  # the last dataset of an equal file was deleted a moment ago
            target = sources.read(path, digest, options, row.filename, row.language)
        found = replace(sources.read_head(target)[0], fingerprint=digest)
        sources.keep(path, digest, found)
        with database.writing(durable=True) as session:
            present = session.get(Upload, row.id)
            if present is None:
                raise VurError("uploads.aborted", id=row.id)
            files = {
                "folder_name": target.name,
                "filename": row.filename,
                "size": size,
                "options": options,
                "upload_id": row.id,
            }
            if present.dataset_id is None:
                dataset = datasets.add(
                    session, row.owner_id, found, name=row.name, description=row.description, **files
                )
            else:
                dataset = datasets.grow(session, present.dataset_id, found, user_id=row.owner_id, **files)
            present.state, present.progress, present.dataset_id, present.error = "done", 1.0, dataset.id, None
            publish(
                session,
                "upload_update",
                {"upload_id": row.id, "state": "done", "progress": 1.0, "dataset_id": dataset.id},
                row.owner_id,
            )
    shutil.rmtree(path.parent, ignore_errors=True)
    if row.dataset_id is not None:
        threading.Thread(target=_grown, args=(dataset.id,), daemon=True, name="upload-grown").start()
    return dataset


def _grown(dataset_id: str) -> None:
    """Compare forecasts of models that were trained on a dataset with what came true since."""
    with database.reading() as session:
        if (
            session.scalar(select(Model.id).where(Model.dataset_id == dataset_id, Model.tag.is_not(None)).limit(1))
            is None
        ):
            return
    try:
        child_process.call(GROWN, {"dataset_id": dataset_id}, apart=True)
    except Exception:
        log.exception("forecasts could not be scored with the new rows of dataset %s", dataset_id)


class _Beat:
    """Says every few seconds that somebody is still at an upload, and how far."""

    def __init__(self, upload_id: str, owner_id: str):
        self.id, self.owner_id, self.fraction, self.ended = upload_id, owner_id, 0.0, threading.Event()

    def tell(self, fraction: float, key: str = "", **data: Any) -> None:
        """Note how far the work is."""
        self.fraction = max(self.fraction, float(fraction))

    def run(self) -> None:
        """Write it down until the work ends."""
        while not self.ended.wait(BEAT):
            with database.writing() as session:
                session.execute(
                    update(Upload)
                    .where(Upload.id == self.id, Upload.state == "converting")
                    .values(updated_at=now(), progress=self.fraction)
                )
                publish(
                    session,
                    "upload_update",
                    {"upload_id": self.id, "state": "converting", "progress": self.fraction},
                    self.owner_id,
                )


@contextmanager
def _beating(upload_id: str, owner_id: str) -> Iterator[_Beat]:
    beat = _Beat(upload_id, owner_id)
    thread = threading.Thread(target=beat.run, daemon=True, name="upload-beat")
    thread.start()
    try:
        yield beat
    finally:
        beat.ended.set()
        thread.join()


def convert_in_background(upload_id: str) -> None:
    """Convert a complete upload beside the service's other work; the catalog says what became of it."""
    if claim(upload_id):
        threading.Thread(target=_convert_and_note, args=(upload_id,), daemon=True, name="upload-convert").start()


def _convert_and_note(upload_id: str) -> None:
    try:
        convert(upload_id)
    except VurError as error:
        if error.code != "uploads.aborted":
            _fail(
                upload_id,
                {
                    "code": error.code,
                    "stage": error.stage,
                    "data": {key: _plain(value) for key, value in error.data.items()},
                },
            )
    except Exception:
        log.exception("upload %s could not be converted", upload_id)
        _fail(upload_id, {"code": "uploads.broken", "stage": "uploads", "data": {"id": upload_id}})


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _fail(upload_id: str, error: dict[str, Any]) -> None:
    with database.writing() as session:
        row = session.get(Upload, upload_id)
        if row is not None:
            row.state, row.error, row.updated_at = "failed", error, now()
            publish(
                session,
                "upload_update",
                {"upload_id": upload_id, "state": "failed", "code": error["code"]},
                row.owner_id,
            )
    shutil.rmtree(folder("uploads", upload_id), ignore_errors=True)


# --- what was left behind ---

_swept = {"at": 0.0}


def sweep_now_and_then() -> None:
    """`sweep`, at most every ten minutes in this process."""
    if time.monotonic() - _swept["at"] > SWEEP_EVERY or not _swept["at"]:
        _swept["at"] = time.monotonic()
        sweep()


def sweep() -> int:
    """Forget uploads whose sender has gone, take up conversions whose process has gone, delete bytes without an upload; how many."""
    moment = now()
    with database.writing() as session:
        session.execute(
            delete(Upload).where(Upload.state.in_(("done", "failed")), Upload.updated_at < moment - REMEMBERED_FOR)
        )
    with database.reading() as session:
        rows = list(session.scalars(select(Upload).where(Upload.state.in_(datasets.RECEIVING))))
    gone = [row.id for row in rows if _is_gone(row)]
    for row in rows:
        if row.id not in gone and row.state == "converting" and row.updated_at < moment - STALE:
            convert_in_background(row.id)
    known = {row.id for row in rows}
    before = (moment - timedelta(hours=1)).timestamp()
    lost = [
        path.name for path in folder("uploads").glob("*") if path.name not in known and path.stat().st_mtime < before
    ]
    for id in (*gone, *lost):
        abandon(id)
    return len(gone) + len(lost) + datasets.sweep()


def _is_gone(row: Upload) -> bool:
    """Whether nobody can or will finish this upload."""
    if row.size_bytes is not None:
        return row.state == "receiving" and row.updated_at < now() - UNFINISHED_FOR
    if row.state == "converting":
        return row.updated_at < now() - STALE
    try:
        with file_of(row.id).open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
