"""The header `Idempotency-Key`: a repeated request gets the response of the first one.

Every POST under /api/v1, /train/ and /machines/ takes it, except those for accounts and webhooks, whose responses
contain secrets; endpoints need no code for it. Requests are compared by method, path, query and body (without a form's
random boundary). Successful responses are stored for a day, up to 1 MiB of JSON; after any other response the key is
free again, because nothing was done.
"""

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, or_, update
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vur.errors import VurError
from vur.serving.errors import error_response, language_of
from vur.store.accounts.access import Principal
from vur.store.catalog import Idempotency, now
from vur.store.database import writing
from vur.text import phrase

API = ("/api/v1/", "/train/", "/machines/")
NEVER = ("/api/v1/auth/", "/api/v1/users", "/api/v1/shares", "/api/v1/webhooks")
KEY = re.compile(r"[\x21-\x7e]{1,200}")
KEPT = timedelta(days=1)
ABANDONED = timedelta(minutes=15)  # after this a request without a response counts as dead
MOST = 2**20
SENT_AGAIN = ("content-type", "location", "etag")


class Fingerprint:
    """SHA-256 of a streamed request, without a form's boundary, which differs each time."""

    def __init__(self, scope: Scope):
        kind = Headers(scope=scope).get("content-type", "")
        found = re.search(r'boundary="?([^";,]+)', kind)
        self.boundary = found[1].encode("latin-1") if found else b""
        self.hash, self.tail = hashlib.sha256(), b""
        for part in (
            scope["method"],
            scope["path"],
            scope.get("query_string", b"").decode("latin-1"),
            kind.split(";")[0],
        ):
            self.hash.update(part.encode() + b"\0")

    def add(self, chunk: bytes) -> None:
        """Add a chunk of the body."""
        if not self.boundary:
            self.hash.update(chunk)
            return
        text = (self.tail + chunk).replace(self.boundary, b"")
        keep = len(self.boundary) - 1
        self.hash.update(text[:-keep] if keep else text)
        self.tail = text[-keep:] if keep else b""

    def end(self) -> str:
        """Return the digest after the last chunk."""
        self.hash.update(self.tail)
        self.tail = b""
        return self.hash.hexdigest()


class Idempotent:
    """ASGI middleware behind authentication: replays stored responses, passes other requests on and stores theirs."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Claim the key, or replay the response of the row that holds it."""
        who: Principal | None = scope.get("vur.principal")
        if who is None or scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key = headers.get("idempotency-key")
        if key is None or not scope["path"].startswith(API) or scope["path"].startswith(NEVER):
            await self.app(scope, receive, send)
            return
        try:
            if not KEY.fullmatch(key):
                raise VurError("api.invalid", field="Idempotency-Key", reason=phrase("api.reason.visible", most=200))
            claim, kept = await run_in_threadpool(claim_key, who.user_id, key)
            if claim is None:
                await (await _repeated(kept, scope, receive))(scope, receive, send)
                return
        except VurError as error:
            await error_response(error, language_of(headers, who.language))(scope, receive, send)
            return
        await _Once(self.app, scope, receive, send, (who.user_id, key, claim)).run()


def claim_key(user_id: str, key: str) -> tuple[str | None, Idempotency | None]:
    """Return a claim on the key, or the row that already holds it. Expired rows are replaced."""
    same, moment = (Idempotency.user_id == user_id, Idempotency.key == key), now()
    over = or_(
        Idempotency.created_at < moment - KEPT,
        and_(Idempotency.status.is_(None), Idempotency.created_at < moment - ABANDONED),
    )
    claim = secrets.token_hex(32)
    with writing() as session:
        session.execute(delete(Idempotency).where(*same, over))
        try:
            with session.begin_nested():
                session.add(Idempotency(user_id=user_id, key=key, request_hash=claim))
        except IntegrityError:
            return None, session.get(Idempotency, (user_id, key), populate_existing=True)
    return claim, None


def settle(owned: tuple[str, str, str], digest: str, status: int, body: dict[str, Any]) -> None:
    """Store the response of the request that holds the claim."""
    user_id, key, claim = owned
    with writing(durable=True) as session:
        session.execute(
            update(Idempotency)
            .where(Idempotency.user_id == user_id, Idempotency.key == key, Idempotency.request_hash == claim)
            .values(request_hash=digest, status=status, body=body)
        )


def release(owned: tuple[str, str, str]) -> None:
    """Release the key of the request that holds the claim."""
    user_id, key, claim = owned
    with writing() as session:
        session.execute(
            delete(Idempotency).where(
                Idempotency.user_id == user_id, Idempotency.key == key, Idempotency.request_hash == claim
            )
        )


async def _repeated(kept: Idempotency | None, scope: Scope, receive: Receive) -> Response:
    """Return the stored response. `VurError` if it is not there yet or belongs to another request."""
    if kept is None or kept.status is None or kept.body is None:
        raise VurError("api.in_progress", seconds=1)
    fingerprint, more = Fingerprint(scope), True
    while more:
        message = await receive()
        fingerprint.add(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    if fingerprint.end() != kept.request_hash:
        raise VurError("api.idempotency", field="Idempotency-Key")
    return Response(kept.body["text"], kept.status, kept.body["headers"] | {"Idempotency-Replayed": "true"})


class _Once:
    """A request that holds a claim: its body is hashed and its response held back until it is stored."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, owned: tuple[str, str, str]):
        self.app, self.scope, self.receive, self.send, self.owned = app, scope, receive, send, owned
        self.fingerprint, self.complete = Fingerprint(scope), False
        self.held: list[Message] = []
        self.size, self.held_back, self.settled = 0, True, False

    async def run(self) -> None:
        """Run the application; release the key unless its response was stored."""
        try:
            await self.app(self.scope, self.take, self.give)
        finally:
            if not self.settled:
                await run_in_threadpool(release, self.owned)

    async def take(self) -> Message:
        """Receive a message for the application and hash its body."""
        message = await self.receive()
        if message["type"] == "http.request":
            self.fingerprint.add(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        return message

    async def give(self, message: Message) -> None:
        """Send for the application: hold a small JSON response back until it is stored, pass on anything else."""
        if not self.held_back or message["type"] not in ("http.response.start", "http.response.body"):
            await self.send(message)
            return
        self.held.append(message)
        self.size += len(message.get("body", b""))
        start = self.held[0]
        kind = Headers(raw=start.get("headers", [])).get("content-type", "")
        json_answer = not kind or kind.partition(";")[0] == "application/json"
        if not 200 <= start["status"] < 300 or not json_answer or self.size > MOST:
            await self._let_go()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._keep()
            await self._let_go()

    async def _keep(self) -> None:
        while not self.complete:  # body that the application did not read is part of the request too
            message = await self.take()
            if message["type"] == "http.disconnect":
                return
        start, text = self.held[0], b"".join(message.get("body", b"") for message in self.held[1:]).decode()
        headers = Headers(raw=start.get("headers", []))
        body = {"text": text, "headers": {name: headers[name] for name in SENT_AGAIN if name in headers}}
        await run_in_threadpool(settle, self.owned, self.fingerprint.end(), start["status"], body)
        self.settled = True

    async def _let_go(self) -> None:
        self.held_back = False
        for message in self.held:
            await self.send(message)
        self.held = []
