"""A catalog that VUR 0.1.0 made is opened, and migrated where the schema has moved on."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data home with the catalog of version 0.1.0: schema 0001 and one administrator."""
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.executescript((HERE / "catalog_0001.sql").read_text(encoding="utf-8"))
    connection.close()
    return tmp_path


def vur(home: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line on a data home."""
    environment = os.environ | {"VUR_HOME": str(home), "VUR_LANGUAGE": "en"}
    command = [sys.executable, "-m", "vur.cli", *arguments]
    return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=120)


def test_the_users_of_an_old_catalog_are_still_there(home: Path) -> None:
    assert vur(home, "init").returncode == 0
    listed = vur(home, "users", "list")
    assert listed.returncode == 0, listed.stderr
    assert "ana@example.com" in listed.stdout and "admin" in listed.stdout
    added = vur(home, "users", "add", "rui@example.com", "--password-stdin", given="another-long-password\n")
    assert added.returncode == 0, added.stderr
    assert "rui@example.com" in vur(home, "users", "list").stdout
