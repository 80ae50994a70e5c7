"""Machines with curl against a real `vur serve`: register, train, follow, read, delete, and the signed webhook.

Every answer is validated against the interface's own document. `python tests/serving/test_machines_story.py` writes the
transcript into docs/guides/machines.md, whose examples of a signature are run here too.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from builders import brazilian, plant  # noqa: E402 - also found where this file is run as a script
from jsonschema import Draft202012Validator  # noqa: E402
from service import free_port  # noqa: E402

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "machines.md"
DOCUMENT = json.loads((Path(__file__).parent / "production_variables.json").read_text(encoding="utf-8"))
BEGIN, END = "<!-- begin transcript -->\n", "<!-- end transcript -->\n"
SECRET = "entre-o-vur-e-o-servico-de-modelo"
LONGEST = 700
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (Debian's package 'curl')"),
]


class Story:
    """Runs curl as a client would type it, checks each answer, and records both."""

    def __init__(self, place: Path):
        self.place, self.port, self.lines = place, free_port(), list[str]()
        self.token = ""
        kept = {key: value for key, value in os.environ.items() if key != "VUR_DATABASE_URL"}
        self.env = kept | {
            "VUR_HOME": str(place / "home"),
            "VUR_LANGUAGE": "en",
            "VUR_RELEVANCE_SERVICE_SECRET": SECRET,
            "SERVICE": f"http://127.0.0.1:{self.port}",
        }

    def say(self, text: str) -> None:
        """A sentence of the transcript."""
        self.lines += ["", text, ""]

    def curl(self, path: str, *options: str, of: tuple[str, str] | None = None, expect: int = 200, show=True) -> Any:
        """Call an endpoint; `of` is the method and path under which its answer is described."""
        auth = ["-H", "Authorization: Bearer $TOKEN"] if self.token else []
        told = [f"$SERVICE{path}", *auth, *options]
        real = [one.replace("$SERVICE", self.env["SERVICE"]).replace("$TOKEN", self.token) for one in told]
        command = ["curl", "-sS", "-w", "\n%{http_code}", *real]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=self.place)
        text, _, status = done.stdout.rpartition("\n")
        assert int(status) == expect, f"{path}: {status} {text} {done.stderr}"
        found = json.loads(text)
        if of is not None:
            self.check(*of, status, found)
        if show:
            line = "curl -sS " + " ".join(
                one if re.fullmatch(r"[-\w/]+", one) else "'" + one + "'" if '"' in one else '"' + one + '"'
                for one in told
            )
            self.record(line, text)
        return found

    def check(self, method: str, path: str, status: str, found: Any) -> None:
        """Validate an answer against the interface's document."""
        described = DOCUMENT["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
        Draft202012Validator(described | {"components": DOCUMENT["components"]}).validate(found)

    def record(self, command: str, text: str) -> None:
        """Add a command and what it answered to the transcript, without tokens and the names of this run."""
        shown = re.sub(r'((?:owner|user)_id":")[^"]+', r"\1USER", text)
        shown = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "JOB", shown)
        shown = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "2026-01-31T12:00:00Z", shown)
        shown = re.sub(r"(eta_seconds|progress)\":[\d.]+", r'\1":…', shown)
        shown = shown[:LONGEST] + (" …" if len(shown) > LONGEST else "")
        self.lines += ["```console", f"$ {command}", shown, "```", ""]

    def snippet(self, language: str, machine: int) -> Any:
        """Run the guide's example of a signature."""
        code = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), flags=re.S | re.M)[-1]
        program = ["bash", "-ec"] if language == "bash" else [sys.executable, "-c"]
        env = self.env | {"MACHINE": str(machine)}
        done = subprocess.run([*program, code], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        self.check("post", "/webhook/treinamento/", "200", found)
        return found


def tell(story: Story) -> None:
    """Start the service, and tell the story."""
    vur = [sys.executable, "-m", "vur.cli"]
    add = [*vur, "users", "add", "ana@x.br", "--password-stdin"]
    subprocess.run([*vur, "init"], check=True, env=story.env, capture_output=True, timeout=120)
    password = "praia de Boa Viagem 7"
    subprocess.run(add, input=f"{password}\n", text=True, check=True, env=story.env, capture_output=True, timeout=120)
    log = (story.place / "serve.log").open("w")
    serve = [*vur, "serve", "--port", str(story.port)]
    server = subprocess.Popen(serve, env=story.env, cwd=story.place, stdout=log, stderr=log)
    try:
        wait_for(lambda: ready(story), 90, "the service is ready")
        login = json.dumps({"username": "ana@x.br", "password": password})
        asked = ("-H", "Content-Type: application/json", "-d", login)
        story.token = story.curl("/api/v1/auth/login", *asked, show=False)["access_token"]
        chapters(story)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    said = (story.place / "serve.log").read_text(encoding="utf-8")
    assert server.returncode == 0 and "Traceback" not in said, said[-4000:]


def ready(story: Story) -> bool:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{story.env['SERVICE']}/health/ready"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "200"


def wait_for(question, seconds: float, what: str) -> Any:
    """Poll `question` until it returns something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"{what} within {seconds} s")


def chapters(story: Story) -> None:
    """Register, train, follow, read, ask, err, take from outside, delete."""
    (story.place / "planta.csv").write_bytes(brazilian(plant(500)))
    (story.place / "curta.csv").write_bytes(brazilian(plant(60)))
    as_json = ("-H", "Content-Type: application/json")
    portuguese = ("-H", "Accept-Language: pt-BR")
    story.say("**Register.** The machine gets its number, and that of its model.")
    create = ("post", "/machines/")
    made = story.curl("/machines/", *as_json, "-d", '{"machine_name": "Extrusora 3"}', of=create)
    id = made["id"]
    assert made == {"machine_name": "Extrusora 3", "id": id, "status": "criada", "model_id": id}
    story.curl("/machines/", *as_json, "-d", "{}", of=create, expect=422)
    story.say("**Train.** A file as a Brazilian Excel writes it; the answer comes at once.")
    query = f"/train/?machine_id={id}&target_column=produ%C3%A7%C3%A3o&lags=6"
    queued = story.curl(query, "-F", "file=@planta.csv", of=("post", "/train/"))
    assert queued["status"] == "treinando" and queued["training"] == 1
    again = story.curl(query, "-F", "file=@planta.csv", expect=409, show=False)
    assert again["code"] == "machines.busy"
    story.say("**Follow.** `state` goes from `queued` over `training` to `finished`; the machine is `pronta` then.")
    at = queued["links"]["training"]
    wait_for(lambda: story.curl(at, show=False)["state"] in ("finished", "failed"), 170, "the training ends")
    detail = story.curl(at)
    assert detail["state"] == "finished" and detail["source"] == "planta.csv", detail
    listed = story.curl("/machines/", of=("get", "/machines/"))
    assert listed[0]["status"] == "pronta"
    story.say("**Read.** The ranking, with what it says in the reader's language.")
    found = story.curl(f"/ranking/?machine_id={id}", *portuguese, of=("get", "/ranking/"))
    assert found[0]["ranking"][0]["variable"] in ("temperatura", "vazão") and found[0]["says"]
    story.say("**Ask.** What would the target be on average if a variable were held at a value?")
    asked = story.curl(f"/api/v1/machines/{id}/what-if", *as_json, "-d", '{"values": {"temperatura": 185}}')
    assert asked["after"] != asked["before"]
    beyond = story.curl(
        f"/api/v1/machines/{id}/what-if", *as_json, "-d", '{"values": {"temperatura": 900}}', expect=422
    )
    assert "temperatura" in beyond["detail"]
    story.say("**A file that cannot be ranked** puts the machine into `erro`, in words; the older ranking stays.")
    short = story.curl(query, "-F", "file=@curta.csv", of=("post", "/train/"), show=False)
    wait_for(lambda: story.curl(short["links"]["training"], show=False)["state"] == "failed", 120, "it fails")
    failed = story.curl(f"/api/v1/machines/{id}", *portuguese)
    assert failed["status"] == "erro" and failed["error"]["code"] == "ranking.few_rows" and failed["first"]
    other = story.curl("/machines/", *as_json, "-d", '{"machine_name": "Prensa"}', of=create, show=False)["id"]
    assert story.snippet("bash", other)["status"] == "pronta"
    assert story.snippet("python", other)["status"] == "erro"
    outside = story.curl(f"/ranking/?machine_id={other}", of=("get", "/ranking/"), show=False)[0]
    assert outside["ranking"][0]["variable"] == "temp_forno" and "constante" in outside["error"]["detail"]
    story.say("**Delete.**")
    gone = story.curl(f"/machines/{id}", "-X", "DELETE", of=("delete", "/machines/{machine_id}"))
    assert gone["deleted"] is True
    story.curl(f"/machines/{id}", "-X", "DELETE", expect=404)
    story.curl("/machines/abc", "-X", "DELETE", of=("delete", "/machines/{machine_id}"), expect=422)


def test_machines_from_registration_to_deletion_with_curl(tmp_path):
    story = Story(tmp_path)
    tell(story)
    text = GUIDE.read_text(encoding="utf-8")
    shown = re.findall(r"^\$ (curl .*)$", text, flags=re.M)
    typed = [line.removeprefix("$ ") for line in story.lines if line.startswith("$ curl")]
    assert shown == typed, "run: python tests/serving/test_machines_story.py"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        written = Story(Path(scratch))
        tell(written)
    before, _, rest = GUIDE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    GUIDE.write_text(before + BEGIN + "\n".join(written.lines).rstrip() + "\n\n" + END + after, encoding="utf-8")
