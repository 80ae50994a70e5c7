"""The bearer token of the prediction service: generated on first use, readable only by its owner."""

import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from vur.errors import VurError
from vur.serving.errors import error_response, language_of
from vur.store.home import home

OPEN_PATHS = ("/livez", "/readyz", "/healthz")


def token() -> str:
    """Return `VUR_TOKEN` if set, else the secret in the data home."""
    return os.environ.get("VUR_TOKEN") or _secret(home() / "token")


def _secret(path: Path) -> str:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


class RequireToken:
    """ASGI middleware around the whole application: everything but health needs `Authorization: Bearer`."""

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app, self.expected = app, f"Bearer {token()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on lifespan, health and authenticated requests; answer the rest with 401."""
        if scope["type"] == "lifespan" or scope.get("path") in OPEN_PATHS or self._allowed(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401})
        else:
            await _refusal(scope)(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        return hmac.compare_digest(given, self.expected)


def _refusal(scope: Scope) -> JSONResponse:
    return error_response(VurError("package.unauthenticated"), language_of(Headers(scope=scope)))
