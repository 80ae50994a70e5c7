"""A full disk: every route says so, with 507; commands in one line, and nothing half is left."""

import errno
import os
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from test_datasets import PT, both, kind, send, sent, table  # noqa: F401

from vur.cli import main
from vur.errors import VurError
from vur.jobs.messages import error_of
from vur.runs.execute import outcome
from vur.store import full_disk
from vur.store.database import engine
from vur.store.operations import backup as backups


@contextmanager
def full_catalog():
    """No page more fits into the catalog: SQLite's own error of a full disk."""

    def limit(connection, record, proxy) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size instead

    def unlimit(connection, record) -> None:
        connection.execute("PRAGMA max_page_count = 4294967294")

    event.listen(engine(), "checkout", limit)
    try:
        yield
    finally:
        event.remove(engine(), "checkout", limit)
        event.listen(engine(), "checkin", unlimit)
        engine().dispose()
        event.remove(engine(), "checkin", unlimit)


def until_refused(request):
    """The first answer that is an error; free pages of the catalog take some rows."""
    return next(answer for answer in (request() for _ in range(300)) if answer.status_code >= 400)


def test_a_full_catalog_is_a_full_disk_in_every_route(ana):
    id = sent(ana, table())["dataset_id"]
    long = "x" * 4000
    with full_catalog():
        requests = {
            "configure": lambda: ana.post("/models/configure", json={"dataset_id": id, "algorithm": "theta"}),
            "pipelines": lambda: ana.post("/pipelines", json={"name": "p", "dataset_id": id, "description": long}),
            "rename": lambda: ana.put(f"/datasets/{id}", json={"description": long}),
        }
        answers = {name: until_refused(request) for name, request in requests.items()}
    found = {name: (answer.status_code, answer.json()["code"]) for name, answer in answers.items()}
    assert found == dict.fromkeys(requests, (507, "api.disk")), [answer.text for answer in answers.values()]
    assert ana.put(f"/datasets/{id}", json={"description": long}).status_code == 200


def test_errors_of_a_full_disk_are_known_by_each_library(catalog, monkeypatch):
    import duckdb

    assert full_disk.is_full(OSError(errno.ENOSPC, "No space left on device"))
    assert full_disk.is_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert full_disk.is_full(duckdb.IOException("Could not write: No space left on device"))
    try:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise RuntimeError("the table could not be written") from error
    except RuntimeError as error:
        assert full_disk.is_full(error) and error_of(error)["code"] == "api.disk"
    assert not full_disk.is_full(OSError(errno.EACCES, "Permission denied"))
    assert not full_disk.is_full(ValueError("the disk is full of records"))


def test_a_run_that_fills_the_disk_says_so(catalog, tmp_path):
    with pytest.raises(VurError) as failed:
        outcome(tmp_path, RuntimeError("PapermillExecutionError: OSError: [Errno 28] No space left on device"))
    assert failed.value.code == "api.disk"


@pytest.mark.parametrize("place", ["copy", "target"])
def test_a_backup_on_a_full_disk_ends_in_one_sentence_and_leaves_nothing(catalog, tmp_path, monkeypatch, capsys, place):
    import pysqlite3

    def fail(*given):
        if place == "copy":
            raise pysqlite3.dbapi2.OperationalError("database or disk is full")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(backups.snapshot if place == "copy" else backups, "take" if place == "copy" else "_add", fail)
    assert main(["backup", str(tmp_path / "b.tar")]) == 1
    told = capsys.readouterr().err
    assert "disk of" in told and "is full" in told and "Traceback" not in told and len(told.splitlines()) == 3
    assert not list(tmp_path.glob("*b.tar*")) and not list(catalog.glob(".backup-*"))
