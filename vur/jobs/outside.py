"""Hands a file on to the outside service that ranks variables: `POST {address}/train/`, streamed, with retries."""

import http.client
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from vur.errors import VurError
from vur.settings import settings

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each further try
SILENT = 60.0  # seconds without a byte in either direction
SPARE = 120.0  # seconds for a try, besides one for each MiB
PIECE, MOST = 2**20, 64 * 2**10
AGAIN = (408, 425, 429)  # answers after which another try may help, besides those from 500 on


@dataclass(frozen=True)
class Order:
    """What the outside service gets: a file as its user called it, and what to rank for which machine."""

    path: Path
    filename: str
    machine_id: int
    model_id: int
    training: int
    target: str


class Refused(Exception):
    """One try failed; `again` says whether another one may succeed."""

    def __init__(self, reason: str, again: bool):
        super().__init__(reason)
        self.reason, self.again = reason, again


def send(order: Order, report: Callable[..., None], waits: tuple[float, ...] = WAITS) -> None:
    """Send the file, again after each of `waits` if that may help; `VurError` machines.outside_refused or …_down."""
    address = settings().relevance_service_api_url
    if not address:
        raise VurError("machines.no_service")
    for number in range(len(waits) + 1):
        report(0.05 + 0.9 * number / (len(waits) + 1), "ranking", "machines.log.sending", attempt=number + 1)
        try:
            return once(address, order)
        except Refused as refused:
            if not refused.again:
                raise VurError("machines.outside_refused", reason=refused.reason) from None
            if number == len(waits):
                raise VurError("machines.outside_down", reason=refused.reason, times=number + 1) from None
            report(0.05, "ranking", "machines.log.again", reason=refused.reason, seconds=waits[number])
            time.sleep(waits[number])


def once(address: str, order: Order) -> None:
    """Send the file once; `Refused` if the service cannot be reached or does not take it."""
    head, tail, kind = form(order.filename)
    size = order.path.stat().st_size
    parts = urlsplit(address)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=SILENT)
    query = {
        "machine_id": order.machine_id,
        "model_id": order.model_id,
        "target_column": order.target,
        "training": order.training,
    }
    headers = {"Content-Type": kind, "Content-Length": str(len(head) + size + len(tail)), "Accept": "application/json"}
    target = f"{parts.path}/train/?{urlencode(query)}"
    limit: threading.Timer | None = None
    try:
        connection.connect()
        limit = threading.Timer(SPARE + size / PIECE, cut, (connection.sock,))  # a service that answers drop by drop
        limit.daemon = True
        limit.start()
        connection.request("POST", target, body=body(head, order, tail), headers=headers)
        answer = connection.getresponse()
        text = answer.read(MOST).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Refused(f"{type(error).__name__}: {error}"[:300], True) from None
    finally:
        if limit is not None:
            limit.cancel()
        connection.close()
    if not 200 <= answer.status < 300:
        said = " ".join(f"{answer.status} {answer.reason} {text}".split())[:300]
        raise Refused(said, answer.status >= 500 or answer.status in AGAIN)


def cut(connection: socket.socket) -> None:
    """End a connection from another thread than the one that waits for it."""
    with suppress(OSError):  # it has ended
        connection.shutdown(socket.SHUT_RDWR)


def form(filename: str) -> tuple[bytes, bytes, str]:
    """What stands before and after the file in a form, and its content type."""
    boundary = secrets.token_hex(16)
    name = filename.replace("\\", "_").replace('"', "%22")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def body(head: bytes, order: Order, tail: bytes) -> Iterator[bytes]:
    """The form in pieces, so that memory does not grow with the file."""
    yield head
    with order.path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
    yield tail
