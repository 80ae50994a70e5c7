"""A catalog on SQLite and on a real PostgreSQL, the composed application around it, and a few users."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from vur.settings import settings
from vur.store import database
from vur.store.catalog import User
from vur.store.users import add_user

PASSWORD = "correct horse 9"


def binary(name: str) -> str | None:
    """PostgreSQL's programs lie in a folder of their version under Debian."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a throw-away PostgreSQL server, without a database name."""
    if binary("initdb") is None:
        pytest.skip("needs PostgreSQL (Debian's package 'postgresql')")
    folder = Path(tempfile.mkdtemp(prefix="vur-pg-"))
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    port = _free_port()
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    subprocess.run([*user, binary("initdb"), "-D", folder / "data", "-U", "vur", "-A", "trust"], check=True, capture_output=True, cwd="/")
    subprocess.run([*user, binary("pg_ctl"), "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start"], check=True, capture_output=True, cwd="/")
    yield f"postgresql://vur@127.0.0.1:{port}"
    subprocess.run([*user, binary("pg_ctl"), "-D", folder / "data", "-m", "immediate", "stop"], check=False, capture_output=True, cwd="/")
    shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _new_database(server: str) -> str:
    import psycopg

    name = f"vur_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{server}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database the catalog lies in; a test module that needs one only overrides this fixture."""
    return request.param


@pytest.fixture
def catalog(kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data home of its own with an empty, migrated catalog; returns the home."""
    monkeypatch.setenv("VUR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VUR_REPORTS", str(tmp_path / "reports"))
    if kind == "postgresql":
        monkeypatch.setenv("VUR_DATABASE_URL", _new_database(request.getfixturevalue("postgresql")))
    else:
        monkeypatch.delenv("VUR_DATABASE_URL", raising=False)
    settings.cache_clear()
    database.migrate()
    yield tmp_path / "home"
    database.engine().dispose()
    settings.cache_clear()


class Person:
    """A user with a client that sends their token."""

    def __init__(self, role: str, name: str):
        from vur.serving.app import create_app
        from vur.serving.edge.guard import Guard
        from vur.serving.edge.tokens import access_token

        with database.writing() as session:
            self.user: User = add_user(session, f"{name}@x.br", PASSWORD, role=role)
        self.id = self.user.id
        self.token = access_token(self.user)[0]
        self.http = TestClient(Guard(create_app()), base_url="http://localhost/api/v1", headers={"Authorization": f"Bearer {self.token}"},
                               raise_server_exceptions=False)

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
    from vur.serving.app import create_app
    from vur.serving.edge.guard import Guard

    return TestClient(Guard(create_app()), base_url="http://localhost/api/v1", raise_server_exceptions=False)
