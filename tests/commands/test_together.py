"""Commands that start several servers: the addresses are printed when all of them answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from service import free_port

from vur.commands._together import announce, answers

HOST = "127.0.0.1"


@contextmanager
def server(port: int, statuses: dict[str, int]) -> Iterator[None]:
    """A server that answers each path with its status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()

        def log_message(self, *given: object) -> None:
            """Print nothing."""

    with HTTPServer((HOST, port), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield
        found.shutdown()


def test_a_refusal_is_an_answer_and_a_start_is_none() -> None:
    port = free_port()
    assert not answers(HOST, port, "/health")
    with server(port, {"/health": 200, "/login": 403, "/starting": 503}):
        assert answers(HOST, port, "/health") and answers(HOST, port, "/login")
        assert not answers(HOST, port, "/starting")


def test_addresses_are_printed_when_everything_answers(capsys: pytest.CaptureFixture[str]) -> None:
    early, late = free_port(), free_port()
    states = {"/health": 503}
    with server(early, {"/health": 200}), server(late, states):
        announce([(HOST, early, "/health"), (HOST, late, "/health")], ["first", "second"])
        assert not answers(HOST, late, "/health") and capsys.readouterr().out == ""
        states["/health"] = 200
        next(one for one in threading.enumerate() if one.name == "announce").join(20)
        assert capsys.readouterr().out == "first\nsecond\n"
