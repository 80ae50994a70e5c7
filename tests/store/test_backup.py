"""Backup of a running service, and restore into either database: everything is restored, and no file is trusted."""

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from databases import both, kind  # noqa: F401 - a fixture
from service import new_database
from sqlalchemy import func, select, text

from vur.cli import main
from vur.errors import VurError
from vur.settings import settings
from vur.store import database
from vur.store.accounts.users import add_user, verify_password
from vur.store.catalog import (
    Activity,
    Counter,
    DatabaseConnection,
    Forecast,
    ForecastPoint,
    Job,
    JobLog,
    Model,
    Pipeline,
    Upload,
    User,
    now,
)
from vur.store.database import reading, writing
from vur.store.operations import backup as module
from vur.store.operations import snapshot
from vur.store.operations.backup import backup, restore, verify
from vur.store.secret import cipher, secret

PASSWORD = "correct horse 9"


@pytest.fixture
def filled(catalog: Path) -> Path:
    """A home with users, files, a forecast with points, jobs in several states and a connection."""
    fill(catalog)
    return catalog


def fill(root: Path) -> str:
    """Fill a home; returns Ana's id."""
    with writing() as session:
        ana = add_user(session, "ana@x.br", PASSWORD, full_name="Ana São João", role="admin")
        session.flush()
        session.add_all(
            [
                Pipeline(name="Vendas", owner_id=ana.id, config={"text": "ção", "n": [1, None, 2.5]}),
                Model(name="loja", owner_id=ana.id, algorithm="naive", family="f", tag="loja:1", metrics={"mase": 0.5}),
                DatabaseConnection(
                    name="db",
                    owner_id=ana.id,
                    kind="sqlite",
                    secret=cipher().encrypt(b"sqlite:///x").decode(),
                    table="t",
                ),
                Upload(id="u1", owner_id=ana.id, filename="a.csv"),
                Upload(id="u2", owner_id=ana.id, filename="b.csv", state="done"),
                Counter(key="login:1.2.3.4", window_start=now(), count=3),
                *(
                    Job(
                        id=f"job-{state}", owner_id=ana.id, kind="train", state=state, attempt=1, lease_owner="w", pid=7
                    )
                    for state in ("queued", "running", "succeeded")
                ),
                Job(id="job-leaving", owner_id=ana.id, kind="train", state="running", cancel_requested=True),
                forecast := Forecast(owner_id=ana.id, kind="request", tag="loja:1", horizon=2, n_series=1, freq="D"),
            ]
        )
        session.flush()
        session.add_all(
            [
                ForecastPoint(
                    forecast_id=forecast.id,
                    owner_id=ana.id,
                    tag="loja:1",
                    unique_id="a",
                    target_at=now(),
                    horizon=step,
                    forecast=step / 3,
                    quantiles={"lo-80": 0.1},
                )
                for step in (1, 2)
            ]
        )
        session.add(JobLog(job_id="job-queued", attempt=1, text="Olá"))
    for name, content in {
        "datasets/abc-1/data.parquet": os.urandom(3 * 2**20),
        "datasets/file-abc/original.csv": b"ds,y\n",
        "bentoml/models/loja/1/model.json": b"{}",
        "bentoml/models/loja/latest": b"1",
        "results/job-succeeded/1/run/report.html": b"<html>",
        "cache/x/y": b"cache",
        "datasets/.draft-1/half": b"half",
        "logs/service.jsonl": b"{}\n",
        "uploads/u1/part": b"part",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    secret("tokens")
    return ana.id


def switch(monkeypatch: pytest.MonkeyPatch, root: Path, url: str | None = None) -> None:
    """Switch to another home."""
    database.engine().dispose()
    monkeypatch.setenv("VUR_HOME", str(root))
    monkeypatch.setenv("VUR_DATABASE_URL", url or "")
    settings.cache_clear()


def contents() -> dict[str, Any]:
    """Everything that a restore must bring back."""
    with reading() as session:
        pipeline, point = (
            session.scalars(select(Pipeline)).one(),
            session.scalars(select(ForecastPoint).order_by(ForecastPoint.id)).first(),
        )
        user = session.scalars(select(User)).one()
        return {
            "users": (user.id, user.email, user.full_name, user.created_at, user.version),
            "pipeline": (pipeline.name, pipeline.config, pipeline.updated_at),
            "points": session.scalar(select(func.count()).select_from(ForecastPoint)),
            "point": (point.id, point.forecast, point.quantiles, point.target_at),
            "log": session.scalar(select(JobLog.text)),
        }


@both
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_everything_comes_back_in_either_database(filled, kind, target, tmp_path, monkeypatch, request):
    before = contents()
    made = backup(tmp_path / "b.tar", secrets=True)
    assert made.database == kind and (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    url = empty_database(request) if target == "postgresql" else None
    switch(monkeypatch, tmp_path / "new", url)
    done = restore(tmp_path / "b.tar")
    assert contents() == before and done.aside is None and done.schema is None and done.secrets
    root = tmp_path / "new"
    for name in (
        "datasets/abc-1/data.parquet",
        "datasets/file-abc/original.csv",
        "bentoml/models/loja/1/model.json",
        "results/job-succeeded/1/run/report.html",
    ):
        assert (root / name).read_bytes() == (filled / name).read_bytes() and (root / name).stat().st_mode & 0o077 == 0
    for name in ("cache", "uploads", "logs", "datasets/.draft-1", "manifest.json"):
        assert not (root / name).exists()
    with reading() as session:
        states = dict(session.execute(select(Job.id, Job.state)).tuples().all())
        assert states == {
            "job-queued": "queued",
            "job-running": "queued",
            "job-succeeded": "succeeded",
            "job-leaving": "cancelled",
        }
        assert session.get(Job, "job-running").lease_owner is None
        assert session.scalars(select(Upload.id)).all() == ["u2"] and session.scalars(select(Counter)).all() == []
        assert cipher().decrypt(session.scalars(select(DatabaseConnection)).one().secret.encode()) == b"sqlite:///x"
        assert verify_password(session.scalars(select(User)).one().password_hash, PASSWORD)
    with writing() as session:  # sequences continue
        session.add(JobLog(job_id="job-queued", attempt=1, text="next"))
    with reading() as session:
        assert session.scalars(select(JobLog.id).order_by(JobLog.id)).all()[-1] >= 2
    database.migrate()


def empty_database(request: pytest.FixtureRequest) -> str:
    """An empty database on the temporary server."""
    return new_database(request.getfixturevalue("postgresql"))


@both
def test_a_backup_is_consistent_while_others_write(filled, tmp_path, monkeypatch):
    """A writer adds pairs, one transaction each: a backup must contain both or none of every pair."""
    with reading() as session:
        owner = session.scalars(select(User.id)).one()
    stop, pairs = threading.Event(), [0]

    def write() -> None:
        while not stop.is_set():
            with writing() as session:
                session.add_all([Activity(owner_id=owner, kind="a", values={}), Pipeline(name="pair", owner_id=owner)])
            pairs[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        files = [tmp_path / f"b{n}.tar" for n in range(3)]
        for file in files:
            backup(file, without=("data", "models", "runs"))
    finally:
        stop.set()
        writer.join()
    counts = []
    for number, file in enumerate(files):
        switch(monkeypatch, tmp_path / f"new{number}")
        restore(file)
        with reading() as session:
            first = session.scalar(select(func.count()).select_from(Activity))
            assert first == session.scalar(select(func.count()).select_from(Pipeline).where(Pipeline.name == "pair"))
            counts.append(first)
    assert counts == sorted(counts) and counts[-1] > counts[0] and pairs[0] >= counts[-1]


def test_parts_can_be_left_out(filled, tmp_path):
    made = backup(tmp_path / "b.tar", without=("data", "runs"))
    assert set(made.files) == {"catalog.sqlite", "bentoml/models/loja/1/model.json", "bentoml/models/loja/latest"}


@both
def test_restore_refuses_existing_data_and_force_moves_it_aside(filled, kind, tmp_path):
    backup(tmp_path / "b.tar")
    with writing() as session:
        session.add(Pipeline(name="later", owner_id=session.scalars(select(User.id)).one()))
    (filled / "datasets" / "later").mkdir()
    with pytest.raises(VurError) as refused:
        restore(tmp_path / "b.tar")
    assert refused.value.code == "backup.not_empty" and (filled / "datasets" / "later").is_dir()
    done = restore(tmp_path / "b.tar", force=True)
    assert not (filled / "datasets" / "later").exists() and (done.aside / "datasets" / "later").is_dir()
    assert done.secrets and (filled / "secrets.json").is_file(), "the secrets of the old home stay in force"
    with reading() as session:
        assert session.scalars(select(Pipeline.name)).all() == ["Vendas"]
        if kind == "postgresql":
            assert session.scalar(text(f'SELECT count(*) FROM "{done.schema}".pipelines')) == 2  # noqa: S608 - a name of our own
            assert cipher().decrypt(session.scalars(select(DatabaseConnection)).one().secret.encode())
    if kind == "sqlite":
        assert (done.aside / "catalog.sqlite").is_file()
    backup(tmp_path / "b2.tar")
    assert not any("before-" in name for name in verify(tmp_path / "b2.tar").files)


HOLD = """
import sys
from vur.store.database import writing, reading
from vur.store.catalog import User
from sqlalchemy import select
with reading() as session:
    session.scalars(select(User)).all()
print("open", flush=True)
sys.stdin.read()
"""


@both
def test_restore_is_refused_while_the_service_runs(filled, kind, tmp_path):
    backup(tmp_path / "b.tar")
    other = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(VurError) as refused:
            restore(tmp_path / "b.tar", force=True)
        assert refused.value.code == "backup.in_use"
    finally:
        other.communicate("")
    restore(tmp_path / "b.tar", force=True)


def changed(path: Path, target: Path, change: Any) -> Path:
    """A backup with every entry passed through `change(name, content)`: new name and content, or None to drop it."""
    with tarfile.open(path) as old, tarfile.open(target, "w") as new:
        for entry in old:
            made = change(entry.name, old.extractfile(entry).read())
            if made is not None:
                entry = tarfile.TarInfo(made[0])
                entry.size = len(made[1])
                new.addfile(entry, io.BytesIO(made[1]))
    return target


def damage(name: str, content: bytes) -> Any:
    """Flip one bit of the data."""
    return name, content[:1000] + bytes([content[1000] ^ 1]) + content[1001:] if name.endswith(
        "data.parquet"
    ) else content


def named(new: str) -> Any:
    """The report under another name, in the manifest too."""

    def change(name: str, content: bytes) -> Any:
        if name.endswith("report.html"):
            return new, content
        if name == "manifest.json":
            return name, content.replace(b"results/job-succeeded/1/run/report.html", json.dumps(new)[1:-1].encode())
        return name, content

    return change


@pytest.mark.parametrize(
    "change, code",
    [
        (damage, "backup.damaged"),
        (lambda name, content: None if name.endswith("original.csv") else (name, content), "backup.damaged"),
        (lambda name, content: None if name == "manifest.json" else (name, content), "backup.damaged"),
        (
            lambda name, content: (name, content + b"x") if name == "catalog.sqlite" else (name, content),
            "backup.damaged",
        ),
        (
            lambda name, content: (name, b'{"format": 99, "vur": "9"}') if name == "manifest.json" else (name, content),
            "backup.newer",
        ),
        (named("../evil"), "backup.unsafe"),
        (named("/tmp/evil"), "backup.unsafe"),
        (named("results/../../evil"), "backup.unsafe"),
        (named("results//x"), "backup.unsafe"),
        (named(".ssh/authorized_keys"), "backup.unsafe"),
        (named("locks/x"), "backup.unsafe"),
    ],
)
def test_a_backup_is_not_trusted(filled, tmp_path, monkeypatch, change, code):
    backup(tmp_path / "b.tar")
    bad = changed(tmp_path / "b.tar", tmp_path / "bad.tar", change)
    switch(monkeypatch, tmp_path / "new")
    for attempt in (lambda: verify(bad), lambda: restore(bad)):
        with pytest.raises(VurError) as refused:
            attempt()
        assert refused.value.code == code
    assert [path.name for path in (tmp_path / "new").iterdir() if path.name != "locks"] == [], "nothing was left behind"
    assert not (tmp_path / "evil").exists() and not Path("/tmp/evil").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_backup_is_rejected(filled, tmp_path, monkeypatch, share):
    whole = backup(tmp_path / "b.tar") and (tmp_path / "b.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole.rstrip(b"\0")) * share)])
    switch(monkeypatch, tmp_path / "new")
    with pytest.raises(VurError) as refused:
        restore(tmp_path / "cut.tar")
    assert refused.value.code == "backup.damaged"


@pytest.mark.parametrize(
    "kind_of", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_only_plain_files_are_unpacked(filled, tmp_path, kind_of):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        entry = tarfile.TarInfo("datasets/x")
        entry.type, entry.linkname = kind_of, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(VurError) as refused:
        verify(tmp_path / "bad.tar")
    assert refused.value.code == "backup.unsafe"


def test_a_failed_backup_leaves_no_partial_file(filled, tmp_path, monkeypatch):
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(VurError) as failed:
        backup(tmp_path / "b.tar")
    assert failed.value.code == "backup.full" and list(tmp_path.glob("*.tar*")) + list(tmp_path.glob(".b*")) == []
    assert list(filled.glob(".backup-*")) == []


def test_a_backup_overwrites_nothing(filled, tmp_path):
    (tmp_path / "b.tar").write_text("mine")
    with pytest.raises(VurError, match="already exists"):
        backup(tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_text() == "mine"


def test_a_failed_restore_rolls_everything_back(filled, tmp_path, monkeypatch):
    backup(tmp_path / "b.tar")
    before, tree = contents(), sorted(path for path in filled.rglob("*") if "locks" not in path.parts)
    real, count = os.rename, [0]

    def rename(source: Any, target: Any) -> None:
        count[0] += 1
        if count[0] == 5:
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(module.os, "rename", rename)
    with pytest.raises(VurError) as failed:
        restore(tmp_path / "b.tar", force=True)
    assert failed.value.code == "backup.swap"
    monkeypatch.undo()
    switch(monkeypatch, filled)
    left = sorted(
        path
        for path in filled.rglob("*")
        if "locks" not in path.parts
        and not path.name.startswith("before-")
        and not path.name.endswith(("-wal", "-shm"))
    )
    assert contents() == before and left == [path for path in tree if not path.name.endswith(("-wal", "-shm"))]


def test_a_backup_of_a_newer_schema_is_rejected(filled, tmp_path, monkeypatch):
    with writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    backup(tmp_path / "b.tar")
    switch(monkeypatch, tmp_path / "new")
    with pytest.raises(VurError) as refused:
        restore(tmp_path / "b.tar")
    assert refused.value.code == "catalog.newer"


def test_a_catalog_outside_the_home_is_restored_in_place(filled, tmp_path, monkeypatch):
    before = contents()
    backup(tmp_path / "b.tar")
    (tmp_path / "elsewhere").mkdir()
    switch(monkeypatch, tmp_path / "new", f"sqlite:///{tmp_path / 'elsewhere' / 'my.sqlite'}")
    restore(tmp_path / "b.tar")
    assert contents() == before and not (tmp_path / "new" / "catalog.sqlite").exists()
    with writing() as session:
        session.add(Pipeline(name="later", owner_id=session.scalars(select(User.id)).one()))
    done = restore(tmp_path / "b.tar", force=True)
    assert contents() == before and (done.aside / "my.sqlite").is_file()


def test_a_vanishing_file_does_not_stop_a_backup(filled, tmp_path, monkeypatch):
    real = module._files

    def files(root: Path) -> Any:
        yield from real(root)
        yield root / "gone"

    monkeypatch.setattr(module, "_files", files)
    backup(tmp_path / "b.tar")
    verify(tmp_path / "b.tar")


def test_the_commands(filled, tmp_path, monkeypatch, capsys):
    file = str(tmp_path / "b.tar")
    assert (
        main(["backup", file, "--language", "en"]) == 0 and "It does not contain the secrets" in capsys.readouterr().out
    )
    assert main(["restore", file, "--check", "--language", "pt-BR"]) == 0 and "está íntegra" in capsys.readouterr().out
    assert main(["restore", file]) == 1 and "--force" in capsys.readouterr().err
    switch(monkeypatch, tmp_path / "new")
    assert main(["restore", file, "--language", "en"]) == 0
    out = capsys.readouterr().out
    assert "1 users, 0 datasets, 1 models, 1 forecasts" in out and "1 registered databases must be entered again" in out


def test_a_foreign_table_in_the_file_is_not_restored(filled, tmp_path):
    with writing() as session:
        session.execute(text("CREATE TABLE strange (x INTEGER)"))
    snapshot.take(tmp_path / "copy.sqlite")
    with snapshot._file(tmp_path / "copy.sqlite") as connection:
        assert connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'strange'")) == 0
