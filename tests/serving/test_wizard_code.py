"""A pipeline as code: what is printed is executed, and gives what the service gives."""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
import yaml
from databases import kind  # noqa: F401 - a fixture
from samples import DATA, ROOT
from service import free_port
from test_datasets import PT, sent, table
from test_pipelines import begun, complete, put

from vur.commands import run as run_command
from vur.runs.config import Config
from vur.store import database
from vur.store.catalog import Pipeline
from vur.store.data import datasets
from vur.wizard import code, steps

FLIGHTS = "partidas_diarias.csv"
QUICK = {
    "preview": {"date": "Data", "target": "Partidas", "roles": {"Precipitação (mm)": "exclude"}},
    "split": {"horizon": 14, "folds": 2},
    "preprocessing": {"outliers": {"method": "hampel", "treatment": "replace"}},
    "features": {"country": "BR"},
    "model": {"algorithms": ["naive", "theta"], "ensemble": False},
    "training": {"levels": [80], "seed": 3},
}
NASTY = 'Vendas d\'"Água" $HOME `id` \\ – 100%\tçãé'


def filled(person, dataset_id: str, choices: dict[str, Any], name: str = "Partidas") -> str:
    """Address of a pipeline with these choices, complete."""
    url = begun(person, dataset_id, name)
    for step, data in choices.items():
        answer = put(person, url, step, data)
        assert answer.status_code == 200, (step, answer.text)
    return url


def expected(pipeline_id: str) -> Config:
    """The configuration that a training of the pipeline has, from the catalog."""
    with database.reading() as session:
        pipeline = session.get_one(Pipeline, pipeline_id)
        dataset = session.get_one(datasets.Dataset, pipeline.dataset_id)
        return steps.trained_config(pipeline.name, pipeline.config, datasets.data_spec(session, dataset))


def executed(text: str) -> tuple[dict[str, Any], str]:
    """What a printed program leaves, and what it prints."""
    found: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(text, "<printed>", "exec"), found)  # noqa: S102 - that is what is tested
    return found, printed.getvalue()


@pytest.fixture
def flights(ana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A complete pipeline on the Brazilian sample; its file lies in the working folder."""
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(DATA / FLIGHTS, work)
    monkeypatch.chdir(work)
    return filled(ana, sent(ana, DATA / FLIGHTS, FLIGHTS)["dataset_id"], QUICK)


def printed(person, url: str, step: str) -> dict[str, str]:
    answer = person.get(f"{url}/code", params={"step": step}, headers=PT)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_python_of_each_step_finds_what_the_service_found(ana, flights):
    def look(step: str) -> dict[str, Any]:
        return ana.post(f"{flights}/preview", json={"step": step}, headers=PT).json()

    _, out = executed(printed(ana, flights, "upload")["python"])
    assert "Precipitação (mm) numeric" in out and "Aeroporto categorical" in out
    left, out = executed(printed(ana, flights, "preview")["python"])
    assert list(left["run"].findings["message"]) == [finding["message"] for finding in look("preview")["findings"]]
    left, _ = executed(printed(ana, flights, "split")["python"])
    cutoffs = [str(fold.cutoffs.max())[:10] for fold in left["run"].plan.folds]
    assert cutoffs == [fold["cutoff"][:10] for fold in look("split")["folds"]]
    left, _ = executed(printed(ana, flights, "preprocessing")["python"])
    assert int(left["run"].preprocessor.report["outliers"].sum()) == look("preprocessing")["counts"]["outliers"]
    left, _ = executed(printed(ana, flights, "features")["python"])
    names = [name for name in left["matrix"].columns if name not in ("unique_id", "ds", "y")]
    assert len(names) == look("features")["count"] and "holiday" in names
    left, _ = executed(printed(ana, flights, "model")["python"])
    competing = [one["id"] for one in look("model")["candidates"]]
    assert [candidate.id for candidate in left["run"].candidates] == competing


def test_the_python_of_the_training_has_the_configuration_of_the_service(ana, flights):
    program = printed(ana, flights, "training")["python"]
    head = program.partition("result = ")[0]
    left, _ = executed(head)
    assert left["config"].hash() == expected(flights.rsplit("/", 1)[1]).hash() and left["config"].name == "Partidas"
    assert left["source"].is_file() and "Todos os passos" in program


def command_of(text: str) -> list[str]:
    """The words that a shell gives to the command `vur run` of a script, after its files are written here."""
    script = f"vur() {{ printf '%s\\0' \"$@\" > words; }}\n{text}"
    subprocess.run(["bash", "-euc", script], check=True)
    return Path("words").read_text().split("\0")[1:-1]


def given_config(text: str, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The configuration that `vur run` would train with."""
    import argparse

    from vur.runs import api

    parser = argparse.ArgumentParser()
    run_command.add_arguments(parser)
    seen: list[Config] = []

    def prepare(config: Config, reports: Path) -> Path:
        seen.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "prepare", prepare)
    with contextlib.suppress(KeyboardInterrupt):
        run_command.run(parser.parse_args(command_of(text)), "en")
    return seen[0]


@pytest.mark.parametrize(
    ("changes", "as_options"),
    [
        ({}, False),
        ({"model": {"algorithms": ["naive", "theta"], "metric": "mae"}, "preprocessing": {}}, True),
        ({"model": {"preset": "fast", "optimize": {"iterations": 3}}, "preprocessing": {}, "features": {}}, True),
        ({"model": {"parameters": {"ets": {"damped": True}}}, "training": {"whole": True}}, False),
        ({"preview": {"roles": {"Cancelados": "static"}}, "preprocessing": {}}, False),
        ({"preview": {"series": ["Aeroporto"], "duplicates": "sum", "tz": None}, "preprocessing": {}}, True),
    ],
)
def test_the_command_has_the_configuration_of_the_service(ana, flights, monkeypatch, changes, as_options):
    if changes:
        url = filled(ana, ana.get(flights).json()["dataset_id"], QUICK | {"model": {"preset": "fast"}} | changes)
    else:
        url = flights
    text = printed(ana, url, "training")["command"]
    assert ("<<'YAML'" not in text) == as_options, text
    assert given_config(text, monkeypatch).hash() == expected(url.rsplit("/", 1)[1]).hash()


def test_names_that_a_shell_would_read_are_quoted_everywhere(ana, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    column = 'a\'b "c" $HOME `id` \\x'
    rows = table(60).decode().partition("\n")[2]
    quoted = 'date,sales,region,"' + column.replace('"', '""') + '"'
    dataset = sent(ana, f"{quoted}\n{rows}".encode(), "-a'b;c $X.csv")["dataset_id"]
    names = ana.get(f"/datasets/{dataset}").json()["columns"]
    assert column in names, names
    choices = QUICK | {
        "preview": {"date": "date", "target": column, "series": ["region"], "roles": {"sales": "exclude"}},
        "split": {"horizon": 5, "folds": 2},
        "preprocessing": {},
    }
    for model in ({"algorithms": ["naive"]}, {"algorithms": ["naive"], "ensemble": False}):
        url = filled(ana, dataset, choices | {"model": model}, NASTY.replace("\t", " "))
        shown = printed(ana, url, "training")
        (tmp_path / "-a'b;c $X.csv").write_text(f"{quoted}\n{rows}")
        found = given_config(shown["command"], monkeypatch)
        wanted = expected(url.rsplit("/", 1)[1])
        assert found.hash() == wanted.hash() and found.name == wanted.name == NASTY.replace("\t", " ")
        left, _ = executed(shown["python"].partition("result = ")[0])
        assert left["config"].hash() == wanted.hash() and left["source"].is_file()
        subprocess.run(["bash", "-nc", shown["http"]], check=True)
        subprocess.run(["bash", "-nc", printed(ana, url, "upload")["http"]], check=True)
        nbformat.validate(nbformat.from_dict(ana.get(f"{url}/notebook").json()))


def test_a_hostile_host_does_not_reach_the_code(ana, flights):
    answer = ana.get(f"{flights}/code", headers={"Host": "x$(id)`id`.br"})
    assert answer.status_code != 200 or "$(id)" not in answer.json()["http"]


def test_code_needs_a_dataset_and_covers_every_choice(ana):
    assert ana.get(f"{begun(ana)}/code").json()["code"] == "pipelines.unreachable"
    url = complete(ana, sent(ana, table(120))["dataset_id"])
    shown = printed(ana, url, "training")["command"]
    text = shown.partition("<<'YAML'\n")[2].rpartition("\nYAML")[0]
    written = yaml.safe_load(text)
    assert Config.from_dict(written).hash() == expected(url.rsplit("/", 1)[1]).hash()
    assert set(written) == {"name", "language", "data", "split", "preprocess", "features", "model", "training"}
    before = yaml.safe_load(yaml.safe_dump(code.choices(Config.from_dict(written), "split")))
    assert set(before) == {"name", "language", "data", "split"}


# --- the service, its token, a shell ---


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Path]]:
    """A running service: its address, the environment of a shell with VUR_TOKEN, and a working folder with `vur`."""
    work = tmp_path_factory.mktemp("shell")
    env = os.environ | {
        "VUR_HOME": str(work / "home"),
        "VUR_REPORTS": str(work / "reports"),
        "VUR_LANGUAGE": "en",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    env.pop("VUR_DATABASE_URL", None)
    program = [sys.executable, "-P", "-m", "vur.cli"]
    (work / "bin").mkdir()
    shim = work / "bin" / "vur"
    shim.write_text(f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n')
    shim.chmod(shim.stat().st_mode | stat.S_IEXEC)
    env["PATH"] = f"{work / 'bin'}{os.pathsep}{env['PATH']}"
    subprocess.run([*program, "init"], env=env, check=True, capture_output=True)
    added = [*program, "users", "add", "ana@x.br", "--role", "analyst", "--password-stdin"]
    subprocess.run(added, env=env, input="praia de Boa Viagem 7\n", text=True, check=True, capture_output=True)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with (work / "serve.log").open("w") as log:
        server = subprocess.Popen([*program, "serve", "--port", str(port)], env=env, cwd=work, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{base}/health/ready").status_code == 200:
                    break
            time.sleep(0.2)
        login = {"email": "ana@x.br", "password": "praia de Boa Viagem 7"}
        env["VUR_TOKEN"] = httpx.post(f"{base}/api/v1/auth/login", json=login).json()["access_token"]
        yield base, env, work
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (Debian's package 'curl')")
def test_curl_command_python_and_notebook_train_the_same_model(service):
    base, env, work = service
    shutil.copy(DATA / FLIGHTS, work)

    def shell(text: str) -> str:
        done = subprocess.run(["bash", "-euc", text], env=env, cwd=work, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, text + done.stdout + done.stderr
        return done.stdout

    with httpx.Client(
        base_url=f"{base}/api/v1", headers={"Authorization": f"Bearer {env['VUR_TOKEN']}", **PT}, timeout=60
    ) as http:
        with (DATA / FLIGHTS).open("rb") as file:
            dataset = http.post("/datasets/upload", files={"file": (FLIGHTS, file)}).json()["dataset_id"]
        url = begun(http, dataset, "Partidas")
        for step, data in QUICK.items():
            assert put(http, url, step, data).status_code == 200
        state = http.get(f"{url}/state").json()
        told = {step: http.get(f"{url}/code", params={"step": step}).json() for step in ("upload", *QUICK)}
        uploaded = shell(told["upload"]["http"])
        assert f'"filename":"{FLIGHTS}"' in uploaded and http.get("/pipelines").json()["total"] == 2
        for step in list(QUICK)[:-1]:
            again = json.loads(shell(told[step]["http"]))
            assert again["undone"] == []
            assert [one["data"] for one in again["steps"]] == [one["data"] for one in state["steps"]]
        shell(told["training"]["http"])
        model = http.get(f"{url}/state").json()["model"]["model_id"]
        end = time.monotonic() + 120
        while (status := http.get(f"/models/{model}/training/status").json())["status"] not in ("trained", "failed"):
            assert time.monotonic() < end, status
            time.sleep(0.3)
        assert status["status"] == "trained", status
        seen = http.get(f"/models/{model}/training/progress").json()
        assert {one["algorithm"] for one in seen["scores"]} >= {"theta", "naive", "seasonal_naive"}
        results = http.get(f"/models/{model}/results").json()
        hashed = results["facts"]["config_hash"]
        forecast = [round(row["forecast"], 6) for row in results["forecast"]]
        notebook = http.get(f"{url}/notebook").json()

    def same(folder: Path) -> None:
        import pandas as pd

        run = next(path for path in sorted(folder.iterdir()) if (path / "forecast.csv").is_file())
        assert json.loads((run / "run.json").read_text())["config_hash"] == hashed
        assert pd.read_csv(run / "forecast.csv")["forecast"].round(6).tolist() == forecast

    (work / FLIGHTS).unlink()
    shell(told["training"]["download"])
    assert (work / FLIGHTS).read_bytes() == (DATA / FLIGHTS).read_bytes()
    env["VUR_REPORTS"] = str(work / "by-command")
    shell(told["training"]["command"])
    same(work / "by-command")
    env["VUR_REPORTS"] = str(work / "by-python")
    (work / "program.py").write_text(told["training"]["python"])
    shell(shlex.join([sys.executable, "-P", "program.py"]))
    same(work / "by-python")
    env["VUR_REPORTS"], env["VUR_URL"] = str(work / "by-notebook"), base
    (work / "elsewhere").mkdir()
    nbformat.validate(nbformat.from_dict(notebook))
    (work / "elsewhere" / "n.ipynb").write_text(json.dumps(notebook))
    shell(f"cd elsewhere && {shlex.join([sys.executable, '-m', 'papermill', 'n.ipynb', 'out.ipynb', '-k', 'python3'])}")
    same(work / "by-notebook")
    assert (work / "elsewhere" / FLIGHTS).is_file(), "downloaded with the token"
