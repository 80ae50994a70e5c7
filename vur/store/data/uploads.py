"""Converts complete uploads into datasets, and cleans up after broken connections and killed processes.

Files are read in a child process with limits of time and memory. The process that converts an upload updates its row
every few seconds; when that stops, another process takes the conversion over.

`on_new_rows` is called with the id of a dataset that got a further version; `vur.predictions.actuals` scores forecasts
then, which this package knows nothing about.
"""

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
from vur.settings import settings
from vur.stages.upload import upload_named
from vur.stages.upload.files import UploadOptions, fingerprint
from vur.store import child_process, database
from vur.store.catalog import Dataset, Upload, now
from vur.store.data import datasets, sources
from vur.store.data.upload_stream import abandon, check_disk, disk_full, file_of, options_of
from vur.store.events import publish
from vur.store.full_disk import disk_error, is_full
from vur.store.home import folder

SMALL, READ_BYTES = 4 * 2**20, 2**20  # bytes of a file beyond which each further `READ_BYTES` may take a second more
PACKED, UNPACKS_TO = (b"\x1f\x8b", b"PK", b"PAR1"), 10  # how packed files begin, and how much larger they become
PATIENCE = 5.0  # seconds that a request waits for other files to be read
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


def convert(upload_id: str, *, on_new_rows: OnNewRows, patience: float | None = None) -> Dataset:
    """Convert a claimed upload into a dataset; `VurError` if the file cannot be read or may not be stored.

    `patience` is the number of seconds to wait for other files to be read; None waits for as long as it takes.
    """
    with database.writing() as session:
        row = session.get_one(Upload, upload_id)
        row.received = path_size = file_of(upload_id).stat().st_size
        given = row.options or datasets.last_options(session, row.dataset_id)
    options = options_of(given, row.language)
    order = {
        "path": str(file_of(upload_id)),
        "options": given,
        "name": row.filename,
        "language": row.language,
        "owner": upload_id,
    }
    check_disk(path_size)
    with _beating(upload_id, row.owner_id) as beat, disk_full():
        table = read_in_child(order, beat.note, patience, row.owner_id)
        try:
            dataset = _register(row, table, options, order)
        except BaseException:
            datasets.collect([table["fingerprint"]])
            raise
    if row.dataset_id is not None:
        on_new_rows(dataset.id)
    return dataset


def read_in_child(
    order: dict[str, Any], progress: sources.Progress | None = None, patience: float | None = None, user: str = ""
) -> dict[str, str]:
    """Call `read_file` within the limits; `order` are its arguments. Nothing of its work remains if it fails."""
    try:
        table: dict[str, str] = within_limits("read_file", order, progress, patience, user)
        return table
    finally:
        sources.discard_drafts(order["owner"])


def read_named(
    path: str, out: str, series: list[str], options: dict[str, Any], name: str, language: str
) -> dict[str, Any]:
    """Read a file, which errors call `name`, into the folder `out`; no name in the columns `series` changes."""
    return upload_named(Path(path), Path(out), series, options_of(options, language)).to_dict()


def within_limits(
    function: str,
    order: dict[str, Any],
    progress: sources.Progress | None = None,
    patience: float | None = None,
    user: str = "",
) -> Any:
    """Call a function of this module, which reads the file `path`, in a process with limits of time and memory.

    It waits its turn among the files of `user`, who may have no more than some read at a time.
    `VurError` upload.slow, upload.memory or upload.crashed if the process was killed; they call the file `name`.
    """
    seconds = reading_seconds(Path(order["path"]))
    limits = child_process.Limits(seconds, settings().upload_memory_mb, patience)
    try:
        return child_process.call(
            f"{__name__}:{function}",
            order,
            in_child=True,
            progress=progress,
            limits=limits,
            gate=child_process.READING,
            owner=user,
        )
    except TimeoutError:
        raise VurError("upload.slow", file=order["name"], seconds=round(seconds)) from None
    except VurError as error:
        raise VurError("upload.memory", file=order["name"]) if error.code == "datasets.memory" else error from None
    except child_process.Died as error:
        if error.status is None or error.status >= 0:
            raise
        log.warning("%s", error)
        raise VurError("upload.crashed", file=order["name"], megabytes=limits.megabytes) from None


def reading_seconds(path: Path) -> float:
    """The seconds that a file may take to be read: more for a large one, and for one that is packed."""
    with path.open("rb") as stream:
        head = stream.read(4)
    further = max(path.stat().st_size - SMALL, 0) * (UNPACKS_TO if head.startswith(PACKED) else 1)
    return settings().upload_seconds + further / READ_BYTES


def read_file(
    path: str,
    options: dict[str, Any],
    name: str,
    language: str,
    owner: str = "",
    progress: sources.Progress | None = None,
) -> dict[str, str]:
    """Read the file at `path` into a table, and return its `fingerprint` and the name of the table's `folder`."""
    digest = fingerprint(Path(path))
    try:
        target = sources.read(Path(path), digest, options_of(options, language), name, language, progress, owner)
    except Exception as error:
        if is_full(error):
            raise disk_error(Path(path).stat().st_size) from None
        raise
    return {"fingerprint": digest, "folder": target.name}


def _register(row: Upload, table: dict[str, str], options: UploadOptions, order: dict[str, Any]) -> Dataset:
    path, digest = file_of(row.id), table["fingerprint"]
    size = path.stat().st_size
    with sources.locked(digest):
        target = folder("datasets", table["folder"])
        if not (target / sources.HEAD).is_file():  # the last dataset of an equal file has just been deleted
            target = folder("datasets", read_in_child(order, user=row.owner_id)["folder"])
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
