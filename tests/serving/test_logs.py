"""Logs, metrics and health."""

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from databases import kind  # noqa: F401 - a fixture
from fastapi.testclient import TestClient

from vur.errors import VurError
from vur.serving.app import create_app
from vur.serving.middleware import logs, metrics
from vur.serving.middleware.guard import Guard
from vur.serving.middleware.logs import recent
from vur.serving.routes import health as route
from vur.settings import read_settings, settings
from vur.store import database
from vur.store.catalog import Job, User
from vur.store.database import writing
from vur.store.operations import health, workers


def test_a_record_that_does_not_fit_on_the_disk_leaves_one_line_and_no_traceback(catalog, monkeypatch, capsys):
    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.file, "append", full)
    logs.Kept(level=0).emit(logging.makeLogRecord({"msg": '{"event": "x"}', "levelname": "ERROR"}))
    assert capsys.readouterr().err == "the log file cannot be written: No space left on device\n"


@pytest.fixture
def unwell() -> Any:
    """An application with an endpoint that fails and one with a secret in its path and query."""
    app = create_app()

    @app.get("/api/v1/unwell/{name}")
    def unwell(name: str) -> None:
        raise RuntimeError("cannot reach postgresql://ana:geheim@db/x with password='geheim' [parameters: ('geheim',)]")

    return app


def of(id: str) -> list[dict[str, Any]]:
    """The records of a request, newest first."""
    return recent(request_id=id)


def test_a_request_logs_one_line_with_its_route_template(ana):
    ana.get("/users/0b9c2d3e", params={"token": "geheim"}, headers={"X-Request-ID": "r1"})
    (record,) = of("r1")
    assert (record["event"], record["route"], record["status"], record["user_id"]) == (
        "request",
        "/api/v1/users/{user_id}",
        403,
        ana.id,
    )
    assert record["ms"] > 0 and "geheim" not in json.dumps(record) and "0b9c2d3e" not in json.dumps(record)


def test_a_failure_logs_its_traceback_without_secrets(ana, unwell):
    TestClient(Guard(unwell), headers=ana.http.headers, raise_server_exceptions=False).get(
        "/api/v1/unwell/x", headers={"X-Request-ID": "r2"}
    )
    request, failure = of("r2")
    assert failure["event"] == "failed" and "RuntimeError" in failure["exception"] and failure["level"] == "error"
    assert request["status"] == 500 and request["level"] == "error"
    assert "geheim" not in json.dumps([request, failure])


def test_no_secret_of_a_login_is_logged(ana, stranger, catalog):
    tokens = stranger.post("/auth/login", json={"email": "ana@x.br", "password": "correct horse 9"}).json()
    stranger.post("/auth/login", json={"email": "ana@x.br", "password": "wrong horse 99"})
    ana.post("/auth/api-keys", json={"name": "n"})
    stranger.get("/auth/me?access_token=" + tokens["access_token"])
    text = (catalog / "logs" / logs.FILE).read_text()
    assert "login failed" in text and ana.id in text
    for secret in ("correct horse", "wrong horse", tokens["access_token"], tokens["refresh_token"], "vur_", "ana@x.br"):
        assert secret not in text


@pytest.mark.parametrize(
    "text",
    [
        "Bearer abc.def-ghi",
        "vur_" + "a" * 43,
        "postgresql://ana:geheim@host/db",
        "password=geheim",
        "'api_key': 'geheim'",
        '{"token": "geheim"}',
        "eyJhbGciOi.eyJzdWIiOiJ.c2lnbmF0dXJlc2lnbmF0dXJl",
        "[SQL: INSERT] [parameters: ('geheim', 3)]",
    ],
)
def test_secrets_are_redacted_everywhere(catalog, text):
    logs.configure()
    logging.getLogger("vur.test").warning("it was %s", text)
    logging.getLogger("some.library").error("it was %s", text)
    logs.log.warning("it was", detail={"inside": [text]}, password=text)
    for record in recent(limit=3):
        held = json.dumps({key: value for key, value in record.items() if key != "timestamp"})
        assert "***" in held and not any(secret in held for secret in ("geheim", "abc.def", "aaaa", "c2lnbmF0"))


def test_recent_filters_by_level_and_counts(catalog):
    logs.configure()
    for n in range(30):
        logs.log.info("quiet", n=n)
    logs.log.error("loud")
    assert [record["event"] for record in recent(limit=2)] == ["loud", "quiet"]
    assert [record["event"] for record in recent(level="error")] == ["loud"]
    assert [record["n"] for record in recent(limit=4)[1:]] == [29, 28, 27]
    assert recent(request_id="none") == []


def _write(home: str, name: str) -> None:
    os.environ["VUR_HOME"] = home
    settings.cache_clear()
    logs.FILE_BYTES = 100_000
    logs.configure()
    for n in range(600):
        logs.log.warning("line", writer=name, n=n, filler="x" * 300)


@pytest.mark.slow
def test_processes_share_one_rotated_file(catalog):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(catalog), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    files = sorted((catalog / "logs").glob("service.jsonl*"))
    assert len(files) == logs.FILES and all(path.stat().st_size < 130_000 for path in files)
    assert (
        all((path.stat().st_mode & 0o777) == 0o600 for path in files)
        and ((catalog / "logs").stat().st_mode & 0o777) == 0o700
    )
    for path in files:
        for line in path.read_text().splitlines():
            json.loads(line)
    newest = recent(limit=2000)
    for name in "ab":
        numbers = [record["n"] for record in newest if record.get("writer") == name]
        assert numbers == list(range(599, 599 - len(numbers), -1)), "newest first, none lost in between"


def test_a_full_disk_stops_nothing(ana, monkeypatch):
    def full(*args: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.os, "write", full)
    assert ana.get("/auth/me", headers={"X-Request-ID": "full"}).status_code == 200
    assert logs.memory[-1]["request_id"] == "full"


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_on_standard_error(tmp_path, form):
    code = (
        "from vur.serving.middleware.logs import configure, log\nconfigure()\nlog.info('hello', n=1)\n"
        "try:\n    1/0\nexcept ZeroDivisionError:\n    log.exception('oh')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"VUR_HOME": str(tmp_path), "VUR_LOG_FORMAT": form},
        capture_output=True,
        text=True,
        check=True,
    )
    first = ran.stderr.splitlines()[0]
    assert (
        (json.loads(first)["n"] == 1)
        if form == "json"
        else ("hello n=1" in first and "ZeroDivisionError" in ran.stderr)
    )


def numbers(person: Any) -> dict[str, float]:
    """The metrics in the Prometheus text format."""
    text = TestClient(person.http.app, headers=person.http.headers).get("/metrics").text
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if not line.startswith("#")
    }


def metered(person: Any, token: str = "") -> int:
    """The status of /metrics for a person, or for a token."""
    headers = {"Authorization": f"Bearer {token}".encode()} if token else person.headers
    return TestClient(person.app, headers=headers).get("/metrics").status_code


def test_metrics_are_for_administrators_and_the_key_of_the_settings(ana, root, vera, stranger, monkeypatch):
    people = ((stranger, 401), (ana.http, 403), (vera.http, 403), (root.http, 200))
    assert [metered(person) for person, _ in people] == [status for _, status in people]
    key = "prometheus-reads-with-this-1"
    assert metered(stranger, key) == 401, "without the setting there is no such key"
    monkeypatch.setenv("VUR_METRICS_KEY", key)
    settings.cache_clear()
    assert (metered(stranger, key), metered(stranger, key[:-1]), metered(stranger, "é" + key)) == (200, 401, 401)
    headers = {"Authorization": f"Bearer {key}"}
    assert stranger.get("/monitoring/logs", headers=headers).status_code == 200
    for path in ("/monitoring/system", "/users", "/models", "/auth/me"):
        assert stranger.get(path, headers=headers).status_code == 401, "it opens nothing else"
    assert [metered(person) for person, _ in people] == [status for _, status in people]


def test_a_short_key_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("VUR_METRICS_KEY", "abc 123")
    with pytest.raises(VurError, match="'metrics_key'") as caught:
        read_settings()
    assert "abc 123" not in str(caught.value)


def test_metrics_count_by_template(ana, root):
    key = 'vur_requests_total{method="GET",route="/api/v1/users/{user_id}",status="403"}'
    before = numbers(root).get(key, 0)
    for n in range(3):
        ana.get(f"/users/{n}")
    found = numbers(root)
    assert found[key] == before + 3
    assert found['vur_request_seconds_count{method="GET",route="/api/v1/users/{user_id}"}'] >= 3
    assert found["vur_catalog_up"] == 1 and found["vur_requests_in_progress"] == 1


def test_clients_cannot_create_labels(ana, root, stranger):
    before = set(numbers(root))
    for n in range(50):
        ana.get(f"/nothing/{n}")
        stranger.request(f"METHOD{n}", f"/else/{n}")
        ana.get("/auth/me", headers={"X-Request-ID": f"id{n}"})
    new = {key for key in set(numbers(root)) - before if "route=" in key}
    assert (
        all('route="unknown"' in key or 'route="/api/v1/auth/me"' in key or 'route="/metrics"' in key for key in new)
        and len(new) < 60
    )


def test_pages_without_a_template_are_labelled_by_path():
    mount = type("Mount", (), {"path": metrics.MOUNTED})()
    assert (
        metrics.route_of({"path": "/api/v1/openapi.json", "endpoint": print, "route": mount}, 200)
        == "/api/v1/openapi.json"
    )


def test_native_routes_get_a_bounded_number_of_labels():
    for n in range(100):
        metrics.route_of({"path": f"/native/{n}", "endpoint": print}, 200)
    assert len(metrics._native) <= metrics.NATIVE
    assert (
        metrics.route_of({"path": "/more", "endpoint": print}, 200)
        == metrics.route_of({"path": "/native/3", "endpoint": print}, 404)
        == metrics.UNKNOWN
    )


def test_jobs_forecasts_and_clients_are_counted(ana, root):
    with writing() as session:
        session.add_all(
            [
                Job(id=f"j{n}", owner_id=ana.id, kind="train", state=state)
                for n, state in enumerate(("queued", "queued", "failed"))
            ]
        )
    before = numbers(root).get('vur_predicted_points_total{kind="request"}', 0)
    metrics.predicted("request", 24)
    found = numbers(root)
    assert (
        found['vur_jobs{state="queued"}'],
        found['vur_jobs{state="failed"}'],
        found['vur_jobs{state="running"}'],
    ) == (2, 1, 0)
    assert found['vur_predicted_points_total{kind="request"}'] == before + 24
    with TestClient(ana.http.app, headers=ana.http.headers).websocket_connect("/ws"):
        for _ in range(50):
            if numbers(root)["vur_websocket_clients"] == 1:
                break
            time.sleep(0.05)
        assert numbers(root)["vur_websocket_clients"] == 1


MANY = """
import os, sys
from prometheus_client import generate_latest
from vur.serving.middleware import metrics
metrics.predicted("request", 5)
metrics.in_progress.inc()
if sys.argv[1] == "read":
    sys.stdout.write(generate_latest(metrics._all_processes()).decode())
"""


@pytest.mark.slow
def test_several_processes_are_added_up_and_dead_ones_no_longer_count_as_busy(tmp_path):
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "VUR_HOME": str(tmp_path / "home")}
    for what in ("write", "read"):
        ran = subprocess.run([sys.executable, "-c", MANY, what], env=env, capture_output=True, text=True, check=True)
    assert 'vur_predicted_points_total{kind="request"} 10.0' in ran.stdout
    assert "vur_requests_in_progress 1.0" in ran.stdout


@pytest.fixture
def probe(stranger) -> TestClient:
    """A client without a token, and no cached health check."""
    route.READINESS.running = None
    return TestClient(stranger.app)


def ready(probe: TestClient) -> tuple[int, dict[str, str]]:
    """A fresh health check."""
    route.READINESS.running = None
    answer = probe.get("/health/ready")
    return answer.status_code, answer.json()["components"]


def test_readiness_needs_a_worker_with_a_heartbeat(probe):
    assert probe.get("/health/live").json() == {"status": "ok"}
    assert ready(probe) == (503, {"database": "ok", "disk": "ok", "models": "ok", "worker": "none alive"})
    workers.beat("w1")
    assert ready(probe) == (200, dict.fromkeys(("database", "disk", "models", "worker"), "ok"))
    assert probe.get("/health").status_code == 200
    workers.remove("w1")
    assert ready(probe)[0] == 503


def test_a_worker_without_a_recent_heartbeat_is_not_alive(probe, monkeypatch):
    workers.beat("w1")
    monkeypatch.setattr(workers, "now", lambda: database_now() + workers.ALIVE)
    assert ready(probe)[1]["worker"] == "none alive"


def database_now() -> Any:
    """The present moment."""
    from vur.store.catalog import now

    return now()


def test_a_full_disk_an_old_schema_and_a_lost_database_are_distinguished(probe, monkeypatch, catalog):
    workers.beat("w1")
    monkeypatch.setattr(health, "free_bytes", lambda: 1)
    assert ready(probe)[1]["disk"] == "almost full"
    monkeypatch.undo()
    monkeypatch.setenv("VUR_HOME", str(catalog))
    database.migrate("base")
    assert ready(probe)[1] == {"database": "not migrated", "disk": "ok", "models": "ok", "worker": "unavailable"}


def test_health_reveals_no_details(probe, monkeypatch):
    def lost() -> str:
        raise RuntimeError("postgresql://ana:geheim@10.0.0.5/x")

    monkeypatch.setitem(health.CHECKS, "database", lost)
    route.READINESS.running = None
    answer = probe.get("/health/ready")
    assert (
        answer.json()["components"]["database"] == "unavailable"
        and "geheim" not in answer.text
        and "/" not in answer.text
    )


def test_concurrent_health_requests_share_one_check_and_do_not_hang_with_the_database(probe, monkeypatch):
    looks: list[int] = []
    monkeypatch.setattr(health, "state", lambda: looks.append(1) or {"database": "ok"})
    for _ in range(20):
        probe.get("/health/ready")
    assert len(looks) == 1
    monkeypatch.setattr(route, "PATIENCE", 0.2)
    monkeypatch.setattr(health, "state", lambda: time.sleep(1) or {})
    assert ready(probe) == (503, dict.fromkeys(health.CHECKS, "unavailable"))


@pytest.mark.slow
def test_a_trace_of_each_request_is_exported_if_configured(tmp_path):
    """A local collector receives spans, which contain nothing of the query string."""
    code = """
import threading, http.server, os, sys
bodies = []
class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
from fastapi.testclient import TestClient
from vur.store import database
database.migrate()
from vur.serving.app import create_app
from vur.serving.middleware.guard import Guard
from vur.serving.middleware.observe import _tracer
app = create_app()
from vur.serving.middleware import guard
guard.OPEN |= {"/api/v1/echo/77"}
app.add_api_route("/api/v1/echo/{name}", lambda name, word: word)
answer = TestClient(Guard(app)).get("/api/v1/echo/77?word=geheim", headers={"Authorization": "Bearer geheim"})
assert answer.json() == "geheim", answer.text
TestClient(Guard(create_app())).get("/health/live")
_tracer().force_flush()
sent = b"".join(bodies)
print(len(bodies), b"GET /api/v1/echo/{name}" in sent, b"geheim" in sent, b"/health" in sent)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"VUR_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["1", "True", "False", "False"], ran.stdout + ran.stderr


@pytest.mark.slow
def test_sentry_gets_the_error_and_nothing_of_the_request(tmp_path):
    code = """
import os
os.environ["SENTRY_DSN"] = "http://key@127.0.0.1:1/1"
import sentry_sdk
sent = []
from vur.serving.middleware import observe
observe.start_sentry()
sentry_sdk.get_client().transport.capture_envelope = lambda envelope: sent.append(envelope)
import logging
password = "geheim"
try:
    raise RuntimeError("oh")
except RuntimeError:
    sentry_sdk.capture_exception()
sentry_sdk.flush()
event = next(item.payload.json for envelope in sent for item in envelope.items if item.type == "event")
print(event["exception"]["values"][0]["type"], "geheim" in str(event), "vars" in str(event["exception"]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"VUR_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["RuntimeError", "False", "False"], ran.stdout + ran.stderr


def test_the_log_belongs_to_the_data_home(ana, catalog: Path):
    assert logs.folder() == catalog / "logs" and (catalog / "logs" / logs.FILE).exists() is False
    ana.get("/auth/me")
    assert (catalog / "logs" / logs.FILE).is_file()
    assert User.__tablename__ == "users"
