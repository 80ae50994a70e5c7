"""What stands around the whole composed application: BentoML's own routes, the REST API and the WebSocket alike.

From the outside in: observation (request id, log, metrics, security headers), CORS, authentication and the rate limit,
the limit of bodies, idempotency keys. `Guard(app)` is all of them.
"""

import threading
import time

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vur.errors import VurError
from vur.serving.errors import NO_DATABASE, error_response, language_of
from vur.serving.middleware.idempotency import Idempotent
from vur.serving.middleware.limits import BodyLimit, Buckets
from vur.serving.middleware.observe import Observed, traced
from vur.serving.middleware.tokens import read_token
from vur.settings import settings
from vur.store.accounts.access import Principal
from vur.store.accounts.sessions import KEY_PREFIX, note_use, read_key, still_stands
from vur.store.database import reading, writing

API = "/api/v1"
PROBES = frozenset(
    {"/livez", "/readyz", "/healthz", "/health", "/health/live", "/health/ready", f"{API}/monitoring/health"}
)
# The description of the API is no secret, and a browser that opens it has no token yet.
DOCS = frozenset(
    {f"{API}/openapi.json", f"{API}/docs", f"{API}/docs/swagger-ui-bundle.js", f"{API}/docs/swagger-ui.css"}
)
# What answers without a token: health, the documentation, and the ways to get a token.
OPEN = PROBES | DOCS | {f"{API}/auth/login", f"{API}/auth/register", f"{API}/auth/refresh"}
SELF_GUARDED = "/ws"  # takes its token itself, in its first message too
FRESH_SECONDS = 2.0
REMEMBERED = 10_000
EXPOSED = (
    "ETag",
    "Location",
    "Retry-After",
    "X-Request-ID",
    "Content-Disposition",
    "Idempotency-Replayed",
    "Upload-Offset",
    "Upload-Length",
)
ALLOWED = (
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "Idempotency-Key",
    "X-API-Key",
    "X-Request-ID",
    "Range",
    "Upload-Offset",
    "X-Requested-With",
)


class Known:
    """Who tokens stand for, remembered for two seconds: a revoked one is refused after that in every process."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[float, Principal]] = {}
        self.lock = threading.Lock()

    def get(self, token: str) -> Principal | None:
        """Who `token` stood for a moment ago."""
        until, who = self.found.get(token, (0.0, None))
        return who if until > time.monotonic() else None

    def keep(self, token: str, who: Principal) -> None:
        """Remember `token` for a while."""
        with self.lock:
            if len(self.found) >= REMEMBERED:
                moment = time.monotonic()
                self.found = (
                    {token: item for token, item in self.found.items() if item[0] > moment}
                    if len(self.found) < 2 * REMEMBERED
                    else {}
                )
            self.found[token] = (time.monotonic() + FRESH_SECONDS, who)

    def forget(self, user_id: str) -> None:
        """Look the tokens of a user up again at once: their rights have changed."""
        with self.lock:
            self.found = {token: item for token, item in self.found.items() if item[1].user_id != user_id}


KNOWN = Known()


def authenticate(authorization: str, api_key: str | None = None) -> Principal:
    """Who a bearer token or personal key names; `VurError` api.unauthenticated where none is good."""
    token = credential(authorization, api_key)
    return KNOWN.get(token) or look_up(token)


def credential(authorization: str, api_key: str | None = None) -> str:
    """The token of `Authorization: Bearer TOKEN`, else the key of `X-API-Key`; `VurError` api.unauthenticated where none is."""
    scheme, _, token = authorization.partition(" ")
    found = token.strip() if authorization else (api_key or "").strip()
    if not found or (authorization and scheme.lower() != "bearer"):
        raise VurError("api.unauthenticated")
    return found


def look_up(token: str) -> Principal:
    """Who a token stands for, as the catalog has it now."""
    if token.startswith(KEY_PREFIX):
        with reading() as session:
            use = read_key(session, token)
        if use.stale:
            with writing() as session:
                note_use(session, use.key_id)
        who = use.principal
    else:
        named, epoch = read_token(token)
        with reading() as session:
            who = still_stands(session, named, epoch)
    KNOWN.keep(token, who)
    return who


class Authenticated:
    """ASGI middleware: finds out who asks and puts them into the scope as `vur.principal`; nobody gets no further."""

    def __init__(self, app: ASGIApp):
        self.app, self.buckets = app, Buckets(settings().rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass lifespan, open paths and known users on; answer the rest with 401 or 429, or close the WebSocket."""
        if scope["type"] == "lifespan" or (scope["type"] == "websocket" and scope["path"] == SELF_GUARDED):
            await self.app(scope, receive, send)
            return
        headers, open = Headers(scope=scope), scope["type"] == "http" and scope["path"] in OPEN
        try:
            if not open:
                token = credential(headers.get("authorization", ""), headers.get("x-api-key"))
                scope["vur.principal"] = KNOWN.get(token) or await run_in_threadpool(look_up, token)
            if scope["path"] not in PROBES and (seconds := self.buckets.wait(_client(scope))):
                raise VurError("api.throttled", seconds=seconds)
        except (VurError, *NO_DATABASE) as error:
            await _refuse(
                error if isinstance(error, VurError) else VurError("api.database", seconds=5), scope, receive, send
            )
            return
        await self.app(scope, receive, send)


def _client(scope: Scope) -> str:
    who = scope.get("vur.principal")
    return who.user_id if who else f"address {(scope.get('client') or ('?',))[0]}"


async def _refuse(error: VurError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4401 if error.code == "api.unauthenticated" else 1013})
    else:
        await error_response(error, language_of(Headers(scope=scope)))(scope, receive, send)


class OneForm:
    """ASGI middleware: errors get their one form also where BentoML answers them, with unknown paths and in its own endpoints."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but plain 404 and 405, and what an endpoint of BentoML's left in `vur.error`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        replaced: VurError | None = None

        async def answer(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and "vur.error" in scope:
                replaced = scope["vur.error"]
            elif (
                message["type"] == "http.response.start"
                and message["status"] in (404, 405)
                and Headers(raw=message["headers"]).get("content-type", "").startswith("text/plain")
            ):
                replaced = VurError(
                    "api.no_route" if message["status"] == 404 else "api.method",
                    path=scope["path"],
                    method=scope["method"],
                )
            elif replaced is None:
                await send(message)

        await self.app(scope, receive, answer)
        if replaced is not None:
            who = scope.get("vur.principal")
            await error_response(replaced, language_of(Headers(scope=scope), who.language if who else None))(
                scope, receive, send
            )


class Guard:
    """Everything around `app` as one ASGI middleware."""

    def __init__(self, app: ASGIApp):
        inner = Authenticated(BodyLimit(Idempotent(OneForm(app))))
        cors = CORSMiddleware(
            inner,
            allow_origins=settings().cors_origins,
            allow_methods=["*"],
            allow_headers=ALLOWED,
            expose_headers=EXPOSED,
        )
        self.stack = traced(Observed(cors))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass every kind of scope through the layers."""
        await self.stack(scope, receive, send)
