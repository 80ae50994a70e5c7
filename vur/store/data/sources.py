"""Source files and what was read from them, by content: an original is kept once, its typed Parquet table once for each reading.

`datasets/file-<sha256>/original.csv` is a file as it was sent; `datasets/<fingerprint>-<reading>/` is its table with
rejects and head. Equal files of several users share both. A change of the reading code gives a new reading, so an
original can be read anew.
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
    """The folder of the table that this code reads from the file `fingerprint` with `options`."""
    return folder("datasets", f"{fingerprint[:16]}-{digest(asdict(options), code_version())[:8]}")


def within_limits(options: UploadOptions) -> UploadOptions:
    """`options` with the unpacked size that the settings allow, where it is smaller."""
    return replace(
        options,
        max_unpacked_bytes=min(
            options.max_unpacked_bytes or settings().max_unpacked_bytes, settings().max_unpacked_bytes
        ),
    )


def read(
    path: Path,
    fingerprint: str,
    options: UploadOptions,
    name: str,
    language: str = "en",
    progress: Progress | None = None,
) -> Path:
    """The folder with the table of the file at `path`, made unless it is there; errors call the file `name`.

    `VurError` for a file that cannot be read safely.
    """
    target = address(fingerprint, options)
    if not (target / HEAD).is_file():
        try:
            with new_folder(target) as draft:
                result = upload(path, draft, replace(options, language=language), progress)
                write_head(draft, result, plain_name(result))
        except VurError as error:
            raise _named(error, path.name, name) from None
    return target


def _named(error: VurError, stored: str, name: str) -> VurError:
    return VurError(
        error.code, stage=error.stage, **{key: name if value == stored else value for key, value in error.data.items()}
    )


def write_head(target: Path, result: Upload, source: str) -> None:
    """Write what an upload found beside its table."""
    head = {
        "upload": result.to_dict(),
        "parquet": result.parquet.name,
        "rejects": result.rejects.name,
        "source": source,
    }
    write_text(target / HEAD, json.dumps(head, ensure_ascii=False, indent=1, default=str))


def read_head(target: Path) -> tuple[Upload, str]:
    """What the upload in `target` found, and the name of the file that it was made from."""
    head = json.loads((target / HEAD).read_text(encoding="utf-8"))
    return Upload.from_dict(
        head["upload"] | {"parquet": str(target / head["parquet"]), "rejects": str(target / head["rejects"])}
    ), head["source"]


def plain_name(result: Upload) -> str:
    """What a kept file is called: nothing of its sender's, since equal files of several users are kept once."""
    return f"{ORIGINAL}{SUFFIXES.get(result.dialect.kind, '')}{PACKED.get(result.dialect.compression or '', '')}"


def original(fingerprint: str) -> Path | None:
    """The kept file whose bytes hash to `fingerprint`, or None."""
    return next(iter(sorted(folder("datasets", f"file-{fingerprint}").glob(f"{ORIGINAL}*"))), None)


def keep(path: Path, fingerprint: str, result: Upload) -> Path:
    """Have the file at `path` among the originals too (an equal one serves), flushed to disk, and return where it lies.

    `path` stays, as a second name of the same bytes where the file system knows such: whoever is interrupted can begin
    again.
    """
    if found := original(fingerprint):
        return found
    target = folder("datasets", f"file-{fingerprint}")
    target.mkdir(parents=True, exist_ok=True)
    place, draft = target / plain_name(result), target / f".draft-{os.getpid()}"
    flush(path)
    draft.unlink(missing_ok=True)
    try:
        os.link(path, draft)
    except OSError:
        shutil.copyfile(path, draft)
        flush(draft)
    os.replace(draft, place)
    flush(target)
    return place


def flush(path: Path) -> None:
    """Have the disk hold what `path` (a file or a folder) holds."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def held(fingerprint: str) -> Iterator[None]:
    """Nobody else adds or removes files of `fingerprint` meanwhile."""
    with lock(f"dataset-{fingerprint[:2]}"):
        yield


def discard(fingerprint: str) -> None:
    """Delete the file `fingerprint` and every table read from it; the caller has made sure that nothing needs them."""
    shutil.rmtree(folder("datasets", f"file-{fingerprint}"), ignore_errors=True)
    for path in folder("datasets").glob(f"{fingerprint[:16]}-????????"):
        shutil.rmtree(path, ignore_errors=True)


def size_of(*paths: Path) -> int:
    """Bytes of files and of all files in folders."""
    return sum(
        file.stat().st_size
        for path in paths
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.is_file()
    )
