"""Converts complete uploads into datasets, and cleans up after broken connections and killed processes.

Large files are read in a child process. The process that converts an upload updates its row every few seconds; when
that stops, another process takes the conversion over.

`on_new_rows` is called with the id of a dataset that got a further version; `vur.predictions.actuals` scores forecasts
then, which this package knows nothing about.
"""

import errno
import fcntl
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update

from vur.errors import VurError
from vur.stages.upload.files import UploadOptions, fingerprint
from vur.store import child_process, database
from vur.store.catalog import Dataset, Upload, now
from vur.store.data import datasets, sources
from vur.store.data.upload_stream import abandon, check_disk, disk_full, file_of, options_of
from vur.store.events import publish
from vur.store.home import folder, home

SMALL = 4 * 2**20  # bytes up to which a file is read in the calling thread
BEAT, STALE = 5.0, timedelta(seconds=60)  # between two heartbeats, and without one
UNFINISHED_FOR, REMEMBERED_FOR = timedelta(days=2), timedelta(days=7)
SWEEP_EVERY = 600.0
OnNewRows = Callable[[str], object]
log = logging.getLogger("vur.uploads")


def claim(upload_id: str) -> bool:
    """Claim an upload for conversion: a complete one, or one whose process stopped; whether that succeeded."""
    free = (Upload.state == "receiving") | ((Upload.state == "converting") & (Upload.updated_at < now() - STALE))
    with database.writing() as session:
        claimed = update(Upload).where(Upload.id == upload_id, free).values(state="converting", updated_at=now())
        return database.rows_changed(session, claimed) == 1


def convert(upload_id: str, *, on_new_rows: OnNewRows) -> Dataset:
    """Convert a claimed upload into a dataset; `VurError` if the file cannot be read or may not be stored."""
    with database.writing() as session:
        row = session.get_one(Upload, upload_id)
        row.received = path_size = file_of(upload_id).stat().st_size
        given = row.options or datasets.last_options(session, row.dataset_id)
    options = options_of(given, row.language)
    order = {"path": str(file_of(upload_id)), "options": given, "name": row.filename, "language": row.language}
    check_disk(path_size)
    with _beating(upload_id, row.owner_id) as beat, disk_full():
        table = child_process.call(
            "vur.store.data.uploads:read_file", order, in_child=path_size > SMALL, progress=beat.note
        )
        try:
            dataset = _register(row, table, options, path_size)
        except BaseException:
            datasets.collect([table["fingerprint"]])
            raise
    if row.dataset_id is not None:
        on_new_rows(dataset.id)
    return dataset


def read_file(
    path: str, options: dict[str, Any], name: str, language: str, progress: sources.Progress | None = None
) -> dict[str, str]:
    """Read the file at `path` into a table, and return its `fingerprint` and the name of the table's `folder`."""
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


def _register(row: Upload, table: dict[str, str], options: UploadOptions, size: int) -> Dataset:
    path, digest = file_of(row.id), table["fingerprint"]
    with sources.locked(digest):
        target = folder("datasets", table["folder"])
        if not (target / sources.HEAD).is_file():  # the last dataset of an equal file has just been deleted
            target = sources.read(path, digest, options, row.filename, row.language)
        found = replace(sources.read_head(target)[0], fingerprint=digest)
        sources.keep(path, digest, found)
        with database.writing(durable=True) as session:
            present = session.get(Upload, row.id)
            if present is None:
                raise VurError("uploads.aborted", id=row.id)
            if present.dataset_id is None:
                dataset = datasets.add(
                    session,
                    row.owner_id,
                    found,
                    name=row.name,
                    description=row.description,
                    folder_name=target.name,
                    filename=row.filename,
                    size=size,
                    options=options,
                    upload_id=row.id,
                )
            else:
                dataset = datasets.grow(
                    session,
                    present.dataset_id,
                    found,
                    user_id=row.owner_id,
                    folder_name=target.name,
                    filename=row.filename,
                    size=size,
                    options=options,
                    upload_id=row.id,
                )
            present.state, present.progress, present.dataset_id, present.error = "done", 1.0, dataset.id, None
            publish(
                session,
                "upload_update",
                {"upload_id": row.id, "state": "done", "progress": 1.0, "dataset_id": dataset.id},
                row.owner_id,
            )
    shutil.rmtree(path.parent, ignore_errors=True)
    return dataset


class _Heartbeat:
    """Writes every few seconds that an upload is still being converted, and its progress."""

    def __init__(self, upload_id: str, owner_id: str):
        self.id, self.owner_id, self.fraction, self.ended = upload_id, owner_id, 0.0, threading.Event()

    def note(self, fraction: float, key: str = "", **data: Any) -> None:
        """Note the progress, in [0, 1]."""
        self.fraction = max(self.fraction, float(fraction))

    def run(self) -> None:
        """Write the progress until the conversion ends."""
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
def _beating(upload_id: str, owner_id: str) -> Iterator[_Heartbeat]:
    beat = _Heartbeat(upload_id, owner_id)
    thread = threading.Thread(target=beat.run, daemon=True, name="upload-beat")
    thread.start()
    try:
        yield beat
    finally:
        beat.ended.set()
        thread.join()


def convert_in_background(upload_id: str, *, on_new_rows: OnNewRows) -> None:
    """Convert a complete upload in a thread; its row in the catalog holds the outcome."""
    if claim(upload_id):
        threading.Thread(
            target=_convert_and_note, args=(upload_id, on_new_rows), daemon=True, name="upload-convert"
        ).start()


def _convert_and_note(upload_id: str, on_new_rows: OnNewRows) -> None:
    try:
        convert(upload_id, on_new_rows=on_new_rows)
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


# --- cleaning up ---

_swept = {"at": 0.0}


def sweep_if_due(*, on_new_rows: OnNewRows) -> None:
    """Call `sweep` at most every ten minutes in this process."""
    if time.monotonic() - _swept["at"] > SWEEP_EVERY or not _swept["at"]:
        _swept["at"] = time.monotonic()
        sweep(on_new_rows=on_new_rows)


def sweep(*, on_new_rows: OnNewRows) -> int:
    """Delete abandoned uploads and orphaned files, and resume stopped conversions; how many it deleted."""
    moment = now()
    with database.writing() as session:
        session.execute(
            delete(Upload).where(Upload.state.in_(("done", "failed")), Upload.updated_at < moment - REMEMBERED_FOR)
        )
    with database.reading() as session:
        rows = list(session.scalars(select(Upload).where(Upload.state.in_(datasets.RECEIVING))))
    abandoned = [row.id for row in rows if _is_abandoned(row)]
    for row in rows:
        if row.id not in abandoned and row.state == "converting" and row.updated_at < moment - STALE:
            convert_in_background(row.id, on_new_rows=on_new_rows)
    known = {row.id for row in rows}
    before = (moment - timedelta(hours=1)).timestamp()
    lost = [
        path.name for path in folder("uploads").glob("*") if path.name not in known and path.stat().st_mtime < before
    ]
    for id in (*abandoned, *lost):
        abandon(id)
    return len(abandoned) + len(lost) + datasets.sweep()


def _is_abandoned(row: Upload) -> bool:
    """Whether no client or process will finish this upload."""
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
