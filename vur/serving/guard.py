"""Authentication around the whole composed application: BentoML's own routes, the REST API and the WebSocket alike."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers

from vur.errors import VurError
from vur.serving.errors import error_response, language_of
from vur.serving.tokens import read_token
from vur.store.access import Principal

API = "/api/v1"
# What answers without a token: health, and the ways to get a token. `/ws` takes its token itself, in its first message too.
OPEN = frozenset({"/livez", "/readyz", "/healthz", "/health", "/health/live", "/health/ready", f"{API}/monitoring/health", f"{API}/auth/login", f"{API}/auth/register",
                  f"{API}/auth/refresh"})
SELF_GUARDED = "/ws"


class Guard:
    """ASGI middleware: finds out who asks and puts them into the scope as `vur.principal`; nobody gets no further."""

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Pass lifespan, open paths and known users on; answer the rest with 401, or close the WebSocket."""
        if scope["type"] == "lifespan" or scope["path"] in OPEN or (scope["type"] == "websocket" and scope["path"] == SELF_GUARDED):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            scope["vur.principal"] = authenticate(headers.get("authorization", ""), headers.get("x-api-key"))
        except VurError as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 4401})
            else:
                await error_response(error, language_of(headers))(scope, receive, send)
            return
        await self.app(scope, receive, send)


def authenticate(authorization: str, api_key: str | None = None) -> Principal:
    """Who a bearer token or personal key names; `VurError` api.unauthenticated where none is good."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise VurError("api.unauthenticated")
    return read_token(token.strip())[0]
