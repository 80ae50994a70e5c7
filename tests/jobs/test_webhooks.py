"""Deliveries of webhooks by real workers to real receivers: slow, endless, dead, hostile; signed, tried again, once."""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from builders import brazilian, plant
from databases import both, kind  # noqa: F401 - a fixture
from jobkit import DATA, dataset_of, ended, model_of, until, worker
from service import Person, free_port
from sqlalchemy import select, update

from vur.jobs import lifecycle, posting, queue
from vur.jobs.posting import post
from vur.settings import settings
from vur.store import database, machines
from vur.store.accounts.access import Principal
from vur.store.catalog import Alert, Delivery, Share, User, Webhook, now
from vur.store.events import raise_alert
from vur.store.webhooks import deliveries, hooks, outbox
from vur.store.webhooks.deliveries import Answer, Due

ALL = ["training.finished", "training.failed", "report.ready", "alert.raised"]


class Receiver:
    """An HTTP server that answers as `act(handler, number)` does, and keeps what it got."""

    def __init__(self, act: Callable[[Any, int], None]):
        self.calls: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append(({key.lower(): value for key, value in self.headers.items()}, body))
                act(self, len(receiver.calls))

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?key=1"


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    """Start a receiver: of a status for each call (the last one for all further calls), or of an act."""
    made: list[Receiver] = []

    def start(*answers: Any) -> Receiver:
        def act(handler: Any, number: int) -> None:
            wanted = answers[min(number, len(answers)) - 1]
            if callable(wanted):
                wanted(handler)
            else:
                say(handler, wanted)

        made.append(Receiver(act))
        return made[-1]

    yield start
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def say(handler: Any, status: int, body: bytes = b"noted", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def drip(handler: Any) -> None:
    """A head that never ends, a byte at a time."""
    try:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass


def huge(handler: Any) -> None:
    """An answer without an end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"\x1b[31mmore\r\n" * 10_000)
    except OSError:
        pass


@pytest.fixture(autouse=True)
def local(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator has allowed receivers on this machine; the first pause is a second."""
    for key, value in {"ALLOW": "127.0.0.1", "RETRY_SECONDS": "1", "SECONDS": "2"}.items():
        monkeypatch.setenv(f"VUR_WEBHOOK_{key}", value)
    monkeypatch.setenv("VUR_PUBLIC_URL", "https://vur.example/")
    settings.cache_clear()


def hook(person: Person, url: str, *events: str, scope: str = "own") -> tuple[str, str]:
    """A webhook of `person`: its id and secret."""
    made = person.post("/webhooks", json={"name": "N8N", "url": url, "events": list(events) or ALL, "scope": scope})
    assert made.status_code == 201, made.text
    return made.json()["id"], made.json()["secret"]


def alert(owner_id: str, kind: str = "many_rejects", name: str = "Sales") -> None:
    with database.writing() as session:
        values = {"rejected": 3, "rows": 40, "name": name}
        assert raise_alert(session, owner_id, kind, about=("dataset", f"d-{time.monotonic_ns()}"), **values)


def log_of(webhook: str) -> list[Delivery]:
    """All deliveries, oldest first."""
    with database.reading() as session:
        found = select(Delivery).where(Delivery.webhook_id == webhook)
        return list(session.scalars(found.order_by(Delivery.created_at, Delivery.id)))


def over(webhook: str, count: int = 1, seconds: float = 30) -> list[Delivery]:
    """All deliveries once there are `count`, and none waits."""

    def done() -> list[Delivery] | None:
        rows = log_of(webhook)
        return rows if len(rows) >= count and all(row.state != "pending" for row in rows) else None

    return until(done, seconds)


def taken(session: Any, worker: str, running: list[Due], most: int, failing: int) -> list[Due]:
    return deliveries.lease(session, worker, deliveries.choose_due(session, running, most, failing))


def row_of(webhook: str) -> Webhook:
    with database.reading() as session:
        return session.get_one(Webhook, webhook)


def alerts_of(owner_id: str) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(select(Alert.kind).where(Alert.owner_id == owner_id, Alert.resolved_at.is_(None))))


# --- a training, from its end to the receiver ---


@both
def test_a_training_calls_its_owner_with_ids_and_links_and_a_signature(
    catalog: Path, ana: Person, bia: Person, root: Person, receive: Any
) -> None:
    mine, other, everything, alerts = receive(200), receive(200), receive(204), receive(200)
    id, secret = hook(ana, mine.url)
    hook(bia, other.url, scope="all")
    hook(root, everything.url, "training.finished", scope="all")
    hook(ana, alerts.url, "alert.raised")
    model = model_of(ana.id, dataset_of(ana.id, DATA / "partidas_diarias.csv"))
    job = queue.submit("train", ana.id, {}, model_id=model)
    with worker(catalog):
        ended(job.id)
        rows = over(id, 2)
        until(lambda: everything.calls)
    assert [row.event for row in rows] == ["training.finished", "report.ready"]
    assert [row.state for row in rows] == ["succeeded", "succeeded"] and rows[0].excerpt == "noted"
    assert other.calls == [] and alerts.calls == [], "not what is hers, and not what was not asked for"
    headers, body = next(call for call in mine.calls if call[0]["x-vur-event"] == "training.finished")
    signed = hmac.new(secret.encode(), headers["x-vur-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["x-vur-signature"] == f"sha256={signed}" and headers["x-vur-delivery"] == rows[0].id
    assert abs(int(headers["x-vur-timestamp"]) - time.time()) < 60
    assert headers["content-type"] == "application/json" and headers["user-agent"].startswith("VUR/")
    told = json.loads(body)
    assert told["object"] == {"kind": "model", "id": model, "name": "Partidas"}
    assert told["data"]["job_id"] == job.id and told["data"]["run_id"]
    assert told["data"]["algorithm"] in ("naive", "seasonal_naive") and told["data"]["metrics"]["mase"] > 0
    assert told["links"] == {
        "page": f"https://vur.example/forecasts?model={model}",
        "api": f"/api/v1/models/{model}",
        "report": f"https://vur.example/vur/api/models/{model}/report",
    }
    assert set(told) == {"id", "event", "created_at", "object", "data", "links"} and len(body) < 2000
    assert everything.calls[0][1] == body, "one event, with one id"
    report = ana.get(f"/models/{model}/report")
    assert report.status_code == 200 and "text/html" in report.headers["content-type"], "the link leads to it"


def test_a_failed_training_says_why_in_the_language_of_its_owner(catalog: Path, ana: Person, receive: Any) -> None:
    got = receive(200)
    id, _ = hook(ana, got.url)
    with database.writing() as session:
        session.execute(update(User).where(User.id == ana.id).values(language="pt-BR"))
    model = model_of(ana.id, None)
    job = queue.submit("train", ana.id, {}, model_id=model)
    spec = lifecycle.claim(job.id, "w")
    assert spec
    lifecycle.end(spec, "w", "failed", error={"code": "jobs.worker_lost", "stage": "", "data": {"times": 3}})
    with worker(catalog):
        rows = over(id, 2)
    assert sorted(row.event for row in rows) == ["alert.raised", "training.failed"]
    told = {json.loads(body)["event"]: json.loads(body) for _, body in got.calls}
    assert told["training.failed"]["data"]["code"] == "jobs.worker_lost"
    assert told["training.failed"]["data"]["message"] in told["alert.raised"]["data"]["message"]
    assert told["alert.raised"]["data"]["message"].startswith("O treinamento de Partidas")
    assert told["alert.raised"]["data"]["severity"] == "error"
    assert told["alert.raised"]["links"]["page"] == "https://vur.example/monitoring?view=alerts"


@both
def test_who_sees_an_object_by_a_share_is_called_until_the_share_ends(
    catalog: Path, ana: Person, bia: Person, receive: Any
) -> None:
    got = receive(200)
    id, _ = hook(bia, got.url, "report.ready", scope="all")
    model = model_of(ana.id, None)

    def emit() -> None:
        with database.writing() as session:
            outbox.emit(session, "report.ready", ana.id, ("model", model), "Partidas", {"run_id": "r"})

    emit()
    assert log_of(id) == [], "not shared yet"
    assert ana.put(f"/shares/model/{model}", json={"email": "bia@x.br", "right": "view"}).status_code == 200
    emit()
    assert len(log_of(id)) == 1
    with database.writing() as session:
        session.query(Share).delete()
    with worker(catalog):
        assert [row.state for row in over(id)] == ["cancelled"]
    assert got.calls == [], "the right ended before the call"
    assert bia.put(f"/webhooks/{id}", json={"scope": "own"}).status_code == 200
    ana.put(f"/shares/model/{model}", json={"email": "bia@x.br", "right": "view"})
    emit()
    assert len(log_of(id)) == 1, "only her own objects"


def test_a_closed_account_is_not_called(catalog: Path, ana: Person, root: Person, receive: Any) -> None:
    got = receive(200)
    id, _ = hook(ana, got.url)
    alert(ana.id)
    assert root.delete(f"/users/{ana.id}").status_code == 204
    alert(ana.id)
    with worker(catalog):
        assert [row.state for row in over(id)] == ["cancelled"]
    assert got.calls == []


@both
def test_a_ranking_calls_with_the_first_variables_and_a_failed_one_with_its_words(
    catalog: Path, ana: Person, receive: Any, kind: str
) -> None:
    got = receive(200)
    id, _ = hook(ana, got.url, "ranking.finished", "ranking.failed", "report.ready")
    machine = ana.post("/machines", json={"machine_name": "Extrusora 3"}).json()
    at = f"http://localhost/train/?machine_id={machine['id']}"
    file = {"file": ("plant.csv", brazilian(plant()))}
    sent = ana.post(f"{at}&target_column=produção&time_column=data_hora&lags=2", files=file)
    assert sent.status_code == 200, sent.text
    with worker(catalog, webhook_seconds=5):
        assert ended(sent.json()["job_id"], seconds=150)[0].state == "succeeded"
        over(id, 2)
        wrong = ana.post(f"{at}&target_column=nada", files=file)
        assert ended(wrong.json()["job_id"], seconds=60)[0].state == "failed"
        over(id, 3)
    told = {json.loads(body)["event"]: json.loads(body) for _, body in got.calls}
    finished, failed = told["ranking.finished"], told["ranking.failed"]
    assert finished["object"] == {"kind": "machine", "id": str(machine["id"]), "name": "Extrusora 3"}
    assert finished["data"]["target"] == "produção" and finished["data"]["training"] == 1 and finished["data"]["run_id"]
    assert {row["variable"] for row in finished["data"]["first"][:2]} == {"temperatura", "vazão"}
    assert set(finished["data"]["first"][0]) == {"rank", "variable", "importance", "significant"}
    assert len(finished["data"]["first"]) == finished["data"]["variables"] == 4
    path = f"/machines/{machine['id']}/trainings/1/report"
    assert (
        finished["links"]["report"] == f"https://vur.example/vur/api{path}" == told["report.ready"]["links"]["report"]
    )
    assert told["report.ready"]["data"]["of"] == "ranking" and ana.get(path).status_code == 200
    assert failed["data"]["code"] == "ranking.no_target" and "nada" in failed["data"]["message"]
    assert "report" not in failed["links"] and failed["data"]["training"] == 2


def test_a_table_that_was_trained_or_not_calls_too(catalog: Path, ana: Person, receive: Any) -> None:
    got = receive(200)
    id, _ = hook(ana, got.url, "training.finished", "training.failed", "report.ready")
    areas = [30 + 37 * n % 101 + n % 7 / 10 for n in range(90)]
    rows = "".join(f"{area},{'ab'[n % 2]},{3 * area + n % 5}\n" for n, area in enumerate(areas))
    file = {"file": ("flats.csv", f"area,place,price\n{rows}".encode(), "text/csv")}
    quick = {"algorithms": "linear", "folds": "3", "name": "Flats"}
    with worker(catalog, webhook_seconds=5):
        sent = ana.post("/tables/upload", files=file, data={"target": "price", **quick})
        assert sent.status_code == 202, sent.text
        assert ended(sent.json()["job_id"])[0].state == "succeeded"
        wrong = ana.post("/tables/upload", files=file, data={"target": "nothing", **quick})
        assert ended(wrong.json()["job_id"])[0].state == "failed"
        over(id, 3)
    told = {json.loads(body)["event"]: json.loads(body) for _, body in got.calls}
    table, finished = sent.json()["table_id"], told["training.finished"]
    assert finished["object"] == {"kind": "table", "id": table, "name": "Flats"}
    metrics = ana.get(f"/tables/{table}/metrics").json()
    assert finished["data"]["algorithm"] == metrics["chosen"] and finished["data"]["run_id"]
    assert finished["data"]["metrics"] == metrics["metrics"]
    path = f"/tables/{table}/report?version=1"
    assert finished["links"] == {"api": f"/api/v1/tables/{table}", "report": f"https://vur.example/vur/api{path}"}
    assert told["report.ready"]["data"]["of"] == "training" and ana.get(path).status_code == 200
    assert told["training.failed"]["data"]["code"] and "nothing" in told["training.failed"]["data"]["message"]


def test_an_outside_ranking_has_no_report(ana: Person, receive: Any) -> None:
    id, _ = hook(ana, receive(200).url, "ranking.finished", "report.ready")
    with database.writing() as session:
        machine = machines.create(session, Principal(ana.id), "Forno")
        training = machines.add_training(session, machine, user_id=ana.id, target="y", origin=machines.OUTSIDE)
        machines.finish(session, machine, training, {"ranking": [{"rank": 1, "variable": "heat", "importance": 0.5}]})
    (row,) = log_of(id)
    told = json.loads(row.payload)
    assert row.event == "ranking.finished" and "report" not in told["links"]
    assert told["data"]["first"] == [{"rank": 1, "variable": "heat", "importance": 0.5, "significant": None}]


# --- receivers that fail ---


@both
def test_a_receiver_that_fails_is_called_again_with_the_same_body(catalog: Path, ana: Person, receive: Any) -> None:
    got = receive(500, 400, 200)
    id, secret = hook(ana, got.url)
    alert(ana.id)
    with worker(catalog):
        (row,) = over(id)
    assert (row.state, row.attempts, row.status, row.error) == ("succeeded", 3, 200, None)
    bodies = {body for _, body in got.calls}
    assert len(got.calls) == 3 and len(bodies) == 1
    assert len({headers["x-vur-delivery"] for headers, _ in got.calls}) == 1
    for headers, body in got.calls:
        signed = hmac.new(secret.encode(), headers["x-vur-timestamp"].encode() + b"." + body, hashlib.sha256)
        assert headers["x-vur-signature"] == f"sha256={signed.hexdigest()}"
    assert (row_of(id).failures, row_of(id).last_status, row_of(id).active) == (0, 200, True)


def test_gone_switches_off_at_once_and_says_so(catalog: Path, ana: Person, receive: Any) -> None:
    got = receive(410)
    id, _ = hook(ana, got.url)
    alert(ana.id)
    with worker(catalog):
        (row,) = over(id)
        until(lambda: not row_of(id).active)
        alert(ana.id, name="Later")
        time.sleep(1.5)
    assert (row.state, row.status, row.attempts) == ("failed", 410, 1) and len(got.calls) == 1
    assert "webhook_gone" in alerts_of(ana.id)
    shown = ana.get(f"/webhooks/{id}").json()
    assert (shown["active"], shown["off_reason"]) == (False, "gone")
    message = ana.get("/dashboard/alerts").json()["items"]
    assert any(one["page"] == "monitoring" and one["parameters"] == {"webhook": id} for one in message)


@both
def test_a_dead_receiver_is_given_up_and_switched_off_with_an_alert(
    catalog: Path, ana: Person, monkeypatch: pytest.MonkeyPatch, receive: Any
) -> None:
    monkeypatch.setenv("VUR_WEBHOOK_ATTEMPTS", "2")
    monkeypatch.setenv("VUR_WEBHOOK_FAILURES", "2")
    settings.cache_clear()
    other = receive(200)
    dead, _ = hook(ana, f"http://127.0.0.1:{free_port()}/")
    alive, _ = hook(ana, other.url, "alert.raised")
    for name in ("One", "Two", "Three"):
        alert(ana.id, name=name)
    with worker(catalog):
        rows = over(dead, 3)
        until(lambda: len(other.calls) == 4)
    assert sorted(row.state for row in rows) in (["cancelled", "failed", "failed"], ["failed"] * 3)
    failed = [row for row in rows if row.state == "failed"]
    assert {row.attempts for row in failed} == {2} and {row.error["code"] for row in failed} == {"webhooks.unreachable"}
    assert (row_of(dead).active, row_of(dead).off_reason) == (False, "failing")
    assert "webhook_failing" in alerts_of(ana.id)
    assert {json.loads(body)["data"]["type"] for _, body in other.calls} == {"many_rejects", "webhook_failing"}
    assert row_of(alive).active
    changed = ana.put(f"/webhooks/{dead}", json={"active": True})
    assert changed.status_code == 200 and changed.json()["failures"] == 0
    assert "webhook_failing" not in alerts_of(ana.id)


def test_one_slow_receiver_does_not_hold_the_others(catalog: Path, ana: Person, receive: Any) -> None:
    slow, quick = receive(lambda handler: time.sleep(30)), receive(200)
    held, _ = hook(ana, slow.url)
    free, _ = hook(ana, quick.url)
    for number in range(12):
        alert(ana.id, name=f"{number}")
    started = time.monotonic()
    with worker(catalog, webhook_seconds=20):
        rows = over(free, 12, seconds=18)
        assert {row.state for row in rows} == {"succeeded"}
        assert len(slow.calls) <= deliveries.PER_WEBHOOK, "only so many at a time"
    assert time.monotonic() - started < 19, "before the slow receiver's time was over"
    assert {row.state for row in log_of(held)} == {"pending"}


def test_time_is_for_the_whole_call_and_an_answer_is_read_in_part(receive: Any) -> None:
    for act, code in ((drip, "webhooks.timeout"), (lambda handler: time.sleep(20), "webhooks.timeout")):
        started = time.monotonic()
        answer = post(receive(act).url, b"{}", [], 1.0)
        assert (answer.status, answer.error.code) == (None, code) and time.monotonic() - started < 2.5
    answer = post(receive(huge).url, b"{}", [], 5.0)
    assert (answer.status, answer.error) == (200, None) and answer.seconds < 4
    assert 0 < len(answer.excerpt) <= posting.SHOWN and "\x1b" not in answer.excerpt and "\n" not in answer.excerpt


def test_a_body_that_drips_after_a_good_status_is_a_success(receive: Any) -> None:
    def slowly(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        drip(handler)

    answer = post(receive(slowly).url, b"{}", [], 1.0)
    assert (answer.status, answer.error) == (200, None) and answer.seconds < 2.5


def test_a_redirect_is_not_followed(receive: Any) -> None:
    inner = receive(200)
    for status in (301, 302, 303, 307, 308):
        got = receive(lambda handler, status=status: say(handler, status, Location=inner.url))
        answer = post(got.url, b"{}", [], 5.0)
        assert (answer.status, answer.error.code) == (status, "webhooks.redirect")
    assert inner.calls == []


def test_what_is_no_http_is_named(receive: Any) -> None:
    def other(handler: Any) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    assert post(receive(other).url, b"{}", [], 5.0).error.code == "webhooks.not_http"
    assert post(receive(lambda handler: None).url, b"{}", [], 5.0).error.code in (
        "webhooks.not_http",
        "webhooks.unreachable",
    )
    secure = receive(200).url.replace("http:", "https:")
    assert post(secure, b"{}", [], 5.0).error.code in ("webhooks.tls", "webhooks.unreachable")


def test_a_secure_receiver_must_prove_its_name(tmp_path: Path, receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    key, certificate = certified("hooks.example", tmp_path)
    got = receive(200)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    got.server.socket = context.wrap_socket(got.server.socket, server_side=True)
    system = socket.getaddrinfo

    def to_here(host: str, port: int, *args: Any, **more: Any) -> Any:
        return system("127.0.0.1" if host.endswith(".example") else host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", to_here)
    port = got.server.server_port
    answer = post(f"https://hooks.example:{port}/", b"{}", [], 5.0)
    assert answer.error.code == "webhooks.tls", "nobody vouches for it"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert post(f"https://hooks.example:{port}/", b"{}", [], 5.0).status == 200
    assert got.calls[0][0]["host"] == f"hooks.example:{port}"
    answer = post(f"https://other.example:{port}/", b"{}", [], 5.0)
    assert answer.error.code == "webhooks.tls" and len(got.calls) == 1, "another name"


def certified(host: str, folder: Path) -> tuple[Path, Path]:
    """The files of a key and of a certificate that it signed for `host` itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "key.pem", folder / "cert.pem"


# --- a name that leads somewhere else a moment later ---


def test_a_name_that_turns_inwards_is_not_called(ana: Person, receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = receive(200)
    port, leads_to = inner.server.server_port, ["93.184.216.34"]
    monkeypatch.delenv("VUR_WEBHOOK_ALLOW")
    settings.cache_clear()
    asked: list[str] = []

    def look_up(host: str, port: int, *args: Any, **more: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (leads_to[0], port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    made = ana.post("/webhooks", json={"name": "N", "url": f"http://turn.example:{port}/", "events": ["alert.raised"]})
    assert made.status_code == 201
    leads_to[0] = "127.0.0.1"
    answer = post(made.json()["url"], b"{}", [], 3.0)
    assert answer.error.code == "webhooks.inner" and inner.calls == []
    assert ana.put(f"/webhooks/{made.json()['id']}", json={"url": f"http://turn.example:{port}/x"}).status_code == 422


def test_the_connection_goes_to_the_address_that_was_checked(receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that answers another address each time: the second one would be the inner one, and is never asked."""
    checked, inner = receive(200), receive(200)
    answers = iter(["127.0.0.1", "127.0.0.9"])
    system = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **more: Any) -> Any:
        if host == "turn.example":
            host = next(answers)
        return system(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    answer = post(f"http://turn.example:{checked.server.server_port}/", b"{}", [], 3.0)
    assert answer.status == 200 and checked.calls[0][0]["host"] == f"turn.example:{checked.server.server_port}"
    assert next(answers) == "127.0.0.9" and inner.calls == [], "looked up once"


# --- workers and databases that die ---


@both
def test_a_killed_worker_loses_no_delivery(catalog: Path, ana: Person, receive: Any) -> None:
    arrived = threading.Event()

    def hang(handler: Any) -> None:
        arrived.set()
        time.sleep(5)

    got = receive(hang, 200)
    id, _ = hook(ana, got.url)
    alert(ana.id)
    with worker(catalog) as first:
        assert arrived.wait(20)
        first.kill()
    (row,) = log_of(id)
    assert row.state == "pending" and row.lease_owner and row.due_at > now(), "the dead worker holds it"
    with worker(catalog):
        time.sleep(2)
        assert len(got.calls) == 1, "until its lease ends"
        with database.writing() as session:
            session.execute(update(Delivery).values(due_at=now()))
        (row,) = over(id)
    assert (row.state, row.attempts, len(got.calls)) == ("succeeded", 2, 2)
    assert got.calls[0][0]["x-vur-delivery"] == got.calls[1][0]["x-vur-delivery"]


def test_two_workers_call_once(catalog: Path, ana: Person, receive: Any) -> None:
    got = receive(200)
    id, _ = hook(ana, got.url)
    for number in range(20):
        alert(ana.id, name=f"{number}")
    with worker(catalog), worker(catalog):
        rows = over(id, 20)
    assert {row.attempts for row in rows} == {1} and len(got.calls) == 20


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_lost_connection_to_the_database_calls_nobody_twice(
    catalog: Path, ana: Person, receive: Any, kind: str
) -> None:
    """The server ends all connections while a receiver thinks; its answer is stored over a new one."""
    import psycopg

    arrived, go_on = threading.Event(), threading.Event()

    def wait(handler: Any) -> None:
        arrived.set()
        go_on.wait(10)
        say(handler, 200)

    got = receive(wait)
    id, _ = hook(ana, got.url)
    alert(ana.id)
    with worker(catalog, webhook_seconds=15):
        assert arrived.wait(20)
        with psycopg.connect(settings().database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        go_on.set()
        database.engine().dispose()
        (row,) = over(id)
    assert (row.state, row.attempts, len(got.calls)) == ("succeeded", 1, 1)


@both
def test_a_result_that_comes_after_the_lease_changes_nothing(catalog: Path, ana: Person, receive: Any) -> None:
    id, _ = hook(ana, receive(200).url)
    alert(ana.id)
    with database.writing() as session:
        chosen = deliveries.choose_due(session, [], 10, 5)
        (first,) = deliveries.lease(session, "one", chosen)
        assert deliveries.lease(session, "two", chosen) == [], "both had chosen it"
        assert taken(session, "two", [], 10, 5) == []
        session.execute(update(Delivery).values(due_at=now()))
    with database.writing() as session:
        (second,) = taken(session, "two", [], 10, 5)
    with database.writing() as session:
        assert deliveries.settle(session, first, Answer(500, 1.0)) is None
        assert deliveries.settle(session, second, Answer(200, 1.0)) == "succeeded"
        assert deliveries.settle(session, second, Answer(500, 1.0)) is None
    assert [row.state for row in log_of(id)] == ["succeeded"]


@both
def test_places_are_shared_out_by_webhook_and_owner_and_failing_ones_leave_room(
    catalog: Path, ana: Person, bia: Person, receive: Any
) -> None:
    url = receive(200).url
    many = [hook(ana, url, "alert.raised")[0] for _ in range(5)]
    (hers,) = [hook(bia, url, "alert.raised")[0]]
    for number in range(60):
        alert(ana.id, name=f"{number}")
    alert(bia.id)
    with database.writing() as session:
        first = taken(session, "w", [], 24, 12)
    assert sum(due.owner_id == ana.id for due in first) == deliveries.PER_OWNER
    assert [due.webhook_id for due in first if due.owner_id == bia.id] == [hers]
    with database.writing() as session:
        session.execute(update(Webhook).where(Webhook.id.in_(many)).values(failures=3))
        session.execute(update(Delivery).values(due_at=now(), lease_owner=None))
    with database.writing() as session:
        second = taken(session, "w", [], 24, 1)
    assert [due.webhook_id for due in second][:1] == [hers], "those that work come first"
    assert sum(due.failing for due in second) == 1
    busy = [Due("x", hers, bia.id, False, "t")] * deliveries.PER_WEBHOOK
    with database.writing() as session:
        session.execute(update(Delivery).values(due_at=now(), lease_owner=None))
        assert all(due.webhook_id != hers for due in taken(session, "w", busy, 24, 12))


def test_pauses_grow_with_jitter_up_to_six_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VUR_WEBHOOK_RETRY_SECONDS", "30")
    settings.cache_clear()
    for attempts, middle in ((1, 30), (2, 90), (3, 270), (6, 7290), (9, 21_600)):
        found = [deliveries.pause(attempts) for _ in range(200)]
        assert 0.8 * middle <= min(found) < 0.9 * middle < 1.1 * middle < max(found) <= 1.2 * middle
    assert deliveries.pause(1, 3600) == 3600, "the receiver's own wish"
    assert deliveries.pause(1, 1e9) == 21_600


def test_an_event_is_queued_only_if_what_happened_is_committed(ana: Person, receive: Any) -> None:
    id, _ = hook(ana, receive(200).url)
    with pytest.raises(RuntimeError), database.writing() as session:
        raise_alert(session, ana.id, "many_rejects", about=("dataset", "d"), rejected=1, rows=2, name="Sales")
        raise RuntimeError
    assert log_of(id) == []


def test_switching_off_cancels_what_waits(ana: Person, receive: Any) -> None:
    id, _ = hook(ana, receive(200).url)
    alert(ana.id)
    alert(ana.id)
    with database.writing() as session:
        who = Principal(ana.id)
        hooks.change(session, who, id, None, {"active": False})
    assert {row.state for row in log_of(id)} == {"cancelled"}
    alert(ana.id)
    assert len(log_of(id)) == 2


@both
def test_what_a_dead_worker_leaves_of_a_webhook_that_is_off_is_cancelled(
    catalog: Path, ana: Person, receive: Any
) -> None:
    id, _ = hook(ana, receive(200).url)
    alert(ana.id)
    with database.writing() as session:
        assert len(taken(session, "dead", [], 10, 5)) == 1
    with database.writing() as session:
        hooks.change(session, Principal(ana.id), id, None, {"active": False})
        assert deliveries.cancel_left(session) == 0, "its lease has not ended"
        session.execute(update(Delivery).values(due_at=now()))
    with database.writing() as session:
        assert taken(session, "alive", [], 10, 5) == [] and deliveries.cancel_left(session) == 1
    assert [row.state for row in log_of(id)] == ["cancelled"]
