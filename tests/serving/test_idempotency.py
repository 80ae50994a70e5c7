"""`Idempotency-Key`: a repeated request is executed once."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from databases import both, kind  # noqa: F401 - a fixture
from fastapi import FastAPI, Request, UploadFile
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import select, update
from starlette.responses import StreamingResponse

from vur.errors import VurError
from vur.serving.app import create_app
from vur.serving.middleware.guard import Guard
from vur.serving.middleware.idempotency import ABANDONED, KEPT, Fingerprint
from vur.store.catalog import Idempotency, now
from vur.store.database import reading, writing

KEY = {"Idempotency-Key": "order-1"}


class Order(BaseModel):
    """A body."""

    name: str


class Shop:
    """An application that counts its actions."""

    def __init__(self, person: Any):
        self.done: list[str] = []
        self.wait, self.entered = threading.Event(), threading.Event()
        self.fail: Exception | None = None
        self.wait.set()
        self.app = create_app()
        self._add(self.app)
        self.client = TestClient(
            Guard(self.app),
            base_url="http://localhost/api/v1",
            headers=person.http.headers,
            raise_server_exceptions=False,
        )

    def _add(self, app: FastAPI) -> None:
        @app.post("/api/v1/orders", status_code=201)
        def order(body: Order) -> dict[str, Any]:
            self.entered.set()
            self.wait.wait(20)
            self.done.append(body.name)
            if self.fail:
                raise self.fail
            return {"number": len(self.done), "name": body.name}

        @app.post("/api/v1/files", status_code=201)
        async def file(file: UploadFile) -> dict[str, Any]:
            self.done.append(file.filename or "")
            return {"number": len(self.done), "size": len(await file.read())}

        @app.post("/api/v1/bodiless", status_code=202)
        def bodiless() -> dict[str, int]:
            self.done.append("x")
            return {"number": len(self.done)}

        @app.post("/api/v1/streams")
        def stream(request: Request) -> StreamingResponse:
            self.done.append("x")
            return StreamingResponse((b"x" * 1000 for _ in range(3)), media_type="text/csv")

        @app.post("/api/v1/large")
        def large() -> dict[str, str]:
            self.done.append("x")
            return {"text": "x" * 2**20}

    def order(self, name: str = "a", headers: dict[str, str] = KEY) -> Any:
        """One order."""
        return self.client.post("/orders", json={"name": name}, headers=headers)


@pytest.fixture
def shop(ana) -> Shop:
    """The shop behind the guard, with Ana's token."""
    return Shop(ana)


@both
def test_the_same_request_gets_the_same_response(shop):
    first, again = shop.order(), shop.order()
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (201, {"number": 1, "name": "a"})
    assert again.headers["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first.headers
    assert shop.done == ["a"]


def test_without_a_key_every_request_is_executed(shop):
    assert [shop.order(headers={}).json()["number"] for _ in range(2)] == [1, 2]


def test_a_key_reused_for_another_request_is_rejected(shop):
    shop.order()
    for answer in (
        shop.order("b"),
        shop.client.post("/orders?x=1", json={"name": "a"}, headers=KEY),
        shop.client.post("/bodiless", headers=KEY),
    ):
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
            422,
            "api.idempotency",
            "Idempotency-Key",
        )
    assert shop.done == ["a"]


def test_keys_are_per_user(shop, bia):
    shop.order()
    answer = shop.client.post("/orders", json={"name": "b"}, headers=KEY | {"Authorization": f"Bearer {bia.token}"})
    assert answer.json() == {"number": 2, "name": "b"}


@both
def test_a_repeat_during_the_first_request_is_rejected(shop):
    shop.wait.clear()
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(shop.order()))
    first.start()
    assert shop.entered.wait(10)
    second = shop.order()
    shop.wait.set()
    first.join(20)
    assert (second.status_code, second.json()["code"]) == (409, "api.in_progress") and "Retry-After" in second.headers
    assert answers[0].status_code == 201 and shop.order().json() == answers[0].json()
    assert shop.done == ["a"]


@both
def test_concurrent_repeats_are_executed_once(shop):
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(shop.order().status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert shop.done == ["a"] and set(answers) <= {201, 409} and len(answers) == 8


@pytest.mark.parametrize(
    "error, status", [(VurError("api.not_found", kind="x", id="1"), 404), (RuntimeError("x"), 500)]
)
def test_failed_requests_can_be_retried(shop, error, status):
    shop.fail = error
    assert shop.order().status_code == status
    shop.fail = None
    assert shop.order().status_code == 201 and shop.done == ["a", "a"]
    assert shop.client.post("/orders", json={"nme": "a"}, headers={"Idempotency-Key": "2"}).status_code == 422
    assert shop.order(headers={"Idempotency-Key": "2"}).status_code == 201


def test_a_repeated_file_upload_matches_despite_another_boundary(shop):
    def send(content: bytes, name: str = "a.csv") -> Any:
        return shop.client.post("/files", files={"file": (name, content, "text/csv")}, headers=KEY)

    content = b"ds,y\n" * 200_000
    first, again = send(content), send(content)
    assert first.request.headers["Content-Type"] != again.request.headers["Content-Type"], "or the test shows nothing"
    assert first.json() == again.json() == {"number": 1, "size": len(content)}
    assert send(content[:-1] + b"x").status_code == send(content, "b.csv").status_code == 422


@pytest.mark.parametrize("size", [1, 3, 7, 64, 1000])
def test_a_fingerprint_does_not_depend_on_how_the_body_arrives(size):
    def fingerprint(boundary: bytes, size: int) -> str:
        body = b"--" + boundary + b"\r\n\r\nds,y\n1,2\n\r\n--" + boundary + b"--\r\n"
        found = Fingerprint(
            {
                "type": "http",
                "method": "POST",
                "path": "/x",
                "headers": [(b"content-type", b"multipart/form-data; boundary=" + boundary)],
            }
        )
        for start in range(0, len(body), size):
            found.add(body[start : start + size])
        return found.end()

    assert fingerprint(b"abcdef0123456789", size) == fingerprint(b"9876543210fedcbaXX", 10_000)


def test_a_body_that_the_endpoint_never_reads_is_hashed_too(shop):
    first, again = (shop.client.post("/bodiless", json={"a": 1}, headers=KEY) for _ in range(2))
    assert first.json() == again.json() == {"number": 1}
    assert shop.client.post("/bodiless", json={"a": 2}, headers=KEY).status_code == 422


@pytest.mark.parametrize("path", ["/streams", "/large"])
def test_responses_that_are_not_stored_arrive_whole_and_release_the_key(shop, path):
    first, again = (shop.client.post(path, headers=KEY) for _ in range(2))
    assert first.content == again.content and len(first.content) >= 3000 and shop.done == ["x", "x"]
    with reading() as session:
        assert session.scalars(select(Idempotency)).all() == []


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201])
def test_an_invalid_key_is_rejected(shop, key):
    assert shop.order(headers={"Idempotency-Key": key}).status_code == 422 and shop.done == []


def test_responses_with_secrets_are_never_stored(ana, stranger):
    assert ana.post("/auth/api-keys", json={"name": "n"}, headers=KEY).status_code == 201
    stranger.post("/auth/login", json={"email": "ana@x.br", "password": "correct horse 9"}, headers=KEY)
    with reading() as session:
        assert session.scalars(select(Idempotency)).all() == []


@pytest.mark.parametrize("age, running, done", [(KEPT, False, 2), (ABANDONED, True, 2), (ABANDONED, False, 1)])
def test_expired_and_abandoned_keys_are_released(shop, age, running, done):
    shop.order()
    with writing() as session:
        session.execute(update(Idempotency).values(created_at=now() - age - timedelta(seconds=1)))
        if running:
            session.execute(update(Idempotency).values(status=None))
    assert shop.order().status_code == 201 and len(shop.done) == done
