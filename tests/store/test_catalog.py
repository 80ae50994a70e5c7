"""The catalog on both databases: migrations, transactions, timestamps, ownership."""

import multiprocessing
import subprocess
import sys

import pytest
from sqlalchemy import select, text, update

from vur.errors import VurError
from vur.store import database
from vur.store.accounts.access import Principal, fetch, visible
from vur.store.accounts.users import add_user
from vur.store.catalog import Base, Counter, Pipeline, Share, User, now


def test_migrations_create_exactly_the_declared_tables(catalog):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.engine().connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrations_go_down_and_up_again(catalog):
    database.migrate("base")
    with database.engine().connect() as connection:
        assert database.current_revision(connection) is None
    database.migrate()
    with database.reading() as session:
        assert session.scalars(select(User)).all() == []


def test_a_catalog_of_a_newer_version_is_refused(catalog):
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(VurError, match="9999"):
        database.migrate()


def _count(times: int) -> None:
    database._engine.cache_clear()
    for _ in range(times):
        with database.writing() as session:
            row = session.get(Counter, "test")
            session.execute(update(Counter).where(Counter.key == "test").values(count=row.count + 1))


@pytest.mark.slow
def test_concurrent_processes_lose_no_update(catalog, kind):
    with database.writing() as session:
        session.add(Counter(key="test", window_start=now(), count=0))
    if kind == "postgresql":
        pytest.skip("PostgreSQL's rows are updated in place by the code; SQLite needs BEGIN IMMEDIATE")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(100,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    with database.reading() as session:
        assert session.get(Counter, "test").count == 400


@pytest.mark.slow
def test_the_older_sqlite_of_tensorflow_is_not_used():
    code = (
        "import tensorflow; from vur.store.database import SAFE_SQLITE, sqlite_module; "
        "assert sqlite_module().sqlite_version_info >= SAFE_SQLITE"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_timestamps_keep_their_time_zone(catalog):
    moment = now()
    with database.writing() as session:
        user = add_user(session, "ana@x.br", "correct horse 9")
        user.last_login_at = moment
    with database.reading() as session:
        assert session.get(User, user.id).last_login_at == moment


def test_a_shared_object_is_visible_and_only_an_editor_changes_it(catalog):
    with database.writing() as session:
        ana, bia = (add_user(session, f"{name}@x.br", "correct horse 9") for name in ("ana", "bia"))
        pipeline = Pipeline(name="Vendas", owner_id=ana.id)
        session.add(pipeline)
    other = Principal(bia.id)
    with database.writing() as session:
        with pytest.raises(VurError, match=pipeline.id):
            fetch(session, Pipeline, pipeline.id, other)
        session.add(Share(kind="pipeline", object_id=pipeline.id, user_id=bia.id, right="view"))
        session.flush()
        assert fetch(session, Pipeline, pipeline.id, other).name == "Vendas"
        assert session.scalars(visible(select(Pipeline), Pipeline, other)).all()
        with pytest.raises(VurError) as refused:
            fetch(session, Pipeline, pipeline.id, other, "edit")
        assert refused.value.code == "api.not_yours"
        session.execute(update(Share).values(right="edit"))
        assert fetch(session, Pipeline, pipeline.id, other, "edit")


@pytest.mark.parametrize("command", [["init"], ["users", "list"], ["serve", "--port", "1"], ["worker"]])
def test_a_command_names_the_database_that_does_not_answer(command, tmp_path, monkeypatch, capsys):
    from vur.cli import main
    from vur.settings import settings

    monkeypatch.setenv("VUR_HOME", str(tmp_path))
    monkeypatch.setenv("VUR_DATABASE_URL", "postgresql://vur:SECRET@127.0.0.1:1/vur")
    settings.cache_clear()
    try:
        assert main(command) == 1
    finally:
        settings.cache_clear()
    said = capsys.readouterr().err
    assert "127.0.0.1:1/vur" in said and "database_url" in said and "SECRET" not in said
