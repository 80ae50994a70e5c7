"""Requests that the shutdown cuts off: they are answered, and the log has one line for each, not a traceback."""

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vur.errors import VurError
from vur.serving.errors import error_response, language_of
from vur.serving.middleware.logs import log

RETRY_SECONDS = 10


class Stoppable:
    """The outermost ASGI middleware: 503 for a request that is cancelled, which only a shutdown does."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; answer a request that was cancelled before its answer began."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except asyncio.CancelledError:
            log.warning(
                "request cut off: the service stops",
                method=scope["method"],
                route=scope.get("vur.route", scope["path"]),
                request_id=scope.get("vur.request_id"),
            )
            if not started:
                stopped = VurError("api.stopping", seconds=RETRY_SECONDS)
                await error_response(stopped, language_of(Headers(scope=scope)))(scope, receive, send)


class Named(logging.Filter):
    """Drops uvicorn's count of the requests it cancels: `Stoppable` names each."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is about anything else."""
        return not str(record.msg).startswith("Cancel ")


logging.getLogger("uvicorn.error").addFilter(Named())
