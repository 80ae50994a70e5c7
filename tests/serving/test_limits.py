"""Limits: body size on a real server, and requests per minute."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from databases import kind  # noqa: F401 - a fixture
from fastapi import FastAPI, Request, WebSocket
from fastapi.testclient import TestClient

from vur.serving.app import create_app
from vur.serving.middleware import limits
from vur.serving.middleware.guard import Guard
from vur.serving.middleware.limits import Buckets, body_limit
from vur.serving.process import silent
from vur.serving.process.server import DrainingServer
from vur.settings import settings


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, catalog: Any) -> None:
    """Limits that a test reaches quickly."""
    monkeypatch.setenv("VUR_MAX_BODY_BYTES", "100000")
    monkeypatch.setenv("VUR_MAX_UPLOAD_BYTES", "2000000")
    settings.cache_clear()


def echo() -> FastAPI:
    """An application that counts the bytes that reach it."""
    app = create_app()
    app.state.seen = 0

    @app.post("/api/v1/datasets/upload-echo")
    @app.post("/api/v1/echo")
    async def take(request: Request) -> dict[str, int]:
        async for chunk in request.stream():
            app.state.seen += len(chunk)
        return {"seen": app.state.seen}

    @app.websocket("/api/v1/echo-live")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    return app


@pytest.fixture
def server(small: None, ana: Any) -> Iterator[tuple[httpx.Client, FastAPI]]:
    """A real server around the counting application, and a client with Ana's token."""
    app = echo()
    running = DrainingServer(uvicorn.Config(Guard(app), port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    port = running.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ana.token}"}, timeout=20
    ) as client:
        yield client, app
    running.should_exit = True
    thread.join(10)


def chunks(count: int, size: int = 50_000) -> Iterator[bytes]:
    """A body without a Content-Length."""
    for _ in range(count):
        yield b"x" * size


def test_an_announced_body_over_the_limit_is_rejected_unread(server):
    client, app = server
    answer = client.post("/api/v1/echo", content=b"x" * 100_001)
    assert (answer.status_code, answer.json()["code"], answer.json()["values"]["limit"]) == (
        413,
        "api.too_large",
        100_000,
    )
    assert app.state.seen == 0
    assert client.post("/api/v1/echo", content=b"x" * 100_000).json() == {"seen": 100_000}


def test_a_body_that_turns_out_too_large_is_stopped_while_it_streams(server):
    client, app = server
    try:
        assert client.post("/api/v1/echo", content=chunks(200)).status_code == 413
    except httpx.WriteError:
        pass  # the server closed the connection before all was sent
    assert app.state.seen <= 100_000


def test_a_false_content_length_does_not_help(server):
    client, app = server
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as raw:
        token = client.headers["Authorization"]
        raw.sendall(
            f"POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n".encode()
            + b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(3):
            raw.sendall(b"C350\r\n" + b"x" * 50_000 + b"\r\n")
        assert b" 413 " in raw.recv(100)
    assert app.state.seen <= 100_000


def test_uploads_have_their_own_limit(server):
    client, app = server
    assert client.post("/api/v1/datasets/upload-echo", content=chunks(60)).json() == {"seen": 3_000_000}
    assert client.post("/api/v1/datasets/upload-echo", content=b"x" * (2_000_000 + 2**20 + 1)).status_code == 413


@pytest.mark.parametrize("path", ["/api/v1/echo", "/predict", "/api/v1/auth/profile"])
def test_forms_and_json_are_limited_alike(small, ana, path):
    async def whole(scope: dict, receive: Any, send: Any) -> None:
        await Request(scope, receive).json()

    client = TestClient(Guard(whole), headers=ana.http.headers, raise_server_exceptions=False)
    assert client.post(path, content=b"[" + b"1," * 60_000 + b"1]").status_code == 413
    assert client.post(path, content=chunks(20)).status_code == 413


def test_unauthenticated_bodies_have_a_small_limit(stranger):
    assert body_limit("/api/v1/auth/login") == 64 * 1024
    assert stranger.post("/auth/login", json={"email": "a@x.br", "password": "x" * 70_000}).status_code == 413
    assert stranger.post("/datasets/upload", content=b"x" * 200_000).status_code == 401, "nobody's body is read"


@pytest.mark.parametrize(
    "path, upload",
    [
        ("/api/v1/datasets/upload", True),
        ("/api/v1/datasets/uploads/1", True),
        ("/api/v1/datasets/upload/validate", True),
        ("/api/v1/predictions/batch/upload", True),
        ("/api/v1/predictions/batch", False),
        ("/api/v1/models", False),
    ],
)
def test_which_paths_are_uploads(catalog, path, upload):
    assert body_limit(path) == (settings().max_upload_bytes + 2**20 if upload else settings().max_body_bytes)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of time that a test reaches quickly."""
    monkeypatch.setattr(limits, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(silent, "SECONDS", 0.5)


def closed(client: httpx.Client, sent: bytes, drip: bytes = b"") -> str:
    """What the service answers until it closes a connection that sends `sent`, then `drip` five times a second."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=0.2) as raw:
        raw.sendall(sent)
        answer, end = b"", time.monotonic() + 10
        while time.monotonic() < end:
            try:
                found = raw.recv(65536)
                if not found:
                    return answer.decode()
                answer += found
            except TimeoutError:
                raw.sendall(drip)
            except ConnectionError:
                return answer.decode()
    raise AssertionError("still open")


LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"


@pytest.mark.parametrize(
    ("sent", "drip", "status"),
    [
        (b"", b"", ""),
        (b"POST /api/v1/au", b"", ""),
        (b"POST /api/v1/au", b"x", ""),
        (LOGIN, b"", ""),
        (LOGIN, b"X: y\r\n", ""),
        (LOGIN + b"\r\n{", b"", "408"),
        (LOGIN + b"\r\n{", b" ", "408"),
        (b"POST /api/v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", b" ", "401"),
    ],
)
def test_a_connection_that_sends_no_whole_request_is_closed(server, impatient, sent, drip, status):
    client, _ = server
    answer = closed(client, sent, drip)
    assert answer.split(" ")[1:2] == ([status] if status else []), answer
    if status == "408":
        body = json.loads(answer.split("\r\n\r\n", 1)[1])
        assert (body["code"], body["values"]) == ("forms.stalled", {"seconds": 0})


def test_an_upload_that_stops_is_closed_and_a_slow_one_goes_on(server, impatient):
    client, app = server
    token = client.headers["Authorization"]
    head = (
        f"POST /api/v1/datasets/upload-echo HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
        "Content-Length: 1000\r\n\r\n"
    ).encode()
    assert closed(client, head + b"date,sales\n").startswith("HTTP/1.1 408")
    app.state.seen = 0

    def slowly() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.3)
            yield b"2024-01-01,5\n"

    answer = client.post("/api/v1/datasets/upload-echo", content=slowly())
    assert answer.json() == {"seen": 104}, "it took five times the limit in all"


def test_websockets_and_kept_connections_are_not_closed_by_that(server, impatient):
    from websockets.sync.client import connect

    client, _ = server
    url = f"ws://{client.base_url.host}:{client.base_url.port}/api/v1/echo-live"
    with connect(url, additional_headers={"Authorization": client.headers["Authorization"]}) as socket_:
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as raw:
            for _ in range(6):
                raw.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 200 " in raw.recv(65536)
                time.sleep(0.4)
        socket_.send("still here")
        assert socket_.recv(timeout=10) == "still here"


def test_a_bucket_empties_and_fills_again(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: clock[0])
    buckets = Buckets(6)
    assert [buckets.wait("ana") for _ in range(7)] == [0] * 6 + [10]
    assert buckets.wait("bia") == 0
    clock[0] += 9
    assert buckets.wait("ana") == 1
    clock[0] += 1
    assert buckets.wait("ana") == 0
    clock[0] += 3600
    assert [buckets.wait("ana") for _ in range(7)] == [0] * 6 + [10]


def test_the_number_of_buckets_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "REMEMBERED", 100)
    buckets = Buckets(1000)
    for n in range(5000):
        buckets.wait(f"address {n}")
    assert len(buckets.levels) <= 100


def test_there_is_no_limit_by_default():
    buckets = Buckets(0)
    assert not any(buckets.wait("ana") for _ in range(1000)) and buckets.levels == {}


def test_the_rate_limit_applies_per_user(catalog, monkeypatch, ana, bia):
    monkeypatch.setenv("VUR_RATE_LIMIT", "5")
    settings.cache_clear()
    client = TestClient(Guard(create_app()), raise_server_exceptions=False)

    def ask(person: Any) -> httpx.Response:
        return client.get("/api/v1/auth/me", headers=person.http.headers)

    answers = [ask(ana) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].json()["code"] == "api.throttled" and 1 <= int(answers[-1].headers["Retry-After"]) <= 12
    assert ask(bia).status_code == 200
    assert [client.get("/health/live").status_code for _ in range(10)] == [200] * 10, "probes are never throttled"
