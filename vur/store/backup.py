"""Backups: one tar file with the catalog, the data and the models, each with its checksum, written while the service runs.

The catalog is copied first, as it is at one moment. Files never change once they are there, so those that it names are copied after
it. `manifest.json` comes last: a backup without it was cut short.
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from vur import __version__
from vur.errors import VurError
from vur.store import secret, snapshot
from vur.store.database import engine
from vur.store.home import home

FORMAT = 1
CATALOG, MANIFEST = "catalog.sqlite", "manifest.json"
PARTS = {"data": ("datasets",), "models": ("bentoml/models",), "runs": ("runs", "results", "scenarios")}
TOP = {folder.partition("/")[0] for folders in PARTS.values() for folder in folders}
PASSING = frozenset({"locks", "logs"})  # what a home may hold and still be empty
BLOCK = 2**20


@dataclass
class Manifest:
    """What a backup holds: `files` by name with size in bytes and SHA-256."""

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
        """Bytes of all files."""
        return sum(entry["size"] for entry in self.files.values())


class _Hashed:
    """A file that hashes what is read from it."""

    def __init__(self, file: IO[bytes]):
        self.file, self.hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        block = self.file.read(size)
        self.hash.update(block)
        return block


def backup(path: Path, without: tuple[str, ...] = (), secrets: bool = False) -> Manifest:
    """Write a backup to the new file `path`, readable by its owner only; `without` may name `data, models, runs`.

    `VurError` backup.exists when the file is there, backup.write when it cannot be written: no half file stays.
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
    except OSError as error:
        raise VurError("backup.write", path=path, reason=error.strerror or error) from None
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _write(file: IO[bytes], parts: list[str], secrets: bool) -> Manifest:
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=home()) as folder, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        copy = Path(folder) / CATALOG
        revision = snapshot.take(copy)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(FORMAT, __version__, made, revision, engine().dialect.name, parts, secrets)
        _add(tar, copy, CATALOG, manifest)
        if secrets:
            secret.secret("tokens")  # made where it is not there yet
            _add(tar, home() / secret.FILE, secret.FILE, manifest)
        for part in parts:
            for root in PARTS[part]:
                for found in _files(home() / root):
                    _add(tar, found, found.relative_to(home()).as_posix(), manifest)
        text = json.dumps(asdict(manifest), indent=1).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mode = len(text), 0o600
        tar.addfile(entry, _bytes(text))
    return manifest


def _bytes(text: bytes) -> IO[bytes]:
    from io import BytesIO

    return BytesIO(text)


def _files(root: Path) -> Iterator[Path]:
    """Finished files below `root`, in order; drafts of writers are passed over."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".draft-"))
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith(".draft-"))


def _add(tar: tarfile.TarFile, path: Path, name: str, manifest: Manifest) -> None:
    """One file; what was deleted since the catalog was copied is left out."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        entry, source = tarfile.TarInfo(name), _Hashed(file)
        state = os.fstat(file.fileno())
        entry.size, entry.mode, entry.mtime = state.st_size, 0o600, int(state.st_mtime)
        tar.addfile(entry, source)
        manifest.files[name] = {"size": state.st_size, "sha256": source.hash.hexdigest()}


def verify(path: Path) -> Manifest:
    """What a backup holds, after every checksum was compared; `VurError` backup.damaged, backup.unsafe or backup.newer."""
    return _unpack(path, None)


def _unpack(path: Path, target: Path | None) -> Manifest:
    """Read every file of a backup, into `target` where one is given, and compare checksums."""
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
                    seen[entry.name] = {"size": entry.size, "sha256": _copy(source, target / entry.name if target else None)}
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
    """Whether a name inside a backup is one that a backup has."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or PurePosixPath(name).as_posix() != name:
        return False
    return name in (CATALOG, MANIFEST, secret.FILE) or (len(parts) > 1 and parts[0] in TOP)


def _copy(source: IO[bytes], target: Path | None) -> str:
    """Copy a file, or only read it; SHA-256 of its content."""
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
    """What a restore did: rows by table, where the old home and tables lie now, and whether secrets came along or were there."""

    manifest: Manifest
    rows: dict[str, int]
    aside: Path | None
    schema: str | None
    secrets: bool


def restore(path: Path, force: bool = False) -> Restored:
    """Put a backup in place of the data home and of the catalog; everything is verified before anything moves.

    `VurError` backup.in_use while a service runs on them, backup.not_empty when there is something and not `force`; with it, the old
    home is renamed, and old tables of PostgreSQL move into a schema of their own.
    """
    root, plain = home(), engine().dialect.name == "sqlite"
    catalog = Path(engine().url.database or "") if plain else None
    engine().dispose()
    occupied = _occupied(root) or (catalog.exists() if catalog else not snapshot.is_empty())
    engine().dispose()
    if occupied and snapshot.in_use():
        raise VurError("backup.in_use", path=catalog or engine().url.render_as_string())
    if occupied and not force:
        raise VurError("backup.not_empty", path=root)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    draft = Path(tempfile.mkdtemp(prefix=f".{root.name}.restore-", dir=root.parent))
    try:
        manifest = _unpack(path, draft)
        if (state := snapshot.check(draft / CATALOG)) != "ok":
            raise VurError("backup.damaged", path=path, name=f"{CATALOG}: {state}")
        rows = snapshot.prepare(draft / CATALOG)
        schema = f"before_{stamp.replace('-', '_')}" if occupied and not plain else None
        secrets = _settle_secrets(root, draft)
        with _loaded(draft, None if plain else schema or ""):
            aside = _swap(root, draft, catalog, stamp)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        engine().dispose()
        secret.forget()
    return Restored(manifest, rows, aside, schema, secrets)


def _occupied(root: Path) -> bool:
    return any(found.name not in PASSING for found in root.iterdir())


def _settle_secrets(root: Path, draft: Path) -> bool:
    """Keep the secrets of the old home where the backup has none; whether there are any."""
    if not (draft / secret.FILE).is_file() and (root / secret.FILE).is_file():
        shutil.copyfile(root / secret.FILE, draft / secret.FILE)
        (draft / secret.FILE).chmod(0o600)
    return (draft / secret.FILE).is_file()


@contextmanager
def _loaded(draft: Path, schema: str | None) -> Iterator[None]:
    """On PostgreSQL (`schema` is not None), the rows of the snapshot, committed when the block ends well."""
    if schema is None:
        yield
        return
    with engine().begin() as connection:
        snapshot.load(draft / CATALOG, connection, schema or None)
        (draft / CATALOG).unlink()
        yield


def _swap(root: Path, draft: Path, catalog: Path | None, stamp: str) -> Path | None:
    """Rename the old home away and the new one into its place; where the old one lies, if it held anything."""
    held = _occupied(root)
    aside = root.with_name(f"{root.name}.before-{stamp}")
    os.rename(root, aside)
    try:
        os.rename(draft, root)
    except OSError:
        os.rename(aside, root)
        raise
    if catalog is not None and catalog.parent != root:
        for end in ("", "-wal", "-shm"):
            old = catalog.with_name(catalog.name + end)
            if old.exists():
                os.replace(old, old.with_name(f"{old.name}.before-{stamp}"))
        shutil.move(root / CATALOG, catalog)
    elif catalog is not None and catalog.name != CATALOG:
        os.rename(root / CATALOG, catalog)
    if not held:
        shutil.rmtree(aside)
        return None
    return aside
