"""The middleware stack around the whole application: BentoML's own routes, the REST API and the WebSocket.

From the outside in: the client's address, observability (request id, log, metrics, security headers), CORS,
authentication and rate limit, body limit, idempotency keys. `Guard(app)` is the whole stack.
"""

import hmac
import threading
import time

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from vur.errors import VurError
from vur.serving.errors import error_response, language_of
from vur.serving.handlers import NO_DATABASE, unavailable
from vur.serving.middleware.clients import Forwarded, address_of
from vur.serving.middleware.common_errors import CommonErrors
from vur.serving.middleware.idempotency import Idempotent
from vur.serving.middleware.limits import BodyLimit, Buckets
from vur.serving.middleware.observe import Observed, traced
from vur.serving.middleware.tokens import read_token
from vur.serving.unversioned import WEBHOOK
from vur.settings import settings
from vur.store.accounts.access import METRICS, Principal
from vur.store.accounts.sessions import KEY_PREFIX, note_use, read_key, still_stands
from vur.store.database import reading, writing

API = "/api/v1"
PROBES = frozenset(
    {"/livez", "/readyz", "/healthz", "/health", "/health/live", "/health/ready", f"{API}/monitoring/health"}
)
# The API documentation is public: a browser that opens it has no token yet.
DOCS = frozenset(
    {f"{API}/openapi.json", f"{API}/docs", f"{API}/docs/swagger-ui-bundle.js", f"{API}/docs/swagger-ui.css"}
)
# Paths that need no token: health, documentation, the endpoints that issue tokens, and the one that checks a signature.
OPEN = PROBES | DOCS | {f"{API}/auth/login", f"{API}/auth/register", f"{API}/auth/refresh", WEBHOOK}
PUBLISHED = "/published/"  # begins the paths of pages whose secret is the path itself
# What the operator's programs may read with the key of the setting `metrics_key`, besides administrators.
MEASURED = frozenset({"/metrics", f"{API}/monitoring/logs"})
SELF_GUARDED = "/ws"  # authenticates by itself, also through its first message
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
    """Cache of token owners with a lifetime of two seconds, after which every process rejects a revoked token."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[float, Principal]] = {}
        self.lock = threading.Lock()

    def get(self, token: str) -> Principal | None:
        """Return the cached owner of `token`, or None."""
        until, who = self.found.get(token, (0.0, None))
        return who if until > time.monotonic() else None

    def keep(self, token: str, who: Principal) -> None:
        """Cache the owner of `token`."""
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
        """Drop a user's tokens from the cache, because their permissions changed."""
        with self.lock:
            self.found = {token: item for token, item in self.found.items() if item[1].user_id != user_id}


KNOWN = Known()


def authenticate(authorization: str, api_key: str | None = None) -> Principal:
    """Return the owner of a bearer token or personal key. `VurError` api.unauthenticated if it is invalid."""
    token = credential(authorization, api_key)
    return KNOWN.get(token) or look_up(token)


def credential(authorization: str, api_key: str | None = None) -> str:
    """Return the token of `Authorization: Bearer TOKEN`, else `X-API-Key`; `VurError` api.unauthenticated if none."""
    scheme, _, token = authorization.partition(" ")
    found = token.strip() if authorization else (api_key or "").strip()
    if not found or (authorization and scheme.lower() != "bearer"):
        raise VurError("api.unauthenticated")
    return found


def is_open(path: str) -> bool:
    """Whether a path needs no token."""
    return path in OPEN or path.startswith(PUBLISHED)


def measuring(token: str, path: str) -> Principal | None:
    """Return the operator's program if `token` is the key of `metrics_key` and may read `path`; else None."""
    key = settings().metrics_key
    if path not in MEASURED or not key or not hmac.compare_digest(token.encode(), key.encode()):
        return None
    return Principal("metrics", "viewer", settings().language, METRICS)


def look_up(token: str) -> Principal:
    """Look up the owner of a token in the catalog."""
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
    """ASGI middleware: authenticates the caller, who becomes `vur.principal` of the scope, or rejects the request."""

    def __init__(self, app: ASGIApp):
        self.app, self.buckets = app, Buckets(settings().rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on lifespan, open paths and known users; answer the rest with 401 or 429, or close the WebSocket."""
        if scope["type"] == "lifespan" or (scope["type"] == "websocket" and scope["path"] == SELF_GUARDED):
            await self.app(scope, receive, send)
            return
        headers, open = Headers(scope=scope), scope["type"] == "http" and is_open(scope["path"])
        try:
            if not open:
                token = credential(headers.get("authorization", ""), headers.get("x-api-key"))
                operator = measuring(token, scope["path"])
                scope["vur.principal"] = operator or KNOWN.get(token) or await run_in_threadpool(look_up, token)
            if scope["path"] not in PROBES and (seconds := self.buckets.wait(_client(scope))):
                raise VurError("api.throttled", seconds=seconds)
        except (VurError, *NO_DATABASE) as error:
            await _refuse(error if isinstance(error, VurError) else unavailable(error), scope, receive, send)
            return
        await self.app(scope, receive, send)


def _client(scope: Scope) -> str:
    who = scope.get("vur.principal")
    return who.user_id if who else f"address {address_of(scope)}"


async def _refuse(error: VurError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4401 if error.code == "api.unauthenticated" else 1013})
    else:
        await error_response(error, language_of(Headers(scope=scope)))(scope, receive, send)


class Guard:
    """The whole middleware stack around `app` as one ASGI middleware."""

    def __init__(self, app: ASGIApp):
        inner = Authenticated(BodyLimit(Idempotent(CommonErrors(app))))
        cors = CORSMiddleware(
            inner,
            allow_origins=settings().cors_origins,
            allow_methods=["*"],
            allow_headers=ALLOWED,
            expose_headers=EXPOSED,
        )
        self.stack = Forwarded(traced(Observed(cors)), settings().trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass every scope through the stack."""
        await self.stack(scope, receive, send)
