"""`vur doctor`, `vur init` and `vur users`: every problem is named, with a remedy."""

import io
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from databases import both, kind  # noqa: F401 - a fixture
from sqlalchemy import select, text, update

from vur.cli import main
from vur.settings import settings
from vur.store import database
from vur.store.accounts.users import add_user, verify_password
from vur.store.catalog import DatabaseConnection, Dataset, DatasetVersion, Job, Model, Run, User
from vur.store.database import reading, writing
from vur.store.models.models import CHECKSUMS, checksums
from vur.store.operations import doctor, health, workers
from vur.store.secret import cipher, forget, secret
from vur.text import LANGUAGES

PASSWORD = "correct horse 9"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port in the settings."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number = found.getsockname()[1]
    monkeypatch.setenv("VUR_PORT", str(number))
    return number


@pytest.fixture
def well(port: int, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A healthy installation."""
    settings.cache_clear()
    secret("tokens")
    with writing() as session:
        ana = add_user(session, "ana@x.br", PASSWORD, role="admin")
        session.flush()
        session.add(
            DatabaseConnection(
                name="db", owner_id=ana.id, kind="sqlite", secret=cipher().encrypt(b"x").decode(), table="t"
            )
        )
        data = Dataset(name="d", owner_id=ana.id, filename="d.csv", size_bytes=1, fingerprint="f", rows=1, head={})
        session.add(data)
        session.flush()
        session.add(
            DatasetVersion(
                dataset_id=data.id, number=1, kind="upload", fingerprint="f", folder="f-1", rows=1, size_bytes=1
            )
        )
        session.add_all(
            [
                Model(name="m", owner_id=ana.id, algorithm="naive", family="f", tag="m:1"),
                Run(run_id="r", owner_id=ana.id, status="succeeded", folder="results/j/1/r"),
                Job(id="j", owner_id=ana.id, kind="train", state="succeeded"),
            ]
        )
    for name in ("datasets/f-1/data.parquet", "results/j/1/r/report.html", "bentoml/models/m/1/model.json"):
        (catalog / name).parent.mkdir(parents=True)
        (catalog / name).write_bytes(b"x")
    model = catalog / "bentoml" / "models" / "m" / "1"
    (model / CHECKSUMS).write_text(checksums(model))
    workers.beat("w")
    monkeypatch.setattr(health, "free_bytes", lambda: 100 * 2**30)
    return catalog


def found() -> dict[str, tuple[str, str]]:
    """Every finding as status and state; each must have texts in both languages."""
    findings = list(doctor.examine())
    for one in findings:
        for language in LANGUAGES:
            assert one.say(language) and (one.remedy(language) or one.status == "ok")
    return {one.name: (one.status, one.state) for one in findings}


@both
def test_a_healthy_installation_has_no_findings(well):
    assert set(found().values()) == {("ok", "ok")} and len(found()) == 13
    assert main(["doctor"]) == 0


def lose(path: str) -> Any:
    """Rename a file or folder of the home."""
    return lambda root: (root / path).rename(root / f"{path.replace('/', '-')}-lost")


def write(path: str, content: bytes = b"x", mode: int = 0o600) -> Any:
    """Write a file of the home."""

    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        (root / path).chmod(mode)

    return change


def run(statement: Any) -> Any:
    """Change the catalog."""

    def change(root: Path) -> None:
        with writing() as session:
            session.execute(statement)

    return change


@pytest.mark.parametrize(
    "trouble, name, expected",
    [
        (lambda root: root.chmod(0o755), "home", ("warning", "open")),
        (lose("secrets.json"), "secrets", ("warning", "none")),
        (lambda root: (root / "secrets.json").chmod(0o644), "secrets", ("problem", "open")),
        (lose("secrets.json"), "connections", ("problem", "locked")),
        (write("secrets.json", b"{"), "secrets", ("problem", "unreadable")),
        (write("secrets.json", b"[]"), "secrets", ("problem", "unreadable")),
        (run(text("UPDATE alembic_version SET version_num = '0000'")), "database", ("problem", "schema")),
        (run(update(User).values(active=False)), "users", ("warning", "no_admin")),
        (run(update(DatabaseConnection).values(secret="gAAAA")), "connections", ("problem", "locked")),
        (lose("datasets/f-1"), "datasets", ("problem", "lost")),
        (lose("results/j"), "datasets", ("warning", "runs")),
        (write("uploads/u9/part"), "leftovers", ("warning", "some")),
        (write("results/j9/1/report.html"), "leftovers", ("warning", "some")),
        (lambda root: workers.remove("w"), "worker", ("warning", "none")),
        (lose("bentoml/models/m"), "models", ("problem", "lost")),
        (write("bentoml/models/m/1/model.json", b"tampered"), "models", ("problem", "changed")),
        (write("bentoml/models/m/1/more.pkl"), "models", ("problem", "changed")),
    ],
)
def test_each_problem_is_found_and_named(well, capsys, trouble, name, expected):
    trouble(well)
    forget()
    states = found()
    assert states[name] == expected
    assert main(["doctor", "--language", "pt-BR"]) == any(status == "problem" for status, _ in states.values())
    assert "->" in capsys.readouterr().out


@pytest.mark.parametrize("free, expected", [(2**20, ("problem", "full")), (2 * 2**30, ("warning", "little"))])
def test_a_disk_that_fills_up(well, monkeypatch, free, expected):
    monkeypatch.setattr(health, "free_bytes", lambda: free)
    assert found()["disk"] == expected


def test_a_home_that_cannot_be_written_to(well, monkeypatch):
    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert found()["home"] == ("problem", "unwritable")


def test_a_damaged_catalog_is_found(well):
    database.engine().dispose()
    with (well / "catalog.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 8))
    for end in ("-wal", "-shm"):
        (well / f"catalog.sqlite{end}").unlink(missing_ok=True)
    status, state = found()["database"]
    assert status == "problem" and state in ("broken", "away")


@both
def test_an_unreachable_database_is_reported_without_its_password(well, kind, monkeypatch, capsys):
    monkeypatch.setenv("VUR_DATABASE_URL", "postgresql://ana:geheim@127.0.0.1:1/x")
    settings.cache_clear()
    assert main(["doctor", "--language", "en"]) == 1
    out = capsys.readouterr().out
    assert "does not respond" in out and "127.0.0.1:1" in out and "geheim" not in out
    assert "worker" not in out, "what needs the database is left out"


def test_an_open_registration_on_the_network(well, monkeypatch):
    monkeypatch.setenv("VUR_HOST", "0.0.0.0")
    settings.cache_clear()
    assert found()["users"] == ("warning", "open")
    monkeypatch.setenv("VUR_REGISTRATION", "closed")
    settings.cache_clear()
    assert found()["users"] == ("ok", "ok")


@pytest.mark.parametrize("body, expected", [(b'{"status": "ok"}', ("ok", "ours")), (b"hello", ("problem", "taken"))])
def test_the_port_is_ours_or_somebody_elses(well, port, body, expected):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert found()["port"] == expected
    finally:
        server.shutdown()
        server.server_close()


def test_findings_as_json(well, capsys):
    workers.remove("w")
    assert main(["doctor", "--json", "--fast", "--language", "en"]) == 0
    findings = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert findings["worker"]["status"] == "warning" and findings["worker"]["remedy"] and "models" not in findings


def test_invalid_settings_are_reported(well, monkeypatch, capsys):
    with monkeypatch.context() as wrong:
        wrong.setenv("VUR_PORT", "many")
        settings.cache_clear()
        assert main(["doctor", "--language", "en"]) == 1
    settings.cache_clear()
    captured = capsys.readouterr()
    assert "many" in captured.out + captured.err


@both
def test_init_creates_an_installation_and_can_be_repeated(kind, catalog, capsys):
    database.migrate("base")
    for _ in range(2):
        assert main(["init", "--language", "en"]) == 0
        assert "vur users add EMAIL --role admin" in capsys.readouterr().out
    assert (catalog / "secrets.json").stat().st_mode & 0o777 == 0o600 and catalog.stat().st_mode & 0o777 == 0o700
    kept = secret("tokens")
    forget()
    assert main(["init"]) == 0 and secret("tokens") == kept


def test_accounts_on_the_command_line(catalog, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    assert main(["users", "list"]) == 0
    assert main(["users", "add", "Root@x.br", "--role", "admin", "--password-stdin", "--name", "Root"]) == 0
    assert main(["users", "set-role", "root@x.br", "viewer", "--language", "en"]) == 1
    assert "last active administrator" in capsys.readouterr().err
    answers = iter(["another horse 7", "another horse 8"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert main(["users", "add", "ana@x.br", "--language", "pt-BR"]) == 1
    assert "senhas são diferentes" in capsys.readouterr().err
    monkeypatch.setattr("getpass.getpass", lambda prompt: "another horse 7")
    assert main(["users", "add", "ana@x.br"]) == 0 and main(["users", "set-role", "ana@x.br", "admin"]) == 0
    assert main(["users", "add", "ana@x.br"]) == 1, "asked twice, made once"
    assert main(["users", "deactivate", "root@x.br"]) == 0
    capsys.readouterr()
    assert main(["users", "list", "--language", "en"]) == 0
    out = capsys.readouterr().out
    assert "root@x.br  admin" in out and "deactivated" in out and PASSWORD not in out
    with reading() as session:
        root = session.scalars(select(User).where(User.email == "root@x.br")).one()
    assert verify_password(root.password_hash, PASSWORD) and not root.active


def test_a_generated_password_is_printed_once_and_works(catalog, capsys):
    assert main(["users", "add", "ana@x.br", "--generate", "--language", "en"]) == 0
    first = capsys.readouterr().out.rstrip().rpartition(" ")[2]
    assert main(["users", "reset-password", "ana@x.br", "--generate", "--language", "en"]) == 0
    second = capsys.readouterr().out.rstrip().rpartition(" ")[2]
    with reading() as session:
        hashed = session.scalars(select(User.password_hash)).one()
    assert verify_password(hashed, second) and not verify_password(hashed, first)


@pytest.mark.parametrize(
    "arguments",
    [
        ["set-role", "nobody@x.br", "admin"],
        ["deactivate", "nobody@x.br"],
        ["add", "nowhere", "--generate"],
        ["reset-password", "nobody@x.br", "--generate"],
    ],
)
def test_an_unknown_user_is_reported(catalog, capsys, arguments):
    assert main(["users", *arguments]) == 1 and capsys.readouterr().err


def test_misspelt_variables_and_folders_that_are_not_there_are_named(well, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("VUR_CORS_ORIGIN", "https://vur.example")
    monkeypatch.setenv("VUR_quota_byte", "1")
    monkeypatch.setenv("VUR_ZOOLOGY", "another program's")
    monkeypatch.setenv("VUR_TOKEN", "for the client of a package")
    monkeypatch.setenv("VUR_DATA_FOLDERS", f"{tmp_path}, {tmp_path / 'nowhere'}")
    settings.cache_clear()
    found = {(one.state, one.values.get("variable") or one.values["path"]): one for one in doctor.check_settings()}
    assert found.keys() == {
        ("misspelt", "VUR_CORS_ORIGIN"),
        ("misspelt", "VUR_quota_byte"),
        ("unknown", "VUR_ZOOLOGY"),
        ("missing", str(tmp_path / "nowhere")),
    }
    assert "VUR_CORS_ORIGINS" in found["misspelt", "VUR_CORS_ORIGIN"].remedy("en")
    assert all(one.status == "warning" for one in found.values())
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        assert main(["serve", "--port", str(busy.getsockname()[1])]) == 1
    said = capsys.readouterr().err
    assert "VUR_CORS_ORIGIN is no setting" in said and "Did you mean VUR_CORS_ORIGINS?" in said
    assert str(tmp_path / "nowhere") in said and "data_folders" in said and "VUR_ZOOLOGY" in said


def test_without_such_variables_nothing_is_said(well, monkeypatch):
    for name in [name for name in os.environ if name.startswith("VUR_") and name != "VUR_HOME"]:
        monkeypatch.delenv(name)
    settings.cache_clear()
    assert list(doctor.check_settings()) == []
