"""The documents' own client, axios under node, against a real `vur serve`: every request as documented, every field.

`python tests/serving/test_client.py` writes the table of the contract to reports/contract.md.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from service import free_port  # noqa: E402 - for the script

DOCUMENTS = HERE / "documents.json"
REPORT = HERE.parents[1] / "reports" / "contract.md"
PASSWORD = "praia de Boa Viagem 7"
PACKAGES = "/usr/share/nodejs"  # where Debian puts node-axios and node-ws


@cache
def node() -> bool:
    """Whether node finds axios and ws."""
    if shutil.which("node") is None:
        return False
    asked = ["node", "-e", "require('axios'); require('form-data'); require('ws')"]
    return subprocess.run(asked, env=node_env(), capture_output=True).returncode == 0


def node_env() -> dict[str, str]:
    paths = [os.environ.get("NODE_PATH", ""), PACKAGES]
    return os.environ | {"NODE_PATH": os.pathsep.join(filter(None, paths))}


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not node(), reason="needs node with axios and ws (Debian's 'node-axios', 'node-ws')"),
]


@contextmanager
def running(folder: Path):
    """A service with an administrator; yields its port, environment and the administrator's token."""
    env = os.environ | {"VUR_HOME": str(folder / "home"), "VUR_REPORTS": str(folder / "reports"), "VUR_LANGUAGE": "en"}
    env.pop("VUR_DATABASE_URL", None)
    vur = [sys.executable, "-m", "vur.cli"]
    subprocess.run([*vur, "init"], env=env, check=True, capture_output=True)
    added = [*vur, "users", "add", "ana@x.br", "--role", "admin", "--password-stdin"]
    subprocess.run(added, env=env, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)
    port = free_port()
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen([*vur, "serve", "--port", str(port)], env=env, cwd=folder, stdout=log, stderr=log)
    try:
        yield port, log_in(port)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def log_in(port: int) -> str:
    """The administrator's token, once the service is ready."""
    base, end = f"http://127.0.0.1:{port}", time.monotonic() + 90
    while time.monotonic() < end:
        try:
            if httpx.get(f"{base}/health/ready").status_code == 200:
                break
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    answer = httpx.post(f"{base}/api/v1/auth/login", json={"email": "ana@x.br", "password": PASSWORD})
    return answer.json()["access_token"]


def sales(folder: Path) -> Path:
    """Daily sales with the columns of the documents: `id, date, sales, region, category`."""
    rng, first = random.Random(7), date(2023, 1, 1)
    days = [first + timedelta(days=number) for number in range(400)]
    rows = [
        f"{number},{day},{200 + 30 * (day.weekday() > 4) + rng.gauss(0, 6):.2f},Sul,A\n"
        for number, day in enumerate(days, start=1)
    ]
    path = folder / "sales_data.csv"
    path.write_text("id,date,sales,region,category\n" + "".join(rows), encoding="utf-8")
    return path


def source(folder: Path) -> dict[str, Any]:
    """A SQLite file of the same sales in the service's folder of sources, as a body of POST /monitoring/databases."""
    (folder / "home" / "sources").mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(folder / "home" / "sources" / "shop.sqlite") as connection:
        connection.execute("CREATE TABLE sales (date TEXT, sales REAL, region TEXT, category TEXT)")
        days = [(str(date(2023, 1, 1) + timedelta(days=n)), 200 + n % 7, "Sul", "A") for n in range(401)]
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", days)
    connection.close()
    columns = {"date": "date", "target": "sales", "covariates": ["region", "category"]}
    return {"name": "Shop", "kind": "sqlite", "source": "shop.sqlite", "table": "sales", "columns": columns}


def talk(folder: Path) -> dict[str, Any]:
    """Run the client against a service of its own; returns what it noted."""
    with running(folder) as (port, admin):
        orders = {
            "api": f"http://127.0.0.1:{port}/api/v1",
            "socket": f"ws://127.0.0.1:{port}/ws",
            "documents": str(DOCUMENTS),
            "file": str(sales(folder)),
            "database": source(folder),
            "password": PASSWORD,
            "admin": admin,
            "answers": str(folder / "answers.json"),
        }
        env = node_env() | {"VUR_CLIENT": json.dumps(orders)}
        done = subprocess.run(
            ["node", str(HERE / "client.cjs")], env=env, capture_output=True, text=True, timeout=500, check=False
        )
    log = (folder / "serve.log").read_text(encoding="utf-8")
    assert done.returncode == 0, done.stderr + log[-3000:]
    return json.loads((folder / "answers.json").read_text(encoding="utf-8")) | {"log": log}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return talk(tmp_path_factory.mktemp("client"))


def documents() -> list[dict[str, Any]]:
    return json.loads(DOCUMENTS.read_text(encoding="utf-8"))


# Null is an answer there: only networks have epochs, and in its first month a catalog has nothing to compare with.
NULL = {"current_epoch", "total_epochs", "trends.accuracy_vs_last_month"}


def faults(shown: Any, answer: Any, at: str = "") -> list[str]:
    """Where `answer` lacks a field of the documented example `shown`, or has another type."""
    if isinstance(shown, dict):
        if not isinstance(answer, dict):
            return [f"{at or 'answer'}: an object is documented"]
        return [
            fault
            for key, value in shown.items()
            for fault in (
                faults(value, answer[key], f"{at}.{key}".strip(".")) if key in answer else [f"{at}.{key} is missing"]
            )
        ]
    if isinstance(shown, list):
        if not isinstance(answer, list):
            return [f"{at}: a list is documented"]
        return [fault for item in answer for fault in faults(shown[0], item, f"{at}[]")] if shown else []
    if answer is None and at in NULL:
        return []
    numbers = (int, float)
    same = isinstance(answer, numbers) if isinstance(shown, numbers) else isinstance(answer, type(shown))
    return [] if same else [f"{at}: {answer!r} in place of {shown!r}"]


def answers(said: dict[str, Any], one: dict[str, Any]) -> list[dict[str, Any]]:
    """All calls of an endpoint."""
    return [call for call in said["calls"] if (call["method"], call["path"]) == (one["method"], one["path"])]


@pytest.mark.parametrize("one", documents(), ids=lambda one: f"{one['method']} {one['path']}")
def test_a_documented_request_is_accepted(one, said):
    calls = answers(said, one)
    assert calls, "the client did not call it"
    assert [call for call in calls if call["status"] not in range(200, 300)] == []
    assert "body" not in one or all(call["verbatim"] for call in calls)


def differences(said: dict[str, Any], one: dict[str, Any]) -> list[str]:
    """Where the last answer of an endpoint differs from the documented one; of the algorithms, ARIMA is documented."""
    shown, answer = one["answer"], answers(said, one)[-1]["answer"]
    if one["path"] == "/models/algorithms":
        answer = answer | {"classical": [entry for entry in answer["classical"] if entry["id"] == "arima"]}
        assert answer["classical"] and answer["machine_learning"] and answer["deep_learning"]
    return faults(shown, answer)


SHOWN = [one for one in documents() if "answer" in one]


@pytest.mark.parametrize("one", SHOWN, ids=lambda one: f"{one['method']} {one['path']}")
def test_an_answer_has_the_documented_fields(one, said):
    assert differences(said, one) == []


def test_a_rejected_token_sends_the_browser_to_the_login(said):
    assert said["redirected"] == {"href": "/login", "token": None}


def test_a_form_sent_as_json_is_told_its_content_type(said):
    assert said["hook"]["status"] == 415
    assert "multipart/form-data" in said["hook"]["body"]["detail"]


def test_live_messages_have_the_documented_types(said):
    types = {message["type"] for message in said["heard"]}
    assert {"training_update", "prediction"} <= types
    assert all("data" in message for message in said["heard"] if message["type"] in ("training_update", "prediction"))


def test_the_log_has_no_traceback(said):
    assert "Traceback" not in said["log"]


def report(said: dict[str, Any]) -> str:
    """The table of the contract: each endpoint, whether its request was accepted and its fields were there."""
    lines = [
        "# The documents' contract",
        "",
        "Written by `python tests/serving/test_client.py`: axios under node, with the defaults and interceptors of the "
        "documents, called every documented endpoint of a running service. Where the documents have a body it was sent "
        "word for word (only ids are filled in); where they have an answer, all its fields were compared by name and "
        "type.",
        "",
        "| section | endpoint | request | status | documented fields |",
        "|---|---|---|---|---|",
    ]
    for one in documents():
        calls = answers(said, one)
        request = "verbatim" if "body" in one else "no body documented"
        wrong = differences(said, one) if "answer" in one else []
        fields = ", ".join(wrong) or "all, with their types" if "answer" in one else "none documented"
        status = ", ".join(sorted({str(call["status"]) for call in calls}))
        lines.append(f"| {one['section']} | `{one['method']} {one['path']}` | {request} | {status} | {fields} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        REPORT.write_text(report(talk(Path(name))), encoding="utf-8")
