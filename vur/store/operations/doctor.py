"""Checks of an installation: each finding tells the state of one thing and what to do about it."""

import json
import os
import socket
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.extras import EXTRAS, missing
from vur.settings import find_settings_file, settings, unknown_variables
from vur.store import secret
from vur.store.catalog import DatabaseConnection, DatasetVersion, Job, Model, Run, Upload, User
from vur.store.database import current_revision, database_url, engine, newest_revision, reading, sqlite_module
from vur.store.home import folder, home
from vur.store.operations import health
from vur.store.operations.workers import workers_alive
from vur.text import translate

OK, WARNING, PROBLEM = "ok", "warning", "problem"
LITTLE_SPACE = 5 * 2**30  # bytes
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """The result of a check; its texts are `doctor.<name>.<state>` in the translations, filled from `values`."""

    name: str
    status: str
    state: str = OK
    values: dict[str, Any] = field(default_factory=dict)

    def say(self, language: str) -> str:
        """The text of the finding."""
        return translate(f"doctor.{self.name}.{self.state}", language, **self.values)

    def remedy(self, language: str) -> str:
        """What to do about it; empty if the check passed."""
        return (
            "" if self.status == OK else translate(f"doctor.{self.name}.{self.state}.remedy", language, **self.values)
        )


def ok(name: str, **values: Any) -> Finding:
    """The check passed."""
    return Finding(name, OK, OK, values)


def warning(name: str, state: str, **values: Any) -> Finding:
    """It works, but should be fixed."""
    return Finding(name, WARNING, state, values)


def problem(name: str, state: str, **values: Any) -> Finding:
    """It does not work."""
    return Finding(name, PROBLEM, state, values)


def examine(deep: bool = True) -> Iterator[Finding]:
    """Run all checks.

    Those that need the database are skipped if it is unavailable, those of the service if the extra `serve` is not
    installed; with `deep` every model is read.
    """
    yield ok("settings", path=find_settings_file() or "-")
    yield from check_settings()
    yield from check_home(home())
    yield check_space(health.free_bytes())
    yield from (check_extra(extra) for extra in EXTRAS)
    if missing(EXTRAS["serve"]):
        return
    secrets, database = check_secrets(home() / secret.FILE), check_database()
    yield from (secrets, database)
    if database.status != PROBLEM:
        with reading() as session:
            yield check_connections(session, secrets.state in (OK, "open"))
        for check in (check_users, check_datasets, check_leftovers, check_worker):
            with reading() as session:
                yield check(session)
        if deep:
            with reading() as session:
                yield check_models(session)
    yield check_port(settings().host, settings().port)


def check_settings() -> Iterator[Finding]:
    """Warn of variables that look like settings but are none, and of data folders that do not exist."""
    for name, near in unknown_variables().items():
        yield warning("variable", "misspelt" if near else "unknown", variable=name, near=near)
    for path in settings().data_folders:
        if not Path(path).expanduser().is_dir():
            yield warning("folders", "missing", path=path)


def check_home(path: Path) -> Iterator[Finding]:
    """Check that the data home is private and writable."""
    state = path.stat()
    try:
        probe = path / f".doctor-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        yield problem("home", "unwritable", path=path, reason=error.strerror or error)
        return
    if state.st_mode & 0o077:
        yield warning("home", "open", path=path, mode=f"{state.st_mode & 0o777:o}")
    else:
        yield ok("home", path=path)


def check_space(free: int) -> Finding:
    """Check the free disk space."""
    shown = f"{free / 2**30:.1f}"
    if free < health.LEAST_FREE:
        return problem("disk", "full", free=shown)
    return warning("disk", "little", free=shown) if free < LITTLE_SPACE else ok("disk", free=shown)


def check_extra(extra: str) -> Finding:
    """Check that the libraries of an extra are installed; a missing extra is not an error."""
    lacking = missing(EXTRAS[extra])
    values = {"extra": extra, "libraries": ", ".join(lacking)}
    return Finding("extra", OK, "missing", values) if lacking else ok("extra", extra=extra)


def check_secrets(path: Path) -> Finding:
    """Check that the file of secrets exists and can be read, by its owner only."""
    if not path.is_file():
        return warning("secrets", "none", path=path)
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        good = isinstance(content, dict) and {"tokens", "connections"} <= content.keys()
    except (OSError, ValueError):
        good = False
    if not good:
        return problem("secrets", "unreadable", path=path)
    mode = path.stat().st_mode & 0o777
    return problem("secrets", "open", path=path, mode=f"{mode:o}") if mode & 0o077 else ok("secrets", path=path)


def check_database() -> Finding:
    """Check that the database responds, is intact, and has the schema of this version."""
    try:
        if database_url().startswith("sqlite"):
            sqlite_module()
        with engine().connect() as connection:
            plain = connection.dialect.name == "sqlite"
            version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
            state = str(connection.execute(text("PRAGMA quick_check(1)")).scalar()) if plain else "ok"
            current = current_revision(connection)
    except VurError as error:
        return problem("database", "refused", reason=error.cause())
    except SQLAlchemyError as error:
        return problem(
            "database",
            "away",
            url=engine().url.render_as_string(),
            reason=str(getattr(error, "orig", error)).splitlines()[0],
        )
    if state != "ok":
        return problem("database", "broken", url=engine().url.render_as_string(), reason=state.splitlines()[0])
    if current != newest_revision():
        return problem("database", "schema", current=current or "-", newest=newest_revision())
    return ok(
        "database",
        url=engine().url.render_as_string(),
        kind="SQLite" if plain else "PostgreSQL",
        version=version,
        revision=current,
    )


def check_users(session: Session) -> Finding:
    """Check that there is an admin, and that registration is not open to the network."""
    admins = session.scalars(select(User.id).where(User.role == "admin", User.active)).all()
    if not admins:
        return warning("users", "no_admin")
    if settings().registration == "open" and settings().host not in LOOPBACK:
        return warning("users", "open", host=settings().host)
    return ok("users", admins=len(admins))


def check_connections(session: Session, key: bool) -> Finding:
    """Check that the addresses of registered sources can be decrypted with the key of this home."""
    rows = session.scalars(select(DatabaseConnection)).all()
    lost = [row.name for row in rows if not key or not _opens(row.secret)]
    return (
        problem("connections", "locked", count=len(lost), names=", ".join(lost[:SHOWN]))
        if lost
        else ok("connections", count=len(rows))
    )


def _opens(kept: str) -> bool:
    from cryptography.fernet import InvalidToken

    try:
        return bool(secret.cipher().decrypt(kept.encode()))
    except InvalidToken:
        return False


def check_datasets(session: Session) -> Finding:
    """Check that the files of all datasets and runs exist."""
    folders = {row for row in session.scalars(select(DatasetVersion.folder)) if not (folder("datasets") / row).is_dir()}
    runs = {row for row in session.scalars(select(Run.folder)) if not (home() / row).is_dir()}
    if folders:
        return problem("datasets", "lost", count=len(folders), names=", ".join(sorted(folders)[:SHOWN]))
    if runs:
        return warning("datasets", "runs", count=len(runs), names=", ".join(sorted(runs)[:SHOWN]))
    return ok("datasets")


def check_leftovers(session: Session) -> Finding:
    """Check for orphaned files."""
    known = {
        "uploads": set(session.scalars(select(Upload.id))),
        "jobs": (jobs := set(session.scalars(select(Job.id)))),
        "results": jobs,
    }
    found = [
        path
        for kind, ids in known.items()
        for path in _folders(folder(kind))
        if path.name not in ids and not path.name.startswith(".")
    ]
    if not found:
        return ok("leftovers")
    size = sum(file.stat().st_size for path in found for file in path.rglob("*") if file.is_file())
    return warning(
        "leftovers",
        "some",
        count=len(found),
        size=f"{size / 2**20:.1f}",
        names=", ".join(f"{path.parent.name}/{path.name}" for path in found[:SHOWN]),
    )


def _folders(path: Path) -> list[Path]:
    return sorted(found for found in path.iterdir() if found.is_dir()) if path.is_dir() else []


def check_worker(session: Session) -> Finding:
    """Check that a worker is alive."""
    alive = workers_alive(session)
    waiting = len(session.scalars(select(Job.id).where(Job.state == "queued")).all())
    return ok("worker", count=len(alive)) if alive else warning("worker", "none", waiting=waiting)


def check_models(session: Session) -> Finding:
    """Verify the checksums of all models."""
    from vur.store.models.models import CHECKSUMS, checksums

    tags = [tag for tag in session.scalars(select(Model.tag)) if tag is not None]
    lost: list[str] = []
    changed: list[str] = []
    for tag in tags:
        path = folder("bentoml").joinpath("models", *tag.split(":"))
        listed = path / CHECKSUMS
        if not listed.is_file():
            lost.append(tag)
        elif listed.read_text(encoding="utf-8") != checksums(path):
            changed.append(tag)
    if changed:
        return problem("models", "changed", count=len(changed), names=", ".join(changed[:SHOWN]))
    return (
        problem("models", "lost", count=len(lost), names=", ".join(lost[:SHOWN]))
        if lost
        else ok("models", count=len(tags))
    )


def check_port(host: str, port: int) -> Finding:
    """Check that the service's port is free or used by the service itself."""
    try:
        socket.create_connection((host if host not in ("0.0.0.0", "::") else "127.0.0.1", port), timeout=2).close()
    except OSError:
        return ok("port", host=host, port=port)
    return (
        Finding("port", OK, "ours", {"host": host, "port": port})
        if answers(host, port)
        else problem("port", "taken", host=host, port=port)
    )


def answers(host: str, port: int, get: Callable[..., Any] = urllib.request.urlopen) -> bool:
    """Whether a VUR service responds at this address."""
    try:
        with get(f"http://{host if ':' not in host else f'[{host}]'}:{port}/health/live", timeout=3) as answer:
            return json.load(answer) == {"status": "ok"}
    except (OSError, ValueError):
        return False
