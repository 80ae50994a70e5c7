"""The table "asked for, where it is, its test" of the guide: every test and endpoint that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from samples import ROOT

GUIDE = ROOT / "docs" / "guides" / "ten-apps.md"
ROW = re.compile(r"\| (?P<asked>[^|]+) \| (?P<where>.+) \| (?P<test>[^|]+) \|")
FILE = re.compile(r"`([a-z_]+/test_[a-z_]+\.py)`(?:: ([^`|;]+))?")


def rows() -> list[tuple[str, str, str]]:
    """The rows of all tables, without their heads."""
    found = [ROW.fullmatch(line) for line in GUIDE.read_text(encoding="utf-8").splitlines()]
    return [one.group("asked", "where", "test") for one in found if one and one["asked"] not in ("asked for", "---")]


@cache
def names(path: Path) -> list[str]:
    """The tests of a file in words."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return [name.removeprefix("test_").replace("_", " ") for name in tests]


def test_every_app_of_the_series_is_there() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"^## App (\d+):", text, re.M)] == list(range(1, 11))
    assert len(rows()) > 45


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_what_is_claimed_has_a_test_that_exists(row: tuple[str, str, str]) -> None:
    asked, where, test = row
    files = FILE.findall(test)
    if "**not yet**" in where:
        return
    assert files or "`tests/`" in where or "make test" in test or where.startswith("notebook") or "notebook" in test
    for file, name in files:
        path = ROOT / "tests" / file
        assert path.is_file(), f"{asked}: there is no {file}"
        said = name.strip().lower()
        assert not said or any(one.startswith(said) for one in names(path)), f"{asked}: {file} has no test {name!r}"


def test_every_endpoint_of_the_guide_is_in_the_application() -> None:
    from vur.serving.app import create_app

    known = {path.removeprefix("/api/v1") for path in create_app().openapi()["paths"]}
    known = {re.sub(r"\{\w+\}", "{}", path) for path in known}
    named = re.findall(r"`(?:GET|POST|PATCH|DELETE) (/[^`]+)`", GUIDE.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [path for path in named if re.sub(r"\{\w+\}", "{}", path) not in known] == []
