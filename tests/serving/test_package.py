"""`vur package`: a Bento of trained models that reproduces the run's forecasts, requires a token, and stands alone."""

import http.client
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
from trained_models import trained_once

from vur.errors import VurError

pytestmark = pytest.mark.slow
TOKEN = "for-the-tests-only"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(url: str, content: dict | bytes | None, token: str | None = TOKEN) -> tuple[int, object]:
    """Status and answer of a POST; of a GET where `content` is None."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(
        url, json.dumps(content).encode() if isinstance(content, dict) else content, headers
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def vur(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vur.cli", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"VUR_HOME": str(home)},
        timeout=300,
    )


@pytest.fixture(scope="module")
def runs() -> dict:
    return trained_once()[1]


@pytest.fixture(scope="module")
def served(runs: dict, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and source folder of a Bento of two models, imported and served with a home of its own."""
    folder = tmp_path_factory.mktemp("package")
    done = vur(
        trained_once()[0],
        "package",
        "equipment",
        runs["shop"].model_tag,
        "--name",
        "two",
        "--out",
        str(folder / "two.bento"),
    )
    assert done.returncode == 0, done.stderr
    env = {key: value for key, value in os.environ.items() if not key.startswith("VUR_")} | {
        "BENTOML_HOME": str(folder / "bentoml"),
        "HOME": str(folder),
        "VUR_TOKEN": TOKEN,
        "VUR_HOME": str(folder / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "COLUMNS": "999",
    }  # or a long path comes back in two lines
    bentoml = [sys.executable, "-m", "bentoml"]
    subprocess.run([*bentoml, "import", str(folder / "two.bento")], env=env, check=True, capture_output=True)
    path = subprocess.run(
        [*bentoml, "get", "two:latest", "--output", "path"], env=env, check=True, capture_output=True, text=True
    ).stdout.strip()
    port, log = free_port(), (folder / "log").open("w")
    server = subprocess.Popen(
        [*bentoml, "serve", "two:latest", "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        stdout=log,
        stderr=log,
        env=env,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(450):
            try:
                urllib.request.urlopen(f"{url}/readyz", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
        yield url, Path(path)
    finally:
        server.terminate()
        server.wait(40)


def test_its_forecasts_are_those_of_the_run(served, runs):
    status, answer = post(f"{served[0]}/predict", {"model": "equipment"})
    assert status == 200 and answer["model"] == runs["equipment"].model_tag
    table = pd.DataFrame(answer["forecasts"]).assign(ds=lambda rows: pd.to_datetime(rows["ds"]))
    pd.testing.assert_frame_equal(table, runs["equipment"].forecast, check_exact=True)


def test_it_takes_future_values_and_levels(served, runs):
    future = [
        {"dia": f"2024-05-{day:02d}", "loja": shop, "preco": 5.0}
        for shop in ("norte", "sul", "leste")
        for day in range(1, 8)
    ]
    cheap = post(f"{served[0]}/predict", {"model": "shop", "horizon": 3, "levels": [50], "future": future})[1]
    usual = post(f"{served[0]}/predict", {"model": "shop", "horizon": 3, "levels": [50]})[1]
    assert not isinstance(cheap, str), cheap
    assert set(cheap["forecasts"][0]) == {"unique_id", "ds", "forecast", "lo-50", "hi-50"}
    assert sum(row["forecast"] for row in cheap["forecasts"]) > sum(row["forecast"] for row in usual["forecasts"])


def test_it_describes_its_models_and_rejects_others(served, runs):
    known = post(f"{served[0]}/models", {})[1]
    assert [one["model"] for one in known] == [runs["equipment"].model_tag, runs["shop"].model_tag] and known[0][
        "run"
    ] == runs["equipment"].id
    for body, expected, code in (({"model": "nothing"}, 404, "package.no_model"), ({}, 422, "package.which_model")):
        status, text = post(f"{served[0]}/predict", body)
        told = json.loads(text)
        assert (status, told["code"], told["field"]) == (expected, code, "model") and "equipment" in told["detail"]


def test_it_refuses_what_the_service_refuses(served):
    """In the same form, and without a line about an error of the service in its log."""
    for body, field in (
        ({"horizon": 0}, "horizon"),
        ({"horizon": True}, "horizon"),
        ({"horizon": "soon"}, "horizon"),
        ({"horizon": 10**9}, "horizon"),
        ({"horizn": 3}, "horizn"),
        ({"levels": [0]}, "levels.0"),
    ):
        status, text = post(f"{served[0]}/predict", {"model": "equipment"} | body)
        told = json.loads(text)
        assert status == 422 and told["field"] == field and told.keys() >= {"detail", "code", "values"}, text
    status, answer = post(f"{served[0]}/predict", {"model": "equipment", "horizon": 1, "levels": []})
    assert status == 200 and set(answer["forecasts"][0]) == {"unique_id", "ds", "forecast"}
    status, text = post(f"{served[0]}/predict", {"model": "equipment", "horizon": 9000})
    told = json.loads(text)
    assert (status, told["code"], told["field"]) == (422, "predictions.calendar", "horizon")
    most = told["values"]["most"]
    assert post(f"{served[0]}/predict", {"model": "equipment", "horizon": most, "levels": []})[0] == 200
    for content, status, field in (
        (b'{"model": "equipment", "horizon": NaN}', 422, "horizon"),
        (b'{"model": "equipment", "levels": [1e400]}', 422, "levels.0"),
        (b'{"model": "a\\ud800"}', 422, "model"),
        (b'{"mod\\ud800": 1}', 422, "mod\\ud800"),
        (b'{"model": "' + b"x" * 1_000_000 + b'"}', 422, "model"),
    ):
        found, text = post(f"{served[0]}/predict", content)
        assert (found, json.loads(text)["field"]) == (status, field) and len(text) < 3_000
    for path, content, status in (("/nothing", b"{}", 404), ("/predict", None, 405)):
        found, text = post(f"{served[0]}{path}", content)
        assert found == status and "/api/v1" not in text and " /" in json.loads(text)["detail"]
    connection = http.client.HTTPConnection(served[0].removeprefix("http://"))
    connection.putrequest("POST", "/predict")
    for name, value in (("Authorization", f"Bearer {TOKEN}"), ("Content-Length", str(17 * 2**20))):
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413 and json.loads(answer.read())["code"] == "api.too_large"
    log = next(folder / "log" for folder in served[1].parents if (folder / "log").is_file())
    assert "ERROR" not in log.read_text() and "Traceback" not in log.read_text()


@pytest.mark.parametrize("path", ["/predict", "/models", "/docs.json", "/metrics", "/", "/schema.json"])
def test_nothing_responds_without_the_token(served, path):
    assert post(served[0] + path, {"model": "equipment"}, token=None)[0] == 401
    assert post(served[0] + path, {"model": "equipment"}, token="wrong")[0] == 401


def test_it_has_its_instructions_and_only_the_required_libraries(served):
    readme, requirements = (
        (served[1] / "README.md").read_text(),
        (served[1] / "env" / "python" / "requirements.txt").read_text(),
    )
    assert "bentoml serve two:" in readme and json.loads((served[1] / "src" / "example.json").read_text())[
        "model"
    ].startswith("equipment:")
    assert "statsforecast==" in requirements and not {"tensorflow==", "jupyterlab==", "prophet=="} & {
        line.split("==")[0].lower() + "==" for line in requirements.splitlines()
    }
    assert not list((served[1] / "src").rglob("secrets.json")) and not list((served[1] / "src").rglob("catalog.sqlite"))


def test_a_model_that_was_tampered_with_is_not_packaged(runs, tmp_path):
    import shutil

    shutil.copytree(trained_once()[0] / "bentoml" / "models", tmp_path / "home" / "bentoml" / "models")
    for path in (tmp_path / "home" / "bentoml" / "models" / "equipment").rglob("pipeline.json"):
        path.write_text(path.read_text() + " ")
    done = vur(tmp_path / "home", "package", "equipment", "--out", str(tmp_path))
    assert done.returncode == 1 and "equipment" in done.stderr and not list(tmp_path.glob("*.bento"))


def test_an_unknown_model_is_named(tmp_path):
    done = vur(tmp_path / "home", "package", "nothing")
    assert done.returncode == 1 and "nothing" in done.stderr and "Traceback" not in done.stderr


def test_the_token_file_is_readable_only_by_its_owner(tmp_path):
    from vur.serving.packaging.token import _secret

    path = tmp_path / "token"
    assert _secret(path) == _secret(path) and len(_secret(path)) >= 32
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_models_need_a_name():
    from vur.serving.packaging.packaged import Models

    with pytest.raises(VurError, match="a:1"):
        Models({"a:1": "x", "b:1": "y"}).tag(None)
