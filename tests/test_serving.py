"""The prediction service over HTTP: forecasts with the token, nothing but health without it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import DATA, ROOT

import vur

TOKEN = "for-the-tests-only"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(url: str, content: dict, token: str | None = TOKEN) -> tuple[int, object]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(content).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> vur.RunResult:
    return vur.run(DATA / "electrical_equipment.csv", algorithms="seasonal_naive,drift", name="equipment", notebook=False,
                   out=tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def service(trained: vur.RunResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = free_port(), (tmp_path_factory.mktemp("log") / "serve.log").open("w")
    command = [sys.executable, "-m", "bentoml", "serve", "vur.serving.service:Vur", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=os.environ | {"VUR_TOKEN": TOKEN, "BENTOML_DO_NOT_TRACK": "True"})
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/readyz", timeout=2)
                break
            except OSError:
                assert server.poll() is None, Path(log.name).read_text()
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.slow
def test_predictions_are_those_of_the_run(service: str, trained: vur.RunResult) -> None:
    status, rows = post(f"{service}/predict", {"model": "equipment", "horizon": 12})
    assert status == 200
    served = pd.DataFrame(rows).assign(ds=lambda d: pd.to_datetime(d["ds"]))
    pd.testing.assert_frame_equal(served, trained.forecast, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/predict", "/models", "/docs.json", "/metrics", "/", "/schema.json"])
def test_nothing_answers_without_the_token(service: str, path: str) -> None:
    assert post(service + path, {"model": "equipment"}, token=None)[0] == 401
    assert post(service + path, {"model": "equipment"}, token="wrong")[0] == 401


@pytest.mark.slow
def test_an_unknown_model_is_a_bad_request_that_lists_the_known(service: str) -> None:
    status, text = post(f"{service}/predict", {"model": "nothing"})
    assert status == 400 and "equipment" in text


def test_the_token_file_is_the_owners_alone(tmp_path: Path) -> None:
    from vur.serving.token import _secret

    path = tmp_path / "token"
    assert _secret(path) == _secret(path) and len(_secret(path)) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
