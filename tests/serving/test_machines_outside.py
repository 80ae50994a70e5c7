"""The outside model service: files are handed on to a real HTTP server, and its signed answers come by the webhook."""

import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from databases import both, kind  # noqa: F401 - fixtures
from jsonschema import Draft202012Validator
from service import free_port
from sqlalchemy import select, update

from vur.jobs import outside, ranking
from vur.jobs.lifecycle import claim, end
from vur.settings import settings
from vur.store.catalog import Job, MachineDelivery, MachineTraining, now
from vur.store.database import reading, writing
from vur.store.home import folder

SECRET = "between-vur-and-the-model-service"
HOOK = "/webhook/treinamento/"
PLANT = "temp;vazão;produção\n1,5;2;3\n".encode("latin-1") * 2000
SILENT = {"report": lambda *values, **more: None}
DOCUMENT = json.loads((Path(__file__).parent / "production_variables.json").read_text(encoding="utf-8"))
RANKING = [{"variable": "umidade", "importance": 0.1}, {"variable": "temp_forno", "importance": 0.4}]


class Service:
    """An outside service as HTTP sees it: takes what is sent, and answers as `plan` says."""

    def __init__(self) -> None:
        self.plan: list[Any] = []
        self.got: list[dict[str, Any]] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                parts = urlsplit(self.path)
                told.got.append({"path": parts.path, "query": parse_qs(parts.query), "body": body})
                step = told.plan.pop(0) if told.plan else 200
                if callable(step):
                    step(self)
                    return
                text = b'{"status": "ok"}' if step == 200 else b'{"detail": "target_column is unknown"}'
                self.send_response(step)
                if step in (301, 302, 307):
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/modelo"


@contextmanager
def serving() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        service.server.server_close()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with serving() as found:
        monkeypatch.setenv("RELEVANCE_SERVICE_API_URL", found.address)
        monkeypatch.setenv("VUR_RELEVANCE_SERVICE_SECRET", SECRET)
        settings.cache_clear()
        yield found
    settings.cache_clear()


@pytest.fixture
def signed(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of an outside service are taken."""
    monkeypatch.setenv("VUR_RELEVANCE_SERVICE_SECRET", SECRET)
    settings.cache_clear()


def headers_of(body: bytes, *, stamp: int | None = None, delivery: str = "", secret: str = SECRET) -> dict[str, str]:
    text = str(round(time.time()) if stamp is None else stamp)
    digest = hmac.new(secret.encode(), f"{text}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-VUR-Timestamp": text,
        "X-VUR-Signature": f"sha256={digest}",
        "X-VUR-Delivery": delivery or str(uuid.uuid4()),
    }


def deliver(client, content: dict[str, Any], **how: Any):
    body = json.dumps(content, ensure_ascii=False).encode()
    return client.post(HOOK, content=body, headers=headers_of(body, **how))


def machine(person) -> int:
    person.http.base_url = "http://localhost"
    return person.post("/machines/", json={"machine_name": "Extrusora 3"}).json()["id"]


def train(person, id: int, target: str = "produção") -> str:
    answer = person.post(
        "/train/", params={"machine_id": id, "target_column": target}, files={"file": ("dados de março.csv", PLANT)}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["job_id"]


def do(job_id: str) -> None:
    """Do a job in this process, as its worker and child would."""
    spec = claim(job_id, "worker")
    assert spec is not None
    try:
        result = ranking.work(spec, SILENT["report"])
    except Exception as error:
        from vur.jobs.messages import error_of

        assert end(spec, "worker", "failed", error=error_of(error))
    else:
        assert end(spec, "worker", "succeeded", result=result)


def state(person, id: int) -> tuple[str, str]:
    """The status of a machine and the state of its newest training."""
    found = person.get(f"/api/v1/machines/{id}/trainings").json()["items"]
    return person.get(f"/api/v1/machines/{id}").json()["status"], found[0]["state"]


@both
def test_a_file_is_handed_on_and_the_answer_ends_the_training(ana, stranger, service, kind):
    id = machine(ana)
    job = train(ana, id)
    do(job)
    sent = service.got[0]
    assert sent["path"] == "/modelo/train/"
    asked = {name: [str(id)] for name in ("machine_id", "model_id")}
    assert sent["query"] == asked | {"target_column": ["produção"], "training": ["1"]}
    assert PLANT in sent["body"] and 'filename="dados de março.csv"'.encode() in sent["body"]
    assert state(ana, id) == ("treinando", "waiting")
    with reading() as session:
        params = session.get(Job, job).params
    assert not (folder("results", job) / params["input_name"]).exists(), "the file is not kept after it was taken"
    second = ana.post("/train/", params={"machine_id": id, "target_column": "y"}, files={"file": ("a.csv", b"y\n1\n")})
    assert second.status_code == 409
    stranger.base_url = "http://localhost"
    other = {"model_id": id, "training": 1, "status": "pronta", "ranking": RANKING, "target": "other"}
    refused = deliver(stranger, other)
    assert (refused.status_code, refused.json()["field"]) == (422, "target") and "produção" in refused.text
    answer = deliver(stranger, {"model_id": id, "training": 1, "status": "pronta", "ranking": RANKING})
    assert answer.status_code == 200, answer.text
    schema = DOCUMENT["paths"][HOOK]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema).validate(answer.json())
    assert answer.json()["status"] == "pronta" and answer.json()["training"] == 1
    found = ana.get("/ranking/", params={"machine_id": id}, headers={"Accept-Language": "pt-BR"}).json()[0]
    assert [(one["rank"], one["variable"]) for one in found["ranking"]] == [(1, "temp_forno"), (2, "umidade")]
    assert (found["target"], found["origin"], found["status"]) == ("produção", "outside", "pronta")
    assert "serviço externo" in found["says"][0]
    assert ana.get(f"/api/v1/machines/{id}/trainings/1").json()["fingerprint"] == hashlib.sha256(PLANT).hexdigest()
    asked = ana.post(f"/api/v1/machines/{id}/what-if", json={"values": {"umidade": 1}})
    assert asked.status_code == 409 and "outside service" in asked.json()["detail"]


def test_an_answer_before_the_job_ends_counts(ana, service):
    id = machine(ana)
    job = train(ana, id)

    def at_once(handler: BaseHTTPRequestHandler) -> None:
        assert deliver(ana.http, {"machine_id": id, "status": "pronta", "ranking": RANKING}).status_code == 200
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    service.plan = [at_once]
    do(job)
    assert state(ana, id) == ("pronta", "finished")


def test_tries_again_after_an_error_of_the_service(ana, service, monkeypatch):
    monkeypatch.setattr(outside, "WAITS", (0.01, 0.01))
    monkeypatch.setattr(outside.send, "__defaults__", ((0.01, 0.01),))

    def cut_off(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.close()

    service.plan = [500, cut_off, 200]
    id = machine(ana)
    do(train(ana, id))
    assert len(service.got) == 3 and state(ana, id) == ("treinando", "waiting")


@pytest.mark.parametrize("status", [400, 404, 302])
def test_a_refusal_is_told_at_once(ana, service, status):
    service.plan = [status]
    id = machine(ana)
    do(train(ana, id))
    assert len(service.got) == 1, "another try or a redirect would send the data elsewhere"
    assert state(ana, id) == ("erro", "failed")
    shown = ana.get(f"/api/v1/machines/{id}", headers={"Accept-Language": "pt-BR"}).json()["error"]
    assert "recusou o arquivo" in shown["detail"] and str(status) in shown["detail"]


def test_a_dead_service(ana, service, monkeypatch):
    monkeypatch.setattr(outside.send, "__defaults__", ((0.01,),))
    monkeypatch.setenv("RELEVANCE_SERVICE_API_URL", f"http://127.0.0.1:{free_port()}")
    settings.cache_clear()
    id = machine(ana)
    job = train(ana, id)
    do(job)
    assert state(ana, id) == ("erro", "failed")
    error = ana.get(f"/api/v1/machines/{id}").json()["error"]
    assert error["code"] == "machines.outside_down" and "2 tries" in error["detail"]
    with reading() as session:
        params = session.get(Job, job).params
    assert (folder("results", job) / params["input_name"]).is_file(), "for another try"
    assert ana.post(f"/api/v1/jobs/{job}/retry").status_code == 202


def test_a_service_that_answers_drop_by_drop_is_cut(ana, service, monkeypatch):
    monkeypatch.setattr(outside, "SPARE", 0.5)
    monkeypatch.setattr(outside.send, "__defaults__", ((),))

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(200):
            try:
                handler.wfile.write(b".")
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    service.plan = [drip]
    id = machine(ana)
    started = time.monotonic()
    do(train(ana, id))
    assert time.monotonic() - started < 10
    assert state(ana, id)[0] in ("erro", "treinando")


def test_a_service_that_never_answers_is_given_up(ana, service):
    id = machine(ana)
    do(train(ana, id))
    assert ranking.give_up_waiting() == 0 and state(ana, id) == ("treinando", "waiting")
    from datetime import timedelta

    with writing() as session:
        session.execute(update(MachineTraining).values(started_at=now() - timedelta(hours=25)))
    assert ranking.give_up_waiting() == 1
    assert state(ana, id) == ("erro", "failed")
    late = deliver(ana.http, {"machine_id": id, "training": 1, "status": "pronta", "ranking": RANKING})
    assert late.status_code == 409 and late.json()["code"] == "machines.answered"


def test_waiting_is_cancelled(ana, service):
    id = machine(ana)
    do(train(ana, id))
    assert ana.post(f"/api/v1/machines/{id}/trainings/1/cancel").json()["state"] == "cancelled"
    assert state(ana, id) == ("criada", "cancelled")


def test_a_stored_dataset_is_not_handed_on(ana, service):
    dataset = ana.post("/datasets/upload", files={"file": ("p.csv", b"a;b\n1;2\n3;4\n")}).json()["dataset_id"]
    id = machine(ana)
    answer = ana.post(f"/api/v1/machines/{id}/trainings", json={"dataset_id": dataset, "target": "b"})
    assert answer.status_code == 422 and answer.json()["code"] == "machines.outside_file"


# --- the webhook ---


@both
def test_a_result_that_nobody_asked_for_is_a_training_of_its_own(ana, signed, kind):
    id = machine(ana)
    answer = deliver(ana.http, {"machine_id": id, "status": "pronta", "target": "produção", "ranking": RANKING})
    assert answer.json()["training"] == 1 and state(ana, id) == ("pronta", "finished")
    answer = deliver(
        ana.http, {"machine_id": id, "status": "erro", "target": "produção", "error": "a coluna é constante"}
    )
    assert answer.json() | {"delivery": ""} == {"machine_id": id, "training": 2, "status": "erro", "delivery": ""}
    shown = ana.get("/ranking/", params={"machine_id": id}).json()[0]
    assert "a coluna é constante" in shown["error"]["detail"] and shown["ranking"][0]["variable"] == "temp_forno"


@both
def test_the_same_delivery_again_changes_nothing(ana, signed, kind):
    id = machine(ana)
    content = {"machine_id": id, "status": "pronta", "target": "y", "ranking": RANKING}
    first = deliver(ana.http, content, delivery="delivery-0001")
    again = deliver(ana.http, content, delivery="delivery-0001", stamp=round(time.time()) - 30)
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    other = deliver(ana.http, content | {"target": "z"}, delivery="delivery-0001")
    assert other.status_code == 409 and other.json()["code"] == "machines.delivery_reused"
    with reading() as session:
        assert len(session.scalars(select(MachineTraining)).all()) == 1
        assert len(session.scalars(select(MachineDelivery)).all()) == 1


@both
def test_many_at_once_count_once(ana, signed, kind):
    id = machine(ana)
    content = {"machine_id": id, "status": "pronta", "target": "y", "ranking": RANKING}
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(deliver(ana.http, content, delivery="delivery-0001")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [one.status_code for one in answers] == [200] * 6, [one.text for one in answers]
    assert len({one.text for one in answers}) == 1
    with reading() as session:
        assert len(session.scalars(select(MachineTraining)).all()) == 1


def test_without_a_secret_nothing_is_taken(ana):
    answer = deliver(ana.http, {"machine_id": machine(ana), "status": "erro", "error": "x"})
    assert answer.status_code == 403 and "VUR_RELEVANCE_SERVICE_SECRET" in answer.json()["detail"]


def test_wrong_signatures_and_old_ones_are_refused(ana, signed):
    id = machine(ana)
    body = json.dumps({"machine_id": id, "status": "pronta", "target": "y", "ranking": RANKING}).encode()
    good = headers_of(body)
    moment = round(time.time())
    for headers, code in (
        (headers_of(body, secret="another-secret-of-somebody-else"), "machines.signature"),
        (headers_of(body + b" "), "machines.signature"),
        (good | {"X-VUR-Timestamp": str(moment + 1)}, "machines.signature"),
        (headers_of(body, stamp=moment - 400), "machines.old"),
        (headers_of(body, stamp=moment + 400), "machines.old"),
        (good | {"X-VUR-Signature": good["X-VUR-Signature"].upper()}, "machines.header"),
        (good | {"X-VUR-Signature": "sha256="}, "machines.header"),
        (good | {"X-VUR-Timestamp": "yesterday"}, "machines.header"),
        (good | {"X-VUR-Delivery": "short"}, "machines.header"),
        ({key: value for key, value in good.items() if key != "X-VUR-Delivery"}, "machines.header"),
        ({"Content-Type": "application/json"}, "machines.header"),
    ):
        answer = ana.post(HOOK, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert SECRET not in answer.text and answer.json()["detail"]
    with reading() as session:
        assert session.scalars(select(MachineTraining)).all() == []
    assert ana.post(HOOK, content=body, headers=good).status_code == 200


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"status": "ok"}, "status", "pronta"),
        ({"status": "pronta", "ranking": []}, None, "ranking"),
        ({"status": "erro", "ranking": None}, None, "wrong"),
        ({"machine_id": None}, None, "machine_id"),
        ({"machine_id": "um"}, "machine_id", "whole number"),
        ({"model_id": 99}, "model_id", "99"),
        ({"rankings": []}, "rankings", "ranking"),
        ({"ranking": [{"variable": "a"}]}, "ranking.0.importance", "required"),
        ({"ranking": [{"variable": "a", "importance": "alta"}]}, "ranking.0.importance", "number"),
        ({"ranking": [{"variable": "a", "importance": 1, "p_value": 2}]}, "ranking.0.p_value", "1"),
        ({"ranking": [{"variable": "a", "importance": 1}] * 2}, "ranking.1.variable", "twice"),
        ({"ranking": [{"variable": "", "importance": 1}]}, "ranking.0.variable", "1"),
        ({"ranking": [{"variable": name, "importance": 1, "rank": 2} for name in "ab"]}, "ranking.1.rank", "rank 2"),
        (
            {"ranking": [{"variable": "a", "importance": 1, "rank": 1, "rank_low": 5, "rank_high": 2}]},
            "ranking.0.rank_low",
            "[5, 1, 2]",
        ),
        ({"target": None}, "target", "required"),
    ],
)
def test_a_wrong_body_names_field_and_value(ana, signed, change, field, word):
    content = {"machine_id": machine(ana), "status": "pronta", "target": "y", "ranking": RANKING} | change
    answer = deliver(ana.http, content)
    assert answer.status_code == 422, answer.text
    first = answer.json()["detail"][0]
    Draft202012Validator(
        {"$ref": "#/components/schemas/HTTPValidationError", "components": DOCUMENT["components"]}
    ).validate(answer.json())
    assert field is None or answer.json()["field"] == field, answer.text
    assert word in first["msg"], answer.text
    with reading() as session:
        assert session.scalars(select(MachineDelivery)).all() == [], "it may be sent again, corrected"


def test_broken_large_and_unknown_bodies(ana, signed):
    ana.http.base_url = "http://localhost"
    for body in (b"{", b"", b"[1]", b"\xff\xfe", b"null", b'{"machine_id": 1, "machine_id": NaN}'):
        answer = ana.post(HOOK, content=body, headers=headers_of(body))
        assert answer.status_code == 422, (body, answer.text)
    large = b" " * (2**20 + 1)
    assert ana.post(HOOK, content=large, headers=headers_of(large)).status_code == 413
    unknown = deliver(ana.http, {"machine_id": 77, "status": "erro", "error": "x"})
    assert unknown.status_code == 404 and "77" in unknown.json()["detail"]
