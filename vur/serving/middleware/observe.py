"""Observability of every request: id, log line, metrics, security headers; error reports and traces if configured."""

import os
import re
import time
import uuid
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from vur import __version__
from vur.errors import VurError
from vur.serving.errors import error_response, language_of
from vur.serving.middleware import metrics
from vur.serving.middleware.logs import configure, log, note_request

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
GONE = 499  # the client disconnected before it had sent everything
QUIET = frozenset(
    {
        "/livez",
        "/readyz",
        "/healthz",
        "/health",
        "/health/live",
        "/health/ready",
        "/api/v1/monitoring/health",
        "/metrics",
    }
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


def page_policy(script: str) -> str:
    """Return the content security policy of a page of ours whose only inline script is `script`."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


class Observed:
    """The outermost ASGI middleware: every response gets an id, a log line and the security headers."""

    def __init__(self, app: ASGIApp):
        configure()
        start_sentry()
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observe one request or WebSocket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        scope["vur.request_id"] = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        with bound_contextvars(request_id=scope["vur.request_id"]):
            await (self._request if scope["type"] == "http" else self._socket)(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, began = 0, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                scope["vur.route"] = metrics.route_of(scope, status)
                _add_headers(scope, message)
            await send(message)

        metrics.in_progress.inc()
        try:
            await self.app(scope, receive, answer)
        except ClientDisconnect:
            status = GONE
        except Exception:
            log.exception("failed", method=scope["method"], route=metrics.route_of(scope, status))
            if status == 0:
                await error_response(
                    VurError("api.internal", id=scope["vur.request_id"]), language_of(Headers(scope=scope))
                )(scope, receive, answer)
            raise
        finally:
            metrics.in_progress.dec()
            seconds = time.perf_counter() - began
            scope.setdefault("vur.route", metrics.UNKNOWN)
            metrics.observe(scope, status, seconds)
            _log_request(scope, status, seconds)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted, code, began = False, None, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal accepted, code
            if message["type"] == "websocket.accept" and not accepted:
                accepted = True
                metrics.clients.inc()
            elif message["type"] == "websocket.close":
                code = message.get("code", 1000)
            await send(message)

        async def taken() -> Message:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code")
            return message

        try:
            await self.app(scope, taken, answer)
        except Exception:
            log.exception("failed", method="WEBSOCKET")
            raise
        finally:
            if accepted:
                metrics.clients.dec()
            who = scope.get("vur.principal")
            log.info(
                "websocket",
                user_id=who.user_id if who else None,
                accepted=accepted,
                code=code,
                seconds=round(time.perf_counter() - began, 1),
            )


def _add_headers(scope: Scope, message: Message) -> None:
    """Add the request id and the security headers that the application did not set."""
    headers = [(name, value) for name, value in message.get("headers", ()) if name != b"x-request-id"]
    there = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in RAW_HEADERS if name not in there]
    if scope.get("scheme") == "https":
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    headers.append((b"x-request-id", scope["vur.request_id"].encode()))
    message["headers"] = headers


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    if scope["path"] in QUIET and 200 <= status < 400:
        return
    who = scope.get("vur.principal")
    note_request(
        "error" if status >= 500 or status == 0 else "info",
        method=scope["method"][:16],
        route=scope["vur.route"],
        status=status,
        ms=round(seconds * 1000, 1),
        user_id=who.user_id if who else None,
        via=who.via if who else None,
        request_id=scope["vur.request_id"],
    )


@cache
def start_sentry() -> None:
    """Report errors to Sentry if `SENTRY_DSN` is set, without bodies, local variables and addresses."""
    if not os.environ.get("SENTRY_DSN"):
        return
    try:
        import sentry_sdk
    except ImportError:
        log.warning("SENTRY_DSN is set, but sentry-sdk is not installed: pip install 'vur[observe]'")
        return
    sentry_sdk.init(
        release=f"vur@{__version__}",
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_without_request,
    )


def _without_request(event: "Event", hint: "Hint") -> "Event":
    request = event.get("request") or {}
    event["request"] = {key: request[key] for key in ("method",) if key in request}
    return event


def traced(app: ASGIApp) -> ASGIApp:
    """Wrap `app` in a span per request if `OTEL_EXPORTER_OTLP_ENDPOINT` is set; else return `app` itself."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return app
    provider = _tracer()
    if provider is None:
        return app
    from opentelemetry import trace
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        if "vur.query" in scope:
            scope["query_string"] = scope.pop("vur.query")
        span = trace.get_current_span()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":  # the span ends with the last chunk of the body
                span.update_name(f"{scope['method']} {scope['vur.route']}")
                span.set_attribute("http.route", scope["vur.route"])
            await send(message)

        await app(scope, receive, answer)

    spans = OpenTelemetryMiddleware(
        inside, excluded_urls="health,livez,readyz,metrics", tracer_provider=provider, exclude_spans=["receive", "send"]
    )

    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        """Hide the query string, which may contain a token, from the tracing middleware."""
        await spans(
            scope
            if scope["type"] == "lifespan"
            else dict(scope) | {"query_string": b"", "vur.query": scope.get("query_string", b"")},
            receive,
            send,
        )

    return outside


@cache
def _tracer() -> Any | None:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: pip install 'vur[observe]'"
        )
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": "vur", "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
