"""A catalog on SQLite and on a real PostgreSQL, the whole application on it, and a few users."""

import atexit
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from vur.serving.views import accounts
from vur.settings import settings
from vur.store import database
from vur.store.accounts import users
from vur.store.accounts.users import add_user
from vur.store.catalog import User

PASSWORD = "correct horse 9"


def binary(name: str) -> str | None:
    """The folder of PostgreSQL's programs, which on Debian depends on the version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@cache
def server() -> str | None:
    """URL of a temporary PostgreSQL server that stops with this process; None where there are no programs for it."""
    if binary("initdb") is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="vur-pg-"))
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    port = free_port()
    options = (
        f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off "
        "-c max_connections=200"
    )

    def control(program: str, *arguments: object, check: bool = True) -> None:
        command = [*user, binary(program), "-D", folder / "data", *arguments]
        subprocess.run(command, check=check, capture_output=True, cwd="/")

    def stop() -> None:
        control("pg_ctl", "-m", "immediate", "stop", check=False)
        shutil.rmtree(folder, ignore_errors=True)

    control("initdb", "-U", "vur", "-A", "trust")
    control("pg_ctl", "-o", options, "-l", folder / "log", "-w", "start")
    atexit.register(stop)
    return f"postgresql://vur@127.0.0.1:{port}"


@pytest.fixture(scope="session")
def postgresql() -> str:
    """URL of a temporary PostgreSQL server, without a database name."""
    return server() or pytest.skip("needs PostgreSQL (Debian's package 'postgresql')")


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def new_database(server: str, template: str = "template1") -> str:
    import psycopg

    name = f"vur_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"{server}/{name}"


def migrate_into(home: Path, url: str = "") -> None:
    """An empty catalog at the newest schema, in a database used only as a template."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VUR_HOME", str(home))
        patch.setenv("VUR_DATABASE_URL", url)
        settings.cache_clear()
        database.migrate()
        database.engine().dispose()
    settings.cache_clear()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty, migrated catalog."""
    home = tmp_path_factory.mktemp("template")
    migrate_into(home)
    return home / "catalog.sqlite"


@pytest.fixture(scope="session")
def empty_postgresql(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of an empty, migrated database on the server."""
    url = new_database(postgresql)
    migrate_into(tmp_path_factory.mktemp("template"), url)
    return url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """The database of the catalog; a test module that needs only one overrides this fixture."""
    return request.param


@pytest.fixture
def catalog(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A new data home with an empty, migrated catalog; returns the home."""
    monkeypatch.setenv("VUR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VUR_REPORTS", str(tmp_path / "reports"))
    if kind == "postgresql":
        monkeypatch.setenv(
            "VUR_DATABASE_URL",
            new_database(request.getfixturevalue("postgresql"), request.getfixturevalue("empty_postgresql")),
        )
    else:
        monkeypatch.delenv("VUR_DATABASE_URL", raising=False)
        (tmp_path / "home").mkdir(mode=0o700)
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "home" / "catalog.sqlite")
    settings.cache_clear()
    yield tmp_path / "home"
    database.engine().dispose()
    settings.cache_clear()


@pytest.fixture(autouse=True)
def cheap_hashes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cheap password hashes, except in tests of their time."""
    if "same_time" not in request.node.name:
        from argon2 import PasswordHasher

        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        monkeypatch.setattr(users, "hasher", lambda: hasher)
        monkeypatch.setattr(accounts, "hasher", lambda: hasher)
    users._dummy_hash.cache_clear()  # the hash for unknown users costs as much as the others of this test


@cache
def rest_api() -> FastAPI:
    """The REST API, created once: tests change only catalog, settings and guard, which are new for each test."""
    from vur.serving.app import create_app

    return create_app()


class Person:
    """A user with a client that sends their token."""

    def __init__(self, role: str, name: str):
        from vur.serving.middleware.guard import Guard
        from vur.serving.middleware.tokens import access_token

        with database.writing() as session:
            self.user: User = add_user(session, f"{name}@x.br", PASSWORD, role=role)
        self.id = self.user.id
        self.token = access_token(self.user)[0]
        self.http = TestClient(
            Guard(rest_api()),
            base_url="http://localhost/api/v1",
            headers={"Authorization": f"Bearer {self.token}"},
            raise_server_exceptions=False,
        )

    def __getattr__(self, name: str):
        return getattr(self.http, name)


@pytest.fixture
def ana(catalog: Path) -> Person:
    """An analyst: `ana.get("/datasets")`."""
    return Person("analyst", "ana")


@pytest.fixture
def bia(catalog: Path) -> Person:
    """Another analyst, who owns nothing of Ana's."""
    return Person("analyst", "bia")


@pytest.fixture
def vera(catalog: Path) -> Person:
    """A viewer."""
    return Person("viewer", "vera")


@pytest.fixture
def root(catalog: Path) -> Person:
    """An administrator."""
    return Person("admin", "root")


@pytest.fixture
def stranger(catalog: Path) -> TestClient:
    """A client without a token."""
    from vur.serving.middleware.guard import Guard

    return TestClient(Guard(rest_api()), base_url="http://localhost/api/v1", raise_server_exceptions=False)
