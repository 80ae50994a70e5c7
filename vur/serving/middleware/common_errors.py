"""Gives the errors of BentoML itself (its endpoints, unknown paths) the shape of all others."""

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vur.errors import VurError
from vur.serving.errors import CODES, DOCS, error_response, language_of

OWN = frozenset({"/livez", "/readyz", "/healthz"})  # probes keep their plain answers


class CommonErrors:
    """ASGI middleware: replaces the error that a BentoML endpoint left in `vur.error`, and those that BentoML wrote.

    `docs` is the path of the documentation, which some errors name.
    """

    def __init__(self, app: ASGIApp, docs: str = DOCS):
        self.app, self.docs = app, docs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything that succeeded or has the common shape; hold back an error until its body is known."""
        if scope["type"] != "http" or scope["path"] in OWN:
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def answer(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start = message
            elif start is None:
                await send(message)
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")

        try:
            await self.app(scope, receive, answer)
        finally:  # an unexpected exception goes on after its answer
            if start is not None:
                await self._finish(scope, receive, send, start, body)

    async def _finish(self, scope: Scope, receive: Receive, send: Send, start: Message, body: bytes) -> None:
        own = scope.get("vur.error")
        error = own or foreign_error(scope, start, body, self.docs)
        if error is None:
            await send(start)
            await send({"type": "http.response.body", "body": body})
            return
        who = scope.get("vur.principal")
        response = error_response(error, language_of(Headers(scope=scope), who.language if who else None))
        response.status_code = response.status_code if own else start["status"]
        if allowed := Headers(raw=start["headers"]).get("allow"):
            response.headers["Allow"] = allowed
        await response(scope, receive, send)


def foreign_error(scope: Scope, start: Message, body: bytes, docs: str) -> VurError | None:
    """Return the error that BentoML or Starlette wrote in a shape of their own; None for one in the common shape."""
    status, headers = start["status"], Headers(raw=start["headers"])
    kind = headers.get("content-type", "")
    if kind.startswith("text/plain") and status in CODES:
        values = {"path": scope["path"], "method": scope["method"], "docs": docs}
        if status == 405:
            values["allowed"] = headers.get("allow", "-")
        elif status == 400:
            values = {"reason": body[:200].decode(errors="replace")}
        return VurError(CODES[status], **values)
    reason = _reason(_json(body)) if kind.startswith("application/json") else None
    if reason is None:
        return None
    if status >= 500:
        return VurError("api.internal", id=scope.get("vur.request_id", "-"))
    return VurError("api.http", reason=reason, status=status)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _reason(found: Any) -> str | None:
    """What BentoML says in its shape `{"error": text}`, which it also puts into a list; None for any other shape."""
    one = found[0] if isinstance(found, list) and found else found
    return str(one["error"])[:200] if isinstance(one, dict) and "error" in one and "code" not in one else None
