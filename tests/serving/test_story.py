"""End to end against a real `vur serve` with curl: from an account to a Bento that serves elsewhere.

`python tests/serving/test_story.py` writes the transcript to reports/service.md.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (Debian's package 'curl')"),
]
PASSWORD = "praia de Boa Viagem 7"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Story:
    """Runs commands as a user would type them and records input and output."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.lines = folder, free_port(), []
        self.env = os.environ | {
            "VUR_HOME": str(folder / "home"),
            "VUR_REPORTS": str(folder / "reports"),
            "VUR_LANGUAGE": "en",
        }
        self.env.pop("VUR_DATABASE_URL", None)
        self.token, self.values = "", {}

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    def say(self, text: str) -> None:
        """A sentence of the transcript."""
        self.lines += ["", text, ""]

    def shell(self, command: str, show: str | None = None) -> str:
        """Run a `vur` command."""
        done = subprocess.run(
            f"{sys.executable} -m vur.cli {command}",
            shell=True,
            capture_output=True,
            text=True,
            env=self.env,
            cwd=self.folder,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.lines += [
            "```sh",
            f"$ vur {show or command}",
            *map(self.hide, done.stdout.strip().splitlines()[-4:]),
            "```",
        ]
        return done.stdout

    def curl(
        self,
        method: str,
        path: str,
        *options: str,
        body: dict | None = None,
        expect: int = 200,
        keep: int = 500,
        show: str | None = None,
        base: str = "$API",
    ) -> dict:
        """Call an endpoint with curl and return its JSON."""
        data = (
            ["-H", "Content-Type: application/json", "-d", json.dumps(body, ensure_ascii=False)]
            if body is not None
            else []
        )
        bearer = ["-H", "Authorization: Bearer $TOKEN"] if self.token else []
        told = ["-X", method, f"{base}{path}", *bearer, *options, *data]
        real = [
            part.replace("$API", self.api)
            .replace("$SERVICE", f"http://127.0.0.1:{self.port}")
            .replace("$TOKEN", self.token)
            for part in told
        ]
        done = subprocess.run(
            ["curl", "-sS", "-w", "\n%{http_code}", *real], capture_output=True, text=True, timeout=120, cwd=self.folder
        )
        text, _, status = done.stdout.rpartition("\n")
        assert int(status) == expect, f"{method} {path}: {status} {text} {done.stderr}"
        shown = show or "curl " + " ".join(
            part if re.fullmatch(r"[\w$./:-]+", part) else '"' + part + '"' if "$" in part else shlex.quote(part)
            for part in told
        )
        self.lines += [
            "```sh",
            f"$ {self.hide(shown)}",
            self.hide(text[:keep] + (" …" if len(text) > keep else "")),
            "```",
        ]
        return json.loads(text) if text.startswith(("{", "[")) else {"text": text}

    def hide(self, text: str) -> str:
        """Replace ids by names and remove tokens."""
        for name, value in self.values.items():
            text = text.replace(value, name)
        text = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN", text)
        return (
            re.sub(r"(\"refresh_token\":\")[^\"]+", r"\1REFRESH", text)
            .replace(str(self.folder), "~")
            .replace(str(ROOT), ".")
        )


class Listener(threading.Thread):
    """A WebSocket client that records its messages."""

    def __init__(self, url: str, token: str):
        super().__init__(daemon=True)
        self.url, self.token, self.heard, self.over = url, token, [], threading.Event()

    def run(self) -> None:
        from websockets.sync.client import connect

        with connect(self.url, additional_headers={"Authorization": f"Bearer {self.token}"}) as socket_:
            while not self.over.is_set():
                try:
                    self.heard.append(json.loads(socket_.recv(timeout=0.5)))
                except TimeoutError:
                    continue


def wait_for(question, seconds: float, what: str):
    """Poll `question` until it returns something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"{what} within {seconds} s")


def ready(port: int, path: str = "/health/ready") -> bool:
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        text=True,
    )
    return done.stdout == "200"


def tell(story: Story) -> None:
    """The whole story."""
    story.say("## An administrator prepares a data home and starts the service")
    story.shell("init")
    subprocess.run(
        [sys.executable, "-m", "vur.cli", "users", "add", "ana@x.br", "--role", "admin", "--password-stdin"],
        input=PASSWORD + "\n",
        text=True,
        check=True,
        capture_output=True,
        env=story.env,
    )
    story.lines += ["```sh", "$ vur users add ana@x.br --role admin", f"$ vur serve --port {story.port} &", "```"]
    log = (story.folder / "serve.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "vur.cli", "serve", "--port", str(story.port)],
        env=story.env,
        cwd=story.folder,
        stdout=log,
        stderr=log,
    )
    try:
        wait_for(lambda: ready(story.port), 90, "the service is ready")
        chapters(story)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    said = (story.folder / "serve.log").read_text()
    assert server.returncode == 0 and "Traceback" not in said, said[-4000:]


def chapters(story: Story) -> None:
    """The steps of the clients."""
    native(story)
    account(story)
    dataset = upload(story)
    model = train(story, dataset)
    forecast(story, model, dataset)
    pipeline(story, dataset)
    package(story)


def native(story: Story) -> None:
    """BentoML's own routes are behind the guard too."""
    for path in ("/", "/predict", "/docs.json", "/schema.json", "/metrics", "/api/v1/models", "/nothing"):
        done = subprocess.run(
            [
                "curl",
                "-s",
                "-w",
                "\n%{http_code}",
                "-X",
                "POST" if path == "/predict" else "GET",
                f"http://127.0.0.1:{story.port}{path}",
            ],
            capture_output=True,
            text=True,
        )
        assert done.stdout.endswith("401"), path


def account(story: Story) -> None:
    story.say("## An account")
    story.curl(
        "POST",
        "/auth/register",
        body={"email": "bia@x.br", "username": "bia", "password": PASSWORD, "full_name": "Bia Souza"},
        expect=201,
    )
    answer = story.curl("POST", "/auth/login", body={"username": "bia", "password": PASSWORD})
    story.token = answer["access_token"]
    assert story.curl("GET", "/auth/me")["email"] == "bia@x.br"


def upload(story: Story) -> str:
    story.say("## A Brazilian file: semicolons, decimal commas, dd/mm/yyyy, latin-1")
    found = story.curl(
        "POST",
        "/datasets/upload",
        "-F",
        f"file=@{ROOT / 'data/partidas_diarias.csv'}",
        "-F",
        "name=Partidas",
        expect=201,
    )
    story.values["DATASET"] = id = found["dataset_id"]
    assert found["suggestions"]["date_column"] and found["suggestions"]["target_column"]
    story.curl("GET", f"/datasets/{id}/preview?limit=2")
    story.curl("GET", f"/datasets/{id}/statistics", keep=400)
    story.curl("POST", f"/datasets/{id}/validate", keep=400)
    return id


def train(story: Story, dataset: str) -> str:
    story.say("## A model, trained in the background, watched over a WebSocket")
    model = story.curl(
        "POST",
        "/models/configure",
        body={
            "dataset_id": dataset,
            "name": "partidas",
            "algorithm": "auto",
            "preset": "fast",
            "horizon": 14,
            "country": "US",
            "validation": {"method": "time_series_split", "n_splits": 2},
            "metrics": ["mase", "mae"],
        },
        expect=201,
        keep=300,
    )
    story.values["MODEL"] = id = model["model_id"]
    listener = Listener(f"ws://127.0.0.1:{story.port}/ws", story.token)
    listener.start()
    job = story.curl("POST", f"/models/{id}/train", expect=202)
    story.values["JOB"] = job["job_id"]

    def over() -> str:
        answer = subprocess.run(
            ["curl", "-s", f"{story.api}/models/{id}/training/status", "-H", f"Authorization: Bearer {story.token}"],
            capture_output=True,
            text=True,
        ).stdout
        state = json.loads(answer)["status"]
        assert state not in ("failed", "cancelled"), answer
        return state if state == "trained" else ""

    wait_for(over, 240, "the training ends")
    time.sleep(1)
    listener.over.set()
    updates = [
        message
        for message in listener.heard
        if message["type"] == "training_update" and message["data"]["model_id"] == id
    ]
    assert updates and updates[-1]["data"]["progress"] == 100.0
    shown = [updates[0], *updates[len(updates) // 2 :: max(1, len(updates) // 4)][:2], updates[-1]]
    story.lines += [
        "Heard on `ws://…/ws` meanwhile:",
        "```json",
        *(story.hide(json.dumps(one, ensure_ascii=False)[:300]) for one in shown),
        "```",
    ]
    story.curl("GET", f"/models/{id}/training/status", keep=400)
    results = story.curl("GET", f"/models/{id}/results", keep=600)
    assert results["leaderboard"]
    return id


def forecast(story: Story, model: str, dataset: str) -> None:
    story.say("## Forecasts: the champion answers; every answer is in the ledger")
    story.curl("POST", f"/models/{model}/promote", body={"reason": "first of its kind"})
    answer = story.curl(
        "POST", "/predictions/predict", body={"model_id": model, "horizon": 3, "levels": [80]}, keep=700
    )
    assert answer["forecasts"] and not answer["errors"]
    story.curl("GET", "/predictions/history?limit=1", keep=400)
    story.say(
        "BentoML's own typed endpoint gives the same forecast, with the same authentication and ledger; "
        "its errors have the common shape too."
    )
    native = story.curl(
        "POST", "/predict", body={"model": model, "horizon": 3, "levels": [80]}, keep=200, base="$SERVICE"
    )
    assert native["forecasts"] == answer["forecasts"] and native["forecast_id"] != answer["forecast_id"]
    wrong = story.curl(
        "POST", "/predict", "-H", "Accept-Language: pt-BR", body={"model": "nada"}, expect=404, base="$SERVICE"
    )
    assert wrong["code"] == "api.not_found" and wrong["values"]["id"] == "nada"
    story.say("A batch over a whole dataset is a job; its file is downloaded when it has ended.")
    batch = story.curl(
        "POST", "/predictions/batch", body={"model_id": model, "horizon": 14, "output": "csv"}, expect=202
    )
    story.values["BATCH"] = batch["job_id"]
    wait_for(lambda: _state(story, f"/jobs/{batch['job_id']}") == "succeeded", 120, "the batch ends")
    table = story.curl("GET", f"/predictions/batch/{batch['job_id']}/download", keep=250)["text"]
    assert len(table.splitlines()) > 14


def _state(story: Story, path: str) -> str:
    answer = subprocess.run(
        ["curl", "-s", story.api + path, "-H", f"Authorization: Bearer {story.token}"], capture_output=True, text=True
    ).stdout
    found = json.loads(answer)
    state = found.get("state") or found.get("status")
    assert state not in ("failed", "cancelled"), answer
    return state


def pipeline(story: Story, dataset: str) -> None:
    story.say("## A pipeline, exported and imported")
    made = story.curl("POST", "/pipelines", body={"name": "Partidas", "dataset_id": dataset}, expect=201, keep=300)
    story.values["PIPELINE"] = id = made.get("pipeline_id") or made["id"]
    exported = story.curl("GET", f"/pipelines/{id}/export", keep=400)
    story.curl("POST", "/pipelines/import", body=exported, expect=201, keep=300)
    story.curl("GET", "/dashboard/stats")


def package(story: Story) -> None:
    story.say("## A Bento of the model, served without repository and catalog")
    tag = story.curl("GET", f"/models/{story.values['MODEL']}", keep=200)["tag"]
    story.shell(f"package {tag} --name partidas --out partidas.bento")
    steps = commands((story.folder / "partidas.md").read_text(encoding="utf-8"))
    assert [step.split()[0] for step in steps] == [
        "export",
        "bentoml",
        "pip",
        "bentoml",
        *["curl"] * 2,
        "export",
        "curl",
        "curl",
    ]
    elsewhere, port = story.folder / "elsewhere", free_port()
    env = {key: value for key, value in os.environ.items() if not key.startswith("VUR_")} | {
        "HOME": str(elsewhere),
        "BENTOML_HOME": str(elsewhere / "bentoml"),
        "VUR_HOME": str(elsewhere / "vur"),
        "COLUMNS": "80",
        "BENTOML_DO_NOT_TRACK": "True",
    }
    elsewhere.mkdir()
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"

    def typed(lines: list[str], **options: Any) -> subprocess.Popen[str]:
        """The lines as a user types them into a new terminal, in the folder of the package."""
        script = "set -e\n" + "\n".join(lines).replace("3000", str(port))
        return subprocess.Popen(["bash", "-c", script], env=env, cwd=story.folder, text=True, **options)

    story.lines += ["```sh", *(f"$ {step}" for step in steps[:4]), "```"]
    log = (elsewhere / "log").open("w")
    server = typed(steps[:4], stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: ready(port, "/readyz"), 120, "the Bento is ready")
        asked = f"http://127.0.0.1:{port}/predict"
        refused = subprocess.run(["curl", "-s", "-X", "POST", asked], capture_output=True, text=True)
        assert json.loads(refused.stdout)["code"] == "package.unauthenticated"
        for step in steps[4:6]:
            assert typed([step]).wait(60) == 0
        said, _ = typed(steps[6:8], stdout=subprocess.PIPE).communicate(timeout=60)
        packaged = json.loads(said)["forecasts"]
        story.lines += ["```sh", *(f"$ {step}" for step in steps[6:8]), said[:400] + " …", "```"]
        listed, _ = typed([steps[6], steps[8]], stdout=subprocess.PIPE).communicate(timeout=60)
        assert [one["model"] for one in json.loads(listed)] == [tag]
        wrong = steps[7].rpartition("-d ")[0] + "-d '{\"horizon\": 0}'"
        said, _ = typed([steps[6], wrong], stdout=subprocess.PIPE).communicate(timeout=60)
        assert json.loads(said)["field"] == "horizon"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    told = (elsewhere / "log").read_text()
    assert "Traceback" not in told and "ERROR" not in told, told[-3000:]
    served = story.curl("POST", "/predictions/predict", body={"model_id": story.values["MODEL"]}, keep=300)
    assert [row["forecast"] for row in packaged] == flat(served), "the Bento forecasts what the service does"


def commands(readme: str) -> list[str]:
    """The indented commands of a package's README, as they are printed."""
    lines = [line.strip() for line in readme.splitlines() if line.startswith("    ")]
    return [line for line in lines if not line.startswith("{")]


def flat(answer: dict) -> list[float]:
    """The forecasts of a response, series by series."""
    return [value for series in answer["forecasts"].values() for value in series["forecast"]]


def test_the_whole_story_with_curl(tmp_path):
    tell(Story(tmp_path))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        story = Story(Path(scratch))
        story.lines = [
            "# The service, from an account to a Bento",
            "",
            "Written by `python tests/serving/test_story.py`, which ran every command against `vur serve`. "
            "`$API` is `http://127.0.0.1:8000/api/v1`, `$TOKEN` the access token; ids are replaced by names.",
        ]
        tell(story)
        (ROOT / "reports" / "service.md").write_text(
            "\n".join(story.lines).replace(str(story.port), "8000") + "\n", encoding="utf-8"
        )
