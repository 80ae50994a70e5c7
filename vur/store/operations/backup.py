"""Backups: one tar file with catalog, data and models and their checksums, written while the service runs.

A consistent snapshot of the catalog is copied first. The files to which it refers are immutable, so they are copied
after it. `manifest.json` comes last: a backup without it is incomplete.
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from vur import __version__
from vur.errors import VurError
from vur.store import secret
from vur.store.database import engine
from vur.store.full_disk import is_full
from vur.store.home import home
from vur.store.operations import snapshot

FORMAT = 1
CATALOG, MANIFEST = "catalog.sqlite", "manifest.json"
PARTS = {"data": ("datasets",), "models": ("bentoml/models",), "runs": ("runs", "results", "scenarios")}
TOP = {folder.partition("/")[0] for folders in PARTS.values() for folder in folders}
# A home with only these folders counts as empty; `sources` holds files of the user.
IGNORED = frozenset({"locks", "logs", "metrics", "sources"})
BLOCK = 2**20


@dataclass
class Manifest:
    """The content of a backup: `files` by name, with size in bytes and SHA-256."""

    format: int
    vur: str
    made_at: str
    revision: str
    database: str
    parts: list[str]
    secrets: bool
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(entry["size"] for entry in self.files.values())


class _Hashed:
    """A file that computes the SHA-256 of what is read from it."""

    def __init__(self, file: IO[bytes]):
        self.file, self.hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        block = self.file.read(size)
        self.hash.update(block)
        return block


def backup(path: Path, without: tuple[str, ...] = (), secrets: bool = False) -> Manifest:
    """Write a backup to the new file `path`, readable by its owner only; `without` may name `data, models, runs`.

    `VurError` backup.exists if the file exists, backup.full for a full disk, backup.write if it cannot be written for
    another reason; no incomplete file is left.
    """
    if path.exists():
        raise VurError("backup.exists", path=path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            manifest = _write(file, [part for part in PARTS if part not in without], secrets)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except Exception as error:
        if is_full(error):
            raise _full(path.parent) from None
        if isinstance(error, OSError):
            raise VurError("backup.write", path=path, reason=error.strerror or error) from None
        raise
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _full(target: Path) -> VurError:
    """The error that names the fuller of the disks that a backup writes to: the target's and the home's."""
    disk = min((target, home()), key=lambda folder: shutil.disk_usage(folder).free)
    return VurError("backup.full", path=disk, free=shutil.disk_usage(disk).free)


def _write(file: IO[bytes], parts: list[str], secrets: bool) -> Manifest:
    with (
        tempfile.TemporaryDirectory(prefix=".backup-", dir=home()) as folder,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        copy = Path(folder) / CATALOG
        revision = snapshot.take(copy)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(FORMAT, __version__, made, revision, engine().dialect.name, parts, secrets)
        _add(tar, copy, CATALOG, manifest)
        if secrets:
            secret.secret("tokens")  # creates the file if it does not exist
            _add(tar, home() / secret.FILE, secret.FILE, manifest)
        for part in parts:
            for root in PARTS[part]:
                for found in _files(home() / root):
                    _add(tar, found, found.relative_to(home()).as_posix(), manifest)
        text = json.dumps(asdict(manifest), indent=1).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mode = len(text), 0o600
        tar.addfile(entry, BytesIO(text))
    return manifest


def _files(root: Path) -> Iterator[Path]:
    """All files below `root` in order, without the temporary files of writers."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".draft-"))
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith(".draft-"))


def _add(tar: tarfile.TarFile, path: Path, name: str, manifest: Manifest) -> None:
    """Add a file, unless it was deleted since the catalog was copied."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        state = os.fstat(file.fileno())
        small = file.read(BLOCK + 1)  # in one read: small files such as the store's `latest` may be replaced
        entry, source = tarfile.TarInfo(name), _Hashed(BytesIO(small) if len(small) <= BLOCK else file)
        file.seek(0)
        entry.size, entry.mode, entry.mtime = (
            len(small) if len(small) <= BLOCK else state.st_size,
            0o600,
            int(state.st_mtime),
        )
        tar.addfile(entry, source)
        manifest.files[name] = {"size": entry.size, "sha256": source.hash.hexdigest()}


def verify(path: Path) -> Manifest:
    """Verify all checksums of a backup: its manifest; `VurError` backup.damaged, backup.unsafe or backup.newer."""
    return _unpack(path, None)


def _unpack(path: Path, target: Path | None) -> Manifest:
    """Read all files of a backup, extract them to `target` if given, and verify their checksums."""
    seen: dict[str, dict[str, Any]] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                source = tar.extractfile(entry) if entry.isreg() and _safe(entry.name) else None
                if source is None:
                    raise VurError("backup.unsafe", path=path, name=entry.name[:200])
                if entry.name == MANIFEST:
                    manifest = _read_manifest(json.load(source))
                else:
                    seen[entry.name] = {
                        "size": entry.size,
                        "sha256": _copy(source, target / entry.name if target else None),
                    }
    except (tarfile.TarError, EOFError, json.JSONDecodeError, UnicodeDecodeError, TypeError):
        raise VurError("backup.damaged", path=path, name="-") from None
    except OSError as error:
        raise VurError("backup.read", path=path, reason=error.strerror or error) from None
    if manifest is None or CATALOG not in seen:
        raise VurError("backup.damaged", path=path, name=MANIFEST)
    wrong = sorted(name for name in seen.keys() | manifest.files.keys() if seen.get(name) != manifest.files.get(name))
    if wrong:
        raise VurError("backup.damaged", path=path, name=wrong[0])
    return manifest


def _read_manifest(content: Any) -> Manifest:
    if not isinstance(content, dict) or content.get("format", 0) > FORMAT:
        raise VurError("backup.newer", vur=content.get("vur", "?") if isinstance(content, dict) else "?")
    return Manifest(**content)


def _safe(name: str) -> bool:
    """Whether a name is one that a backup may contain."""
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or "\0" in name
        or PurePosixPath(name).as_posix() != name
    ):
        return False
    return name in (CATALOG, MANIFEST, secret.FILE) or (len(parts) > 1 and parts[0] in TOP)


def _copy(source: IO[bytes], target: Path | None) -> str:
    """Copy a file to `target`, or only read it; the SHA-256 of its content."""
    hashed = _Hashed(source)
    if target is None:
        while hashed.read(BLOCK):
            pass
        return hashed.hash.hexdigest()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while block := hashed.read(BLOCK):
            file.write(block)
    return hashed.hash.hexdigest()


@dataclass(frozen=True)
class Restored:
    """The result of a restore: rows by table, where the old home and tables are now, and whether there are secrets."""

    manifest: Manifest
    rows: dict[str, int]
    aside: Path | None
    schema: str | None
    secrets: bool


def restore(path: Path, force: bool = False) -> Restored:
    """Replace the data home and the catalog by a backup; everything is verified before anything is moved.

    `VurError` backup.in_use while a service uses them, backup.not_empty if they are not empty, unless `force`: then
    the old home moves to a folder `before-...` inside of it, and PostgreSQL's old tables to a schema of that name.
    """
    root, plain = home(), engine().dialect.name == "sqlite"
    catalog = Path(engine().url.database or "") if plain else None
    occupied = bool(_content(root)) or (catalog.exists() if catalog else not snapshot.is_empty())
    engine().dispose()
    if occupied and snapshot.in_use():
        raise VurError("backup.in_use", path=catalog or engine().url.render_as_string())
    if occupied and not force:
        raise VurError("backup.not_empty", path=root)
    aside = root / f"before-{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}"
    draft = Path(tempfile.mkdtemp(prefix=".restore-", dir=root))
    try:
        _check_room(path, root)
        manifest = _unpack(path, draft)
        if (state := snapshot.check(draft / CATALOG)) != "ok":
            raise VurError("backup.damaged", path=path, name=f"{CATALOG}: {state}")
        rows = snapshot.prepare(draft / CATALOG)
        secrets = _settle_secrets(root, draft)
        if plain:
            _swap(root, draft, aside, catalog)
        else:
            with engine().begin() as connection:
                snapshot.load(draft / CATALOG, connection, aside.name)
                (draft / CATALOG).unlink()
                _swap(root, draft, aside, None)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        engine().dispose()
        secret.forget()
    return Restored(
        manifest, rows, aside if aside.exists() else None, None if plain or not occupied else aside.name, secrets
    )


def _content(root: Path) -> list[Path]:
    """The content of a home, without what an empty one may contain."""
    return [
        found
        for found in root.iterdir()
        if found.name not in IGNORED and not found.name.startswith(("before-", ".restore-", ".backup-"))
    ]


def _check_room(path: Path, root: Path) -> None:
    try:
        needed = path.stat().st_size
    except OSError as error:
        raise VurError("backup.read", path=path, reason=error.strerror or error) from None
    if needed > (free := shutil.disk_usage(root).free):
        raise VurError("backup.room", path=root, needed=needed // 2**20, free=free // 2**20)


def _settle_secrets(root: Path, draft: Path) -> bool:
    """Keep the secrets of the old home if the backup has none; whether there are any."""
    if not (draft / secret.FILE).is_file() and (root / secret.FILE).is_file():
        shutil.copyfile(root / secret.FILE, draft / secret.FILE)
        (draft / secret.FILE).chmod(0o600)
    return (draft / secret.FILE).is_file()


def _swap(root: Path, draft: Path, aside: Path, catalog: Path | None) -> None:
    """Move the content of a home to `aside`, and that of `draft` into its place; undone if a step fails.

    Entry by entry, because a home may be a mounted volume, which cannot be renamed. The catalog leaves first and comes
    last, so that an interruption never combines an old catalog with new files or the reverse.
    """
    done: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.move(source, target) if catalog in (source, target) else os.rename(source, target)
        done.append((source, target))

    try:
        if catalog is not None:
            for end in ("", "-wal", "-shm"):
                if (old := catalog.with_name(catalog.name + end)).exists():
                    move(old, aside / old.name)
        for found in _content(root):
            move(found, aside / found.name)
        for found in sorted(draft.iterdir(), key=lambda entry: entry.name == CATALOG):
            move(found, catalog if catalog is not None and found.name == CATALOG else root / found.name)
    except OSError as error:
        for source, target in reversed(done):
            shutil.move(target, source)
        raise VurError("backup.swap", path=root, reason=error.strerror or error) from None
