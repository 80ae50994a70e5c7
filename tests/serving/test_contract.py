"""Every documented endpoint is in the application, in the OpenAPI document, and called by a test (see ENDPOINTS.md).

`python tests/serving/test_contract.py` regenerates that table.
"""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = HERE / "ENDPOINTS.md"
# The API's documents: section, method and path under /api/v1, the body and the answer that they show.
DOCUMENTS = json.loads((HERE / "documents.json").read_text(encoding="utf-8"))
ENDPOINTS = [(one["method"], one["path"]) for one in DOCUMENTS]


@cache
def named_tests() -> list[tuple[str, str, str]]:
    """File, name and source of every test function of all folders."""
    found = []
    for path in sorted(HERE.parent.rglob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        text = path.read_text(encoding="utf-8")
        found += [
            (path.relative_to(HERE.parent).as_posix(), node.name, ast.get_source_segment(text, node) or "")
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
    return found


def caller(method: str, path: str) -> tuple[str, str] | None:
    """The first test that calls an endpoint: file and name."""
    pattern = re.sub(r"\\\{\w+\\\}", r"(?!algorithms)[^/\"'?]+", re.escape(path))
    call = re.compile(
        rf"\.{method.lower()}\(\s*f?[\"'](?:/api/v1)?{pattern}[\"'?]|request\(\s*[\"']{method}[\"'],\s*f?[\"'](?:/api/v1)?{pattern}[\"'?]"
    )
    return next(((file, name) for file, name, source in named_tests() if call.search(source)), None)


def table() -> str:
    """The Markdown table of endpoints and tests."""
    lines = [
        "# Documented endpoints and the tests that call them",
        "",
        "Paths are under `/api/v1`; files are under `tests/`.",
        "",
        "| method | path | file | test |",
        "|---|---|---|---|",
    ]
    for method, path in ENDPOINTS:
        file, name = caller(method, path) or ("", "")
        lines.append(f"| {method} | `{path}` | {file} | {name.removeprefix('test_').replace('_', ' ')} |")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def openapi() -> dict:
    from vur.serving.app import create_app

    return create_app().openapi()


@pytest.mark.parametrize(("method", "path"), ENDPOINTS, ids=[" ".join(pair) for pair in ENDPOINTS])
def test_every_documented_endpoint_is_described_and_called_by_a_test(method, path, openapi):
    described = openapi["paths"][f"/api/v1{path}"][method.lower()]
    assert described["summary"] and described["description"]
    ok = next(code for code in described["responses"] if code.startswith("2"))
    assert ok in ("204",) or described["responses"][ok].get("content"), "the answer has no schema"
    assert caller(method, path), "no test calls it"


def has_example(schema: dict, schemas: dict) -> bool:
    """Whether a body's schema, or the one it refers to, has an example or a field with one."""
    if "anyOf" in schema:
        return any(has_example(part, schemas) for part in schema["anyOf"])
    found = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return bool({"example", "examples"} & found.keys()) or any(
        "examples" in field for field in found.get("properties", {}).values()
    )


def test_every_json_body_has_an_example(openapi):
    bodies = {
        f"{method.upper()} {path}": operation["requestBody"]["content"].get("application/json")
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    missing = [
        name
        for name, body in bodies.items()
        if body
        and not {"example", "examples"} & body.keys()
        and not has_example(body["schema"], openapi["components"]["schemas"])
    ]
    assert len(bodies) > 20 and missing == []


def test_the_table_matches_the_tests():
    assert TABLE.read_text(encoding="utf-8") == table(), "run: python tests/serving/test_contract.py"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
