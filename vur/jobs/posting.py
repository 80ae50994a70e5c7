"""One POST to an address that a user chose: to the addresses that were checked, within a time, never further.

A receiver may be slow, endless, hostile or dead: look-up, connection, handshake, sending and reading share one
deadline, only the beginning of the answer is read, and a redirect is an answer as any other.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

from vur import __version__
from vur.errors import VurError
from vur.store.webhooks.address import LOOKUP_SECONDS, Target, parse, resolve
from vur.store.webhooks.deliveries import Answer
from vur.text import is_control

READ, SHOWN = 16_384, 500  # bytes of an answer that are read, and characters of it that are kept
LONGEST_WAIT = 7 * 24 * 3600.0


class Deadline:
    """A moment until which everything must be done."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; `TimeoutError` if there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Incoming(io.RawIOBase):
    """What a socket receives until a deadline, however slowly it drips."""

    def __init__(self, connection: socket.socket, deadline: Deadline):
        self.connection, self.deadline = connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.connection.settimeout(self.deadline.left())
        return self.connection.recv_into(buffer)


class _Source:
    """What `http.client` reads an answer from."""

    def __init__(self, incoming: _Incoming):
        self.incoming = incoming

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self.incoming)


def post(url: str, body: bytes, headers: Iterable[tuple[str, str]], seconds: float) -> Answer:
    """Send `body` as JSON to `url` within `seconds`; an error is part of the answer, never raised."""
    started, deadline = time.monotonic(), Deadline(seconds)
    status: int | None = None
    excerpt, pause, error = "", None, None
    try:
        target = parse(url)
        addresses = resolve(target, min(LOOKUP_SECONDS, deadline.left()))
        with _connected(target, addresses, deadline) as connection:
            connection.settimeout(deadline.left())
            connection.sendall(_request(target, body, headers))
            answer = http.client.HTTPResponse(_Source(_Incoming(connection, deadline)), method="POST")  # type: ignore[arg-type]
            answer.begin()
            status, pause = answer.status, _asked(answer.getheader("Retry-After"))
            excerpt = _beginning(answer)
            error = _fault(status)
    except VurError as refused:
        error = refused
    except TimeoutError:
        error = VurError("webhooks.timeout", limit=round(seconds))
    except ssl.SSLError as refused:
        error = VurError("webhooks.tls", reason=_reason(refused))
    except (http.client.HTTPException, ValueError):
        error = VurError("webhooks.not_http")
    except OSError as refused:
        error = VurError("webhooks.unreachable", reason=_reason(refused))
    return Answer(status, time.monotonic() - started, excerpt, error, pause)


def _connected(target: Target, addresses: list[str], deadline: Deadline) -> socket.socket:
    """A connection to the first of the checked addresses that takes one; the certificate must be that of the host."""
    problem: OSError = OSError("no address")
    for address in addresses:
        try:
            plain = socket.create_connection((address, target.port), timeout=deadline.left())
            break
        except TimeoutError:
            raise
        except OSError as error:
            problem = error
    else:
        raise problem
    if target.scheme == "http":
        return plain
    try:
        plain.settimeout(deadline.left())
        return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
    except BaseException:
        plain.close()
        raise


def _request(target: Target, body: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.shown_host}",
        f"User-Agent: VUR/{__version__}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _beginning(answer: http.client.HTTPResponse) -> str:
    """The beginning of the answer as text; what comes too late is left out, because the status has been said."""
    read = b""
    try:
        while len(read) < READ and (piece := answer.read1(READ - len(read))):
            read += piece
    except (OSError, http.client.HTTPException, ValueError):
        pass
    text = "".join(" " if is_control(one) else one for one in read.decode("utf-8", "replace")[: 4 * SHOWN])
    return " ".join(text.split())[:SHOWN]


def _fault(status: int) -> VurError | None:
    if 200 <= status < 300:
        return None
    return VurError("webhooks.redirect" if 300 <= status < 400 else "webhooks.status", status=status)


def _asked(text: str | None) -> float | None:
    """The seconds of a `Retry-After`; one that names a date is not read."""
    return min(float(text), LONGEST_WAIT) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def _reason(error: OSError) -> str:
    return str(getattr(error, "verify_message", None) or error.strerror or type(error).__name__)[:200]
