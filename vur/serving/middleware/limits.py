"""Limits for one client: size and time of a body, and requests per minute."""

import asyncio
import math
import re
import threading
import time

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vur.errors import VurError
from vur.serving.errors import Stopped, error_response, language_of
from vur.serving.unversioned import WEBHOOK
from vur.settings import settings

MIB = 2**20
OPEN_BODY = 64 * 1024  # bytes that an unauthenticated client may send
UPLOADS = ("/api/v1/datasets/upload", "/api/v1/predictions/batch/upload", "/train")
TRAININGS = re.compile(r"/api/v1/machines/\d+/trainings")
SIGNED_BODY = MIB  # bytes of an answer of an outside service, which is known by its signature
TABLES = re.compile(r"/api/v1/tables/(.+/)?upload")
ACCOUNTS = "/api/v1/auth/"
REMEMBERED = 10_000
SILENT_SECONDS = 20.0  # without a byte of an unfinished body; a whole body that needs no token gets no longer


def body_limit(path: str) -> int:
    """Return the most bytes that a request to `path` may carry: much for uploads, little where no token is needed."""
    if path.startswith(UPLOADS) or TRAININGS.fullmatch(path) or TABLES.fullmatch(path):
        return settings().max_upload_bytes + MIB
    if path == WEBHOOK:
        return SIGNED_BODY
    return OPEN_BODY if path.startswith(ACCOUNTS) else settings().max_body_bytes


class BodyLimit:
    """ASGI middleware: 413 for a body above its limit, as announced or as it streams in; 408 for one that stalls."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the received bytes; once over a limit, replace the application's response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = body_limit(scope["path"])
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if announced.isdigit() and int(announced) > limit:
            await _refusal(scope, VurError("api.too_large", limit=limit))(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        last = loop.time() + SILENT_SECONDS if limit in (OPEN_BODY, SIGNED_BODY) else math.inf
        seen, whole, started = 0, False, False
        refused: VurError | None = None

        async def counted() -> Message:
            nonlocal seen, whole, refused
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(min(loop.time() + SILENT_SECONDS, last)):
                    message = await receive()
            except TimeoutError:
                refused = VurError("forms.stalled", seconds=round(SILENT_SECONDS))
                raise Stopped from None
            whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > limit:
                refused = VurError("api.too_large", limit=limit)
                raise Stopped
            return message

        async def answer(message: Message) -> None:
            nonlocal started
            if refused and not started:
                return
            started = True
            await send(message)

        try:
            await self.app(scope, counted, answer)
        except Exception:
            if not refused or started:
                raise
        if refused and not started:
            await _refusal(scope, refused)(scope, receive, send)


def _refusal(scope: Scope, error: VurError) -> JSONResponse:
    who = scope.get("vur.principal")
    refusal = error_response(error, language_of(Headers(scope=scope), who.language if who else None))
    refusal.headers["Connection"] = "close"
    return refusal


class Buckets:
    """A token bucket per client of this process: bursts of up to a minute's worth, then a steady rate."""

    def __init__(self, per_minute: int):
        self.capacity, self.rate = per_minute, per_minute / 60
        self.levels: dict[str, tuple[float, float]] = {}
        self.lock = threading.Lock()

    def wait(self, client: str) -> int:
        """Take a token from the bucket of `client`; returns 0, or the seconds until one is available."""
        if not self.capacity:
            return 0
        moment = time.monotonic()
        with self.lock:
            level, stamp = self.levels.get(client, (float(self.capacity), moment))
            level = min(self.capacity, level + (moment - stamp) * self.rate)
            if level < 1:
                return math.ceil((1 - level) / self.rate)
            if client not in self.levels and len(self.levels) >= REMEMBERED:
                self._forget(moment)
            self.levels[client] = (level - 1, moment)
            return 0

    def _forget(self, moment: float) -> None:
        """Drop the buckets that are full again, or the older half if too few are."""
        kept = {
            client: (level, stamp)
            for client, (level, stamp) in self.levels.items()
            if level + (moment - stamp) * self.rate < self.capacity
        }
        if len(kept) > REMEMBERED // 2:
            kept = dict(sorted(kept.items(), key=lambda item: item[1][1])[-REMEMBERED // 2 :])
        self.levels = kept
