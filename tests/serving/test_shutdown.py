"""SIGTERM and kill -9 of `vur serve`: accepted requests are answered, and the port is free afterwards."""

import asyncio
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn
from databases import kind  # noqa: F401 - a fixture
from jobkit import until

from vur.serving.process.server import DrainingServer
from vur.serving.process.stopping import Stoppable

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ask(port: int, path: str, token: str = "", patience: float = 30) -> int | str:
    """Status of one request on a new connection: `refused` if it was not accepted, `dropped` if it got no response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.connect()
    except OSError:
        return "refused"
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return "dropped"
    finally:
        connection.close()


@pytest.fixture
def service(ana, catalog: Path, request: pytest.FixtureRequest):
    """A running `vur serve` without worker, and its port; the parameter is the number of service processes."""
    port, processes = free_port(), str(getattr(request, "param", 1))
    with (catalog.parent / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vur.cli", "serve", "--port", str(port), "--no-worker", "--workers", processes],
            stdout=log,
            stderr=log,
            env=os.environ,
        )
    try:
        until(lambda: ask(port, "/health/live") == 200, 90)
        yield process, port
    finally:
        process.kill()
        process.wait(10)


def test_requests_started_before_sigterm_are_finished(service, ana):
    process, port = service
    rows = "".join(f"2024-01-{day:02d},{10 + day}\n" for day in range(1, 31)).encode()
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="sales.csv"\r\n\r\ndate,sales\n'
    end = b"\r\n--x--\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/api/v1/datasets/upload")
    for name, value in {
        "Authorization": f"Bearer {ana.token}",
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(len(start + rows + end)),
    }.items():
        connection.putheader(name, value)
    connection.endheaders(start)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    time.sleep(2)
    connection.send(rows + end)
    answer = connection.getresponse()
    assert answer.status == 201 and b"dataset_id" in answer.read()
    process.wait(45)
    assert process.returncode == 0 and ask(port, "/health/live") == "refused"


def hammer(port: int, token: str, stop: threading.Event, kept: bool) -> Counter[int | str]:
    """Results of a client that sends requests without pause, on new connections or on one kept-alive connection."""
    seen: Counter[int | str] = Counter()
    while not stop.is_set() and not seen["refused"]:
        if not kept:
            seen[ask(port, "/api/v1/auth/me", token)] += 1
            continue
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.connect()
        except OSError:
            seen["refused"] += 1
            break
        try:
            while connection.sock is not None and not stop.is_set():
                connection.request("GET", "/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                answer.read()
                seen[answer.status] += 1
        except (OSError, http.client.HTTPException):
            seen["dropped"] += 1
        finally:
            connection.close()
    return seen


@pytest.mark.parametrize("service", [1, 2], indirect=True)
def test_sigterm_under_load_drops_no_request(service, ana):
    process, port = service
    stop = threading.Event()
    with ThreadPoolExecutor(16) as pool:
        clients = [pool.submit(hammer, port, ana.token, stop, kept=number % 2 == 0) for number in range(16)]
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        process.wait(45)
        until(lambda: all(client.done() for client in clients), 30)
        stop.set()
    seen = sum((client.result() for client in clients), Counter())
    assert process.returncode == 0
    assert seen["dropped"] == 0 and seen[200] > 100, seen
    assert set(seen) <= {200, "refused"}, seen


@pytest.mark.parametrize("service", [2], indirect=True)
def test_the_metrics_of_several_processes_are_added_up(service, ana, root):
    process, port = service
    until(
        lambda: (
            len(
                [one for one in psutil.Process(process.pid).children() if "vur.serving.process.server" in one.cmdline()]
            )
            == 2
        )
    )
    for _ in range(40):
        assert ask(port, "/api/v1/auth/me", ana.token) == 200
    told = set()
    for _ in range(6):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {root.token}"})
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        told.add(
            next(
                line.split()[-1]
                for line in lines
                if line.startswith("vur_requests_total") and '"/api/v1/auth/me"' in line
            )
        )
    assert told == {"40.0"}, "whichever process answers"


def test_kill_9_of_the_supervisor_leaves_nothing_on_the_port(service):
    process, port = service
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    process.wait(10)
    until(lambda: ask(port, "/health/live") == "refused", 45)
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children), 45)


def test_a_request_that_the_shutdown_cuts_off_is_answered_with_one_line_in_the_log(caplog):
    async def long(scope, receive, send) -> None:
        await asyncio.sleep(60)

    port = free_port()
    config = uvicorn.Config(Stoppable(long), port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    running = DrainingServer(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    until(lambda: running.started)
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.get, f"http://127.0.0.1:{port}/long", headers={"Accept-Language": "pt"}, timeout=30)
        until(lambda: running.server_state.tasks)
        running.should_exit = True
        answer = asked.result()
    thread.join(10)
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert answer.json()["code"] == "api.stopping" and "parando" in answer.json()["detail"]
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1 and lines[0].exc_info is None, caplog.text
    assert "/long" in str(lines[0].msg)


def test_a_used_port_is_named(service):
    _, port = service
    done = subprocess.run(
        [sys.executable, "-m", "vur.cli", "serve", "--port", str(port)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and str(port) in done.stderr and "Traceback" not in done.stderr


def test_a_dead_service_is_restarted(service):
    process, port = service
    server = next(
        child for child in psutil.Process(process.pid).children() if "vur.serving.process.server" in child.cmdline()
    )
    server.kill()
    server.wait(10)
    assert ask(port, "/health/live", patience=90) == 200, "who connects meanwhile waits for the next process"
    assert process.poll() is None
