"""Uploaded files and their Parquet tables, addressed by content: each is stored once, however many users upload it.

`datasets/file-<sha256>/original.csv` is an uploaded file, `datasets/<fingerprint>-<reading>/` its table with rejects
and head. The reading is a hash of the options and of the code that reads: when the code changes, the original is read
again.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from vur.errors import VurError
from vur.settings import settings
from vur.stages.upload import Upload, upload
from vur.stages.upload.files import UploadOptions
from vur.store.cache import code_version, digest
from vur.store.home import folder, lock, new_folder, write_text

HEAD, TABLE, ORIGINAL = "upload.json", "data.parquet", "original"
SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "excel": ".xlsx"}
PACKED = {"gzip": ".gz", "zip": ".zip"}
Progress = Callable[..., None]


def address(fingerprint: str, options: UploadOptions) -> Path:
    """The folder for the table of the file `fingerprint`, read with `options` by this version of the code."""
    return folder("datasets", f"{fingerprint[:16]}-{digest(asdict(options), code_version())[:8]}")


def within_limits(options: UploadOptions) -> UploadOptions:
    """`options` with the unpacked size that the setting `max_unpacked_bytes` allows."""
    return replace(options, max_unpacked_bytes=settings().max_unpacked_bytes)


def read(
    path: Path,
    fingerprint: str,
    options: UploadOptions,
    name: str,
    language: str = "en",
    progress: Progress | None = None,
    owner: str = "",
) -> Path:
    """Read the file at `path` into a table, unless that exists, and return the table's folder.

    `VurError` if the file cannot be read safely; it calls the file `name`. `owner` marks the draft (`discard_drafts`).
    """
    target = address(fingerprint, options)
    if not (target / HEAD).is_file():
        try:
            with new_folder(target, owner) as draft:
                result = upload(path, draft, replace(options, language=language), progress)
                write_head(draft, result, plain_name(result))
        except VurError as error:
            raise renamed(error, path.name, name) from None
    return target


def renamed(error: VurError, stored: str, name: str | None) -> VurError:
    """The error with `name`, if given, in place of the name that its file is stored under."""
    if name is None:
        return error
    data = {key: name if value == stored else value for key, value in error.data.items()}
    return VurError(error.code, stage=error.stage, **data)


def write_head(target: Path, result: Upload, source: str) -> None:
    """Write an upload's result beside its table."""
    head = {
        "upload": result.to_dict(),
        "parquet": result.parquet.name,
        "rejects": result.rejects.name,
        "source": source,
    }
    write_text(target / HEAD, json.dumps(head, ensure_ascii=False, indent=1, default=str))


def read_head(target: Path) -> tuple[Upload, str]:
    """The upload's result in the folder `target`, and the name of the original file."""
    head = json.loads((target / HEAD).read_text(encoding="utf-8"))
    return Upload.from_dict(
        head["upload"] | {"parquet": str(target / head["parquet"]), "rejects": str(target / head["rejects"])}
    ), head["source"]


def plain_name(result: Upload) -> str:
    """The file name of a stored original; not the user's own name, because users share equal files."""
    return f"{ORIGINAL}{SUFFIXES.get(result.dialect.kind, '')}{PACKED.get(result.dialect.compression or '', '')}"


def original(fingerprint: str) -> Path | None:
    """The stored original with this `fingerprint`, or None."""
    return next(iter(sorted(folder("datasets", f"file-{fingerprint}").glob(f"{ORIGINAL}*"))), None)


def keep(path: Path, fingerprint: str, result: Upload) -> Path:
    """Store the file at `path` as an original, unless an equal one exists, flush it to disk, and return its path.

    `path` stays, as a hard link if the file system supports it, so that an interrupted conversion can restart.
    """
    if found := original(fingerprint):
        return found
    target = folder("datasets", f"file-{fingerprint}")
    target.mkdir(parents=True, exist_ok=True)
    final, draft = target / plain_name(result), target / f".draft-{os.getpid()}"
    flush(path)
    draft.unlink(missing_ok=True)
    try:
        os.link(path, draft)
    except OSError:
        shutil.copyfile(path, draft)
        flush(draft)
    os.replace(draft, final)
    flush(target)
    return final


def flush(path: Path) -> None:
    """Flush the file or folder `path` to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(fingerprint: str) -> Iterator[None]:
    """Lock the files of `fingerprint` against changes by other processes."""
    with lock(f"dataset-{fingerprint[:2]}"):
        yield


def discard(fingerprint: str) -> None:
    """Delete the file `fingerprint` and all its tables; the caller ensures that nothing needs them."""
    shutil.rmtree(folder("datasets", f"file-{fingerprint}"), ignore_errors=True)
    for path in folder("datasets").glob(f"{fingerprint[:16]}-????????"):
        shutil.rmtree(path, ignore_errors=True)


def discard_drafts(owner: str) -> None:
    """Delete what a killed process has written of the tables of `owner`."""
    for path in folder("datasets").glob(f".draft-{owner}*"):
        shutil.rmtree(path, ignore_errors=True)


def size_of(*paths: Path) -> int:
    """The total size of files and folders in bytes."""
    return sum(
        file.stat().st_size
        for path in paths
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.is_file()
    )
