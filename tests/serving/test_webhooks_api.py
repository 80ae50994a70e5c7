"""Webhooks over HTTP: made with a secret shown once, changed, tested, delivered again; others' are not found."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from databases import both, kind  # noqa: F401 - a fixture
from service import Person
from sqlalchemy import select

from vur.jobs.webhooks import Deliveries
from vur.settings import settings
from vur.store import database
from vur.store.catalog import Delivery, Webhook
from vur.store.events import raise_alert
from vur.store.secret import forget
from vur.store.webhooks import hooks
from vur.store.webhooks.kinds import KINDS

EVENTS = ["alert.raised"]
MISSING = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def url() -> Iterator[str]:
    """A receiver that says `{"ok": true}`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"ok": true}')

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def local(catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VUR_WEBHOOK_ALLOW", "127.0.0.1")
    settings.cache_clear()


def made(person: Person, url: str, **more: Any) -> dict[str, Any]:
    answer = person.post("/webhooks", json={"name": "N8N", "url": url, "events": EVENTS} | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def call_all() -> None:
    """What a worker does, once."""
    worker = Deliveries("test")
    worker.start_due()
    for _, thread in list(worker.running.values()):
        thread.join(20)


def alert(owner_id: str, place: str = "d") -> None:
    with database.writing() as session:
        raise_alert(session, owner_id, "many_rejects", about=("dataset", place), rejected=3, rows=40, name="Sales")


@both
def test_a_webhook_is_made_changed_and_removed(ana: Person, url: str) -> None:
    answer = ana.post("/webhooks", json={"name": "N8N", "url": url, "events": ["report.ready", "alert.raised"]})
    assert answer.status_code == 201 and answer.headers["etag"] == '"1"'
    first = answer.json()
    assert first["secret"].startswith("whsec_") and len(first["secret"]) > 40
    assert first["events"] == ["report.ready", "alert.raised"] and first["active"] and first["scope"] == "own"
    shown = ana.get(f"/webhooks/{first['id']}")
    assert shown.json() == {key: value for key, value in first.items() if key != "secret"}
    assert first["secret"] not in shown.text + ana.get("/webhooks").text, "shown once"
    with database.reading() as session:
        assert first["secret"] not in session.get_one(Webhook, first["id"]).secret, "encrypted"
    changed = ana.put(f"/webhooks/{first['id']}", json={"name": "Flow"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200 and (changed.json()["name"], changed.json()["url"]) == ("Flow", url)
    late = ana.put(f"/webhooks/{first['id']}", json={"name": "Late"}, headers={"If-Match": '"1"'})
    assert late.status_code == 412 and ana.get("/webhooks?search=flo").json()["total"] == 1
    assert ana.delete(f"/webhooks/{first['id']}", headers={"If-Match": '"1"'}).status_code == 412
    assert ana.delete(f"/webhooks/{first['id']}").status_code == 204
    assert ana.get(f"/webhooks/{first['id']}").status_code == 404
    told = [one["type"] for one in ana.get("/dashboard/activity").json()["activities"]]
    assert {"webhook_added", "webhook_changed", "webhook_removed"} <= set(told)


def test_every_kind_of_event_has_words_and_an_example(ana: Person) -> None:
    items = ana.get("/webhooks/events", headers={"Accept-Language": "pt-BR"}).json()["items"]
    assert [one["event"] for one in items] == list(KINDS)
    for one in items:
        assert one["title"] and one["description"] and one["example"]["event"] == one["event"]
        assert set(one["example"]) == {"id", "event", "created_at", "object", "data", "links"}
    assert items[0]["title"] == "Treinamento concluído"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://user:word@hooks.example/"}, "url"),
        ({"url": "ftp://hooks.example/"}, "url"),
        ({"url": "http://127.0.0.1:8000/api/v1/auth/login"}, "url"),
        ({"url": "http://127.0.0.1:x/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://hooks.example/" + "a" * 2100}, "url"),
        ({"events": []}, "events"),
        ({"events": ["alert.raised", "all"]}, "events.1"),
        ({"events": ["webhook.test"]}, "events.0"),
        ({"name": "  "}, "name"),
        ({"scope": "world"}, "scope"),
        ({"secret": "mine"}, "secret"),
        ({"active": True, "owner_id": MISSING}, None),
    ],
)
def test_what_is_wrong_is_named(ana: Person, url: str, body: dict[str, Any], field: str | None) -> None:
    answer = ana.post("/webhooks", json={"name": "N8N", "url": url, "events": EVENTS} | body)
    assert answer.status_code == 422, answer.text
    assert field is None or answer.json()["field"] == field, answer.text
    assert ana.get("/webhooks").json()["total"] == 0
    one = made(ana, url)
    if "active" not in body:
        assert ana.put(f"/webhooks/{one['id']}", json=body).status_code == 422
    assert ana.get(f"/webhooks/{one['id']}").json()["version"] == 1


@both
def test_a_test_is_sent_and_a_delivery_is_sent_again(ana: Person, url: str) -> None:
    one = made(ana, url)
    sent = ana.post(f"/webhooks/{one['id']}/test")
    assert sent.status_code == 202 and (sent.json()["event"], sent.json()["state"]) == ("webhook.test", "pending")
    assert ana.get(f"/webhooks/{one['id']}").json()["waiting"] == 1
    refused = ana.post(f"/webhooks/{one['id']}/deliveries/{sent.json()['id']}/redeliver")
    assert refused.status_code == 409 and refused.json()["code"] == "webhooks.pending"
    call_all()
    log = ana.get(f"/webhooks/{one['id']}/deliveries").json()
    assert log["total"] == 1 and log["items"][0]["state"] == "succeeded"
    assert (log["items"][0]["status"], log["items"][0]["excerpt"]) == (200, '{"ok": true}')
    alert(ana.id)
    call_all()
    (first,) = ana.get(f"/webhooks/{one['id']}/deliveries", params={"event": "alert.raised"}).json()["items"]
    again = ana.post(f"/webhooks/{one['id']}/deliveries/{first['id']}/redeliver")
    assert again.status_code == 202 and again.json()["event_id"] == first["event_id"]
    assert again.json()["id"] != first["id"]
    waiting = ana.get(f"/webhooks/{one['id']}/deliveries", params={"state": "pending"}).json()
    assert [row["id"] for row in waiting["items"]] == [again.json()["id"]]
    call_all()
    whole = [ana.get(f"/webhooks/{one['id']}/deliveries/{id}").json() for id in (first["id"], again.json()["id"])]
    assert whole[0]["payload"] == whole[1]["payload"] and whole[1]["state"] == "succeeded"
    assert whole[0]["payload"]["data"]["message"] == "3 rows of Sales were rejected, 40 were read"
    pages = ana.get(f"/webhooks/{one['id']}/deliveries", params={"limit": 2, "page": 2}).json()
    assert (pages["total"], pages["pages"], len(pages["items"])) == (3, 2, 1)
    assert ana.get(f"/webhooks/{one['id']}/deliveries", params={"state": "lost"}).status_code == 422


def test_tests_do_not_pile_up_and_one_that_is_off_can_be_tested(ana: Person, url: str) -> None:
    one = made(ana, url)
    assert ana.put(f"/webhooks/{one['id']}", json={"active": False}).json()["active"] is False
    for _ in range(hooks.MOST_TESTS):
        assert ana.post(f"/webhooks/{one['id']}/test").status_code == 202
    full = ana.post(f"/webhooks/{one['id']}/test")
    assert full.status_code == 409 and full.json()["code"] == "webhooks.waiting"
    for _ in range(4):
        call_all()
    states = {row["state"] for row in ana.get(f"/webhooks/{one['id']}/deliveries").json()["items"]}
    assert states == {"succeeded"}


def test_a_new_secret_signs_the_next_call(ana: Person, url: str) -> None:
    one = made(ana, url)
    fresh = ana.post(f"/webhooks/{one['id']}/secret", headers={"If-Match": '"1"'})
    assert fresh.status_code == 200 and fresh.json()["secret"] != one["secret"]
    assert ana.post(f"/webhooks/{one['id']}/secret", headers={"If-Match": '"1"'}).status_code == 412
    key = {"Idempotency-Key": "secret-1"}
    twice = [ana.post(f"/webhooks/{one['id']}/secret", headers=key) for _ in range(2)]
    assert twice[0].json()["secret"] != twice[1].json()["secret"], "no answer with a secret is kept"


def test_a_secret_of_another_home_is_said_and_replaced(ana: Person, url: str, catalog: Any) -> None:
    one = made(ana, url)
    (catalog / "secrets.json").unlink()
    forget()
    ana.post(f"/webhooks/{one['id']}/test", headers={"Authorization": f"Bearer {fresh_token(ana)}"})
    call_all()
    with database.reading() as session:
        row = session.scalar(select(Delivery))
    assert (row.state, row.error["code"], row.status) == ("failed", "webhooks.secret", None)
    renewed = ana.post(f"/webhooks/{one['id']}/secret", headers={"Authorization": f"Bearer {fresh_token(ana)}"})
    assert renewed.status_code == 200
    ana.post(f"/webhooks/{one['id']}/test", headers={"Authorization": f"Bearer {fresh_token(ana)}"})
    call_all()
    with database.reading() as session:
        assert "succeeded" in session.scalars(select(Delivery.state)).all()


def fresh_token(person: Person) -> str:
    from vur.serving.middleware.tokens import access_token

    return access_token(person.user)[0]


@both
def test_the_webhooks_of_others_are_not_found(ana: Person, bia: Person, vera: Person, root: Person, url: str) -> None:
    one = made(ana, url)
    sent = ana.post(f"/webhooks/{one['id']}/test").json()
    at, row = f"/webhooks/{one['id']}", f"/webhooks/{one['id']}/deliveries/{sent['id']}"
    mine = made(bia, url)
    for answer in (
        bia.get(at),
        bia.put(at, json={"url": url}),
        bia.delete(at),
        bia.post(f"{at}/secret"),
        bia.post(f"{at}/test"),
        bia.get(f"{at}/deliveries"),
        bia.get(row),
        bia.post(f"{row}/redeliver"),
        bia.get(f"/webhooks/{mine['id']}/deliveries/{sent['id']}"),
        bia.post(f"/webhooks/{mine['id']}/deliveries/{sent['id']}/redeliver"),
        ana.get(f"/webhooks/{MISSING}"),
        ana.get(f"/webhooks/{one['id']}/deliveries/{MISSING}"),
    ):
        assert answer.status_code == 404 and answer.json()["code"] == "api.not_found", answer.text
    assert [item["id"] for item in bia.get("/webhooks").json()["items"]] == [mine["id"]]
    assert root.get("/webhooks").json()["total"] == 2 and root.get(at).status_code == 200
    assert vera.get("/webhooks").json()["total"] == 0
    refused = vera.post("/webhooks", json={"name": "N", "url": url, "events": EVENTS})
    assert refused.status_code == 403 and refused.json()["code"] == "api.forbidden"


def test_a_user_has_so_many_webhooks_at_most(ana: Person, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "MOST", 2)
    for _ in range(2):
        made(ana, url)
    third = ana.post("/webhooks", json={"name": "N", "url": url, "events": EVENTS})
    assert third.status_code == 409 and third.json()["code"] == "webhooks.too_many"


def test_a_webhook_that_is_off_delivers_nothing_again(ana: Person, url: str) -> None:
    one = made(ana, url)
    alert(ana.id)
    call_all()
    (row,) = ana.get(f"/webhooks/{one['id']}/deliveries").json()["items"]
    ana.put(f"/webhooks/{one['id']}", json={"active": False})
    refused = ana.post(f"/webhooks/{one['id']}/deliveries/{row['id']}/redeliver")
    assert refused.status_code == 409 and refused.json()["code"] == "webhooks.off"
    alert(ana.id, "another")
    assert ana.get(f"/webhooks/{one['id']}/deliveries").json()["total"] == 1
