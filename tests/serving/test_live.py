"""Live messages over real WebSockets on a real server: order, replay, other users, slow clients, tokens."""

import json
import logging
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import jwt
import pytest
import uvicorn
from sqlalchemy import delete, text
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from vur.serving.live import LARGEST_FRAME, QUEUE
from vur.serving.messages import Tail, encode
from vur.settings import settings
from vur.store import database, events
from vur.store.accounts.sessions import add_key
from vur.store.catalog import Event, User, now
from vur.store.secret import secret

on_sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
WITHOUT_METRICS = "types=training_update,prediction,alert"


class Address(str):
    """A server's address and its application."""


@pytest.fixture
def server(catalog) -> Iterator[Address]:
    """Address of a real server of the guarded application."""
    from vur.serving.app import create_app
    from vur.serving.middleware.guard import Guard

    app = create_app()

    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    running = uvicorn.Server(uvicorn.Config(Guard(app), log_level="info", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=running.run, args=([listening],), daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    address = Address(f"ws://127.0.0.1:{listening.getsockname()[1]}/ws")
    address.app = app
    yield address
    running.should_exit = True
    thread.join(10)
    assert not thread.is_alive(), "the server does not stop while clients are connected"


def enter(address: str, person, query: str = WITHOUT_METRICS, **options) -> ClientConnection:
    """A connection of `person` after `ready`."""
    client = connect(f"{address}?{query}", additional_headers={"Authorization": f"Bearer {person.token}"}, **options)
    assert said(client)["type"] == "ready"
    return client


def said(client: ClientConnection, timeout: float = 5) -> dict:
    return json.loads(client.recv(timeout=timeout))


def silent(client: ClientConnection, seconds: float = 0.8) -> bool:
    try:
        client.recv(timeout=seconds)
    except TimeoutError:
        return True
    return False


def closed(client: ClientConnection, timeout: float = 10) -> int:
    """The close code, after any other messages."""
    until = time.monotonic() + timeout
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            client.recv(timeout=max(until - time.monotonic(), 0))
    return ended.value.rcvd.code


def publish(owner: str | None, *numbers: int, type: str = "training_update", **data) -> None:
    for number in numbers:
        with database.writing() as session:
            events.publish(session, type, {"number": number, **data}, owner)


def token_for(user: User, seconds: float) -> str:
    content = {
        "sub": user.id,
        "role": user.role,
        "lang": "en",
        "sid": None,
        "epoch": user.epoch,
        "typ": "access",
        "iat": now(),
        "exp": now() + timedelta(seconds=seconds),
    }
    return jwt.encode(content, secret("tokens"), "HS256")


@pytest.mark.slow
def test_messages_of_any_process_arrive_in_order_and_only_where_permitted(server, ana, bia, root):
    with (
        enter(server, ana) as one,
        enter(server, ana) as other,
        enter(server, bia) as stranger,
        enter(server, root) as admin,
    ):
        publish(ana.id, *range(20), model_id="m")
        code = f"""if True:
            from vur.store import database, events
            for number in range(20, 30):
                with database.writing() as session:
                    events.publish(session, "prediction", {{"number": number}}, {ana.id!r})"""
        subprocess.run([sys.executable, "-c", code], check=True)
        publish(None, 30)
        for client in (one, other, admin):
            got = [said(client) for _ in range(31)]
            assert [message["data"]["number"] for message in got] == list(range(31))
            assert [message["type"] for message in got] == ["training_update"] * 20 + ["prediction"] * 10 + [
                "training_update"
            ]
            assert [message["id"] for message in got] == sorted({message["id"] for message in got})
            assert all(message["at"].endswith("Z") for message in got)
        assert said(stranger)["data"] == {"number": 30}, "only what is for all"
        assert silent(stranger)


@on_sqlite
def test_every_way_to_authenticate(server, ana):
    clients = [
        connect(server, additional_headers={"Authorization": f"Bearer {ana.token}"}),
        connect(f"{server}?token={ana.token}"),
        connect(server, subprotocols=["bearer", ana.token]),
        connect(server),
    ]
    clients[-1].send(json.dumps({"type": "auth", "token": ana.token}))
    assert clients[2].subprotocol == "bearer"
    with database.writing() as session:
        key = add_key(session, session.get(User, ana.id), "robot")[1]
    clients.append(connect(server, additional_headers={"X-API-Key": key}))
    for client in clients:
        with client:
            ready = said(client)
            assert ready["type"] == "ready" and ready["data"]["user_id"] == ana.id
    assert ready["data"]["expires_at"] is None


@on_sqlite
def test_without_a_valid_token_the_close_code_is_4401(server, ana, monkeypatch):
    from vur.serving.routes import live

    monkeypatch.setattr(live, "AUTH_SECONDS", 0.3)
    with connect(server) as client:
        start = time.monotonic()
        assert closed(client) == 4401 and 0.2 < time.monotonic() - start < 3
    for query in ("token=nonsense", f"token={token_for(ana.user, -5)}", f"token={ana.token[:-4]}AAAA"):
        with connect(f"{server}?{query}") as client:
            assert closed(client) == 4401
    for first in ('{"type": "ping"}', "[" * 9000, '{"type": "auth"}', '{"type": "auth", "token": "a.b.c"}', "\u0000"):
        with connect(server) as client:
            client.send(first)
            assert closed(client) == 4401
    with connect(server) as client:
        client.send(b"\x00\x01")
        assert closed(client) == 4401


@on_sqlite
def test_tokens_stay_out_of_the_server_logs(server, ana, caplog):
    caplog.set_level(logging.INFO, "uvicorn.error")
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)  # uvicorn's loggers do not propagate
    with connect(f"{server}?token={ana.token}&types=alert") as client:
        said(client)
    logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert "token=***&types=alert" in caplog.text and ana.token not in caplog.text


@on_sqlite
def test_an_expiring_token_is_announced_and_can_be_renewed(server, ana, bia):
    with (
        connect(f"{server}?{WITHOUT_METRICS}&token={token_for(ana.user, 2)}") as short,
        connect(f"{server}?{WITHOUT_METRICS}&token={token_for(ana.user, 2)}") as longer,
    ):
        for client in (short, longer):
            assert said(client)["type"] == "ready"
            warning = said(client)
            assert warning["type"] == "expiring" and warning["data"]["seconds"] <= 2
        longer.send(json.dumps({"type": "auth", "token": bia.token}))
        assert said(longer)["data"]["code"] == "live.other_user"
        longer.send(json.dumps({"type": "auth", "token": ana.token}))
        assert said(longer)["type"] == "ready"
        assert said(short)["type"] == "expired"
        assert closed(short) == 4401
        publish(ana.id, 1)
        assert said(longer)["data"]["number"] == 1


@on_sqlite
def test_a_deactivated_account_loses_its_connections(server, ana, bia, monkeypatch):
    from vur.errors import VurError
    from vur.serving import live

    monkeypatch.setattr(live, "CHECK_SECONDS", 0.3)
    good = live.identify

    def without_ana(token):
        if token == ana.token:
            raise VurError("api.unauthenticated")
        return good(token)

    with enter(server, ana) as client, enter(server, bia) as other:
        monkeypatch.setattr(live, "identify", without_ana)
        assert closed(client, 5) == 4401
        publish(bia.id, 1)
        assert said(other)["data"]["number"] == 1


def test_a_reconnect_gets_exactly_what_it_missed(server, ana, bia):
    with enter(server, ana) as client:
        publish(ana.id, *range(5))
        last = [said(client) for _ in range(5)][2]["id"]
    publish(bia.id, 99)
    publish(ana.id, *range(5, 40))
    with connect(f"{server}?{WITHOUT_METRICS}&token={ana.token}&last_event_id={last}") as client:
        assert said(client)["type"] == "ready"
        publish(ana.id, *range(40, 50))
        assert [said(client)["data"]["number"] for _ in range(47)] == list(range(3, 50))
        assert silent(client)
    with connect(f"{server}?{WITHOUT_METRICS}") as client:
        client.send(json.dumps({"type": "auth", "token": ana.token, "last_event_id": last}))
        assert said(client)["type"] == "ready"
        assert [said(client)["data"]["number"] for _ in range(47)] == list(range(3, 50))
        assert silent(client)


@on_sqlite
def test_a_reconnect_to_a_lagging_process_repeats_no_message(server, ana, monkeypatch):
    from vur.serving import live

    with enter(server, ana) as idle:
        monkeypatch.setattr(live, "FASTEST", 1.5)
        publish(ana.id, 0)
        assert said(idle)["data"]["number"] == 0
        publish(ana.id, 1, 2, 3)
        with database.reading() as session:
            last = session.query(Event.id).filter(Event.data["number"].as_integer() == 2).scalar()
        with connect(f"{server}?{WITHOUT_METRICS}&token={ana.token}&last_event_id={last}") as client:
            assert said(client)["type"] == "ready"
            assert said(client)["data"]["number"] == 3, "another process sent 1 and 2 already"
            assert [said(idle)["data"]["number"] for _ in range(3)] == [1, 2, 3]
            assert silent(client)


@on_sqlite
def test_a_late_reconnect_gets_a_reset(server, ana):
    publish(ana.id, *range(10))
    with database.writing() as session:
        session.execute(delete(Event).where(Event.id < 5))
    for last, reset in ((1, True), (4, False), (10**9, True)):
        with connect(f"{server}?{WITHOUT_METRICS}&token={ana.token}&last_event_id={last}") as client:
            assert said(client)["type"] == "ready"
            first = said(client)
            assert (first["type"] == "reset") is reset
            assert first["data"] == {"last_event_id": 10} if reset else first["id"] == 5
    with database.writing() as session:
        session.execute(delete(Event))
    publish(ana.id, 11)
    with connect(f"{server}?{WITHOUT_METRICS}&token={ana.token}&last_event_id=10") as client:
        assert [said(client)["type"], said(client)["id"]] == ["ready", 11], "ids go on after everything was pruned"


@on_sqlite
def test_clients_subscribe_to_types_and_a_model(server, ana):
    with enter(server, ana) as client:
        client.send(json.dumps({"type": "subscribe", "types": ["prediction"], "model_id": "a"}))
        assert said(client)["type"] == "subscribed"
        publish(ana.id, 1, type="training_update", model_id="a")
        publish(ana.id, 2, type="prediction", model_id="b")
        publish(ana.id, 3, type="prediction", model_id="a")
        assert said(client)["data"]["number"] == 3
        client.send(json.dumps({"type": "subscribe", "types": ["everything"]}))
        wrong = said(client)
        assert (
            wrong["type"] == "error" and wrong["data"]["code"] == "live.message" and "types" in wrong["data"]["detail"]
        )
        client.send(json.dumps({"type": "ping"}))
        assert said(client)["type"] == "pong"


@on_sqlite
def test_an_alert_is_in_the_language_of_its_reader(server, ana):
    with connect(f"{server}?types=alert&token={ana.token}", additional_headers={"Accept-Language": "pt-BR"}) as client:
        assert said(client)["type"] == "ready"
        with database.writing() as session:
            assert events.raise_alert(
                session, ana.id, "monitor_failed", about=("monitor", "x"), name="Vendas", reason="banco fora do ar"
            )
        alert = said(client)
        assert (
            alert["type"] == "alert"
            and alert["data"]["kind"] == "monitor_failed"
            and "Vendas" in alert["data"]["message"]
        )


@on_sqlite
def test_system_metrics_are_pushed_and_not_stored(server, ana):
    with enter(server, ana, "types=system_metrics") as client:
        got = [said(client) for _ in range(2)]
    assert {message["type"] for message in got} == {"system_metrics"} and got[0]["id"] is None
    assert got[0]["data"]["memory"]["total"] > 0 and 0 <= got[1]["data"]["cpu"]["percent"] <= 100
    with database.reading() as session:
        assert session.query(Event).count() == 0


@on_sqlite
def test_a_slow_client_is_disconnected_and_delays_nobody(server, ana):
    slow = enter(server, ana, max_queue=1, compression=None)
    filler, count = "x" * 100_000, QUEUE + 160
    with enter(server, ana, compression=None, max_size=None) as quick:
        waits: list[float] = []

        def send() -> None:
            for number in range(count):
                publish(ana.id, number, filler=filler, sent=time.time())

        thread = threading.Thread(target=send)
        thread.start()
        for number in range(count):
            message = said(quick, 20)
            waits.append(time.time() - message["data"]["sent"])
            assert message["data"]["number"] == number
        thread.join()
    assert sorted(waits)[int(0.95 * count)] < 2
    assert closed(slow, 20) == 4408


@on_sqlite
def test_no_message_is_lost_while_the_catalog_is_unreachable(server, ana, monkeypatch):
    from vur.serving import live

    monkeypatch.setattr(live, "BROKEN", 0.2)
    with enter(server, ana) as client:
        good, broken = Tail.read, threading.Event()

        def fail(self):
            broken.set()
            raise OSError("away")

        monkeypatch.setattr(Tail, "read", fail)
        assert broken.wait(5)
        publish(ana.id, 1, 2)
        assert silent(client)
        monkeypatch.setattr(Tail, "read", good)
        assert [said(client)["data"]["number"] for _ in range(2)] == [1, 2]


@on_sqlite
def test_nothing_is_left_of_disconnected_clients(server, ana):
    for number in range(24):
        client = enter(server, ana, compression=None)
        if number % 3 == 0:
            client.close()
        elif number % 3 == 1:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        else:
            client.socket.shutdown(socket.SHUT_RDWR)
    hub, end = server.app.state.hub, time.monotonic() + 10
    while (hub.clients or hub.open or hub.tasks) and time.monotonic() < end:
        time.sleep(0.1)
    assert (hub.clients, dict(hub.open), hub.tasks, hub.pending) == (set(), {}, [], 0)
    with enter(server, ana) as client:
        publish(ana.id, 1)
        assert said(client)["data"]["number"] == 1, "and it begins anew"


@on_sqlite
def test_too_large_too_many_and_binary_messages_end_a_connection(server, ana):
    for size in (20_000, 200_000):
        with enter(server, ana) as client:
            client.send("x" * size)
            assert closed(client) == 1009
    assert uvicorn.Config(lambda: None).ws_max_size == LARGEST_FRAME, "nobody makes the server gather more"
    with enter(server, ana) as client:
        client.send(b"binary")
        assert closed(client) == 1003
    with enter(server, ana) as client:
        with suppress(ConnectionClosed):
            for _ in range(60):
                client.send('{"type": "ping"}')
        assert closed(client) == 4429
    with enter(server, ana) as client:
        for wrong in ("[" * 9000, "null", '{"type": "subscribe", "types": 3}', "{", '{"type": "drop"}'):
            client.send(wrong)
            assert said(client)["type"] == "error"


@on_sqlite
def test_the_limit_of_connections_applies_per_user(server, ana, bia, monkeypatch):
    monkeypatch.setenv("VUR_WS_PER_USER", "2")
    settings.cache_clear()
    with enter(server, ana) as one, enter(server, ana):
        with connect(f"{server}?token={ana.token}") as third:
            assert closed(third) == 4429
        with enter(server, bia):
            pass
        one.close()
        time.sleep(0.2)
        with enter(server, ana):
            pass


def test_ids_that_become_visible_late_are_not_lost(catalog, kind, ana):
    """A transaction with a lower id commits after one with a higher id; only PostgreSQL allows this."""
    if kind == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    publish(ana.id, 0)
    tail = Tail()
    tail.start()
    assert tail.read() == []
    with database.engine().connect() as early, database.engine().connect() as rolled_back:
        insert = text(
            "INSERT INTO events (at, type, owner_id, data) VALUES (now(), 'prediction', :owner, '{\"number\": 1}')"
        )
        early.execute(insert, {"owner": ana.id})
        rolled_back.execute(insert, {"owner": ana.id})
        rolled_back.rollback()
        publish(ana.id, 2, 3)
        assert tail.read() == [], "what comes later waits for it"
        early.commit()
    time.sleep(1.1)
    assert [message.data["number"] for message in tail.read()] == [1, 2, 3]
    with database.engine().connect() as late:
        late.execute(insert, {"owner": ana.id})
        publish(ana.id, 4)
        tail.read()
        time.sleep(1.1)
        assert [message.data["number"] for message in tail.read()] == [4], "but not for ever"
        late.commit()
    assert [message.data["number"] for message in tail.read()] == [1], "and it comes all the same"
    assert tail.read() == []


def test_nan_and_infinity_do_not_break_a_message():
    assert json.loads(encode({"data": {"value": float("nan"), "list": [float("inf"), 1.5]}})) == {
        "data": {"value": None, "list": [None, 1.5]}
    }
