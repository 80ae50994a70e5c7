"""The REST API under the pages' own address, for uploads and downloads straight from the browser.

The visitor's cookie becomes the visitor's token; bodies flow through in pieces, in both directions.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from vur.dashboards import service
from vur.dashboards.login import COOKIE, VISITORS, token_for, visitor_of
from vur.dashboards.page import service_url
from vur.dashboards.shell import language_of, render
from vur.errors import VurError
from vur.settings import settings

SENT = ("Content-Type", "Content-Length", "Accept", "If-Match", "Range", "Upload-Offset", "Idempotency-Key")
RETURNED = (
    "Content-Type",
    "Content-Length",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "Upload-Offset",
    "Retry-After",
    "Cache-Control",
    "X-Robots-Tag",
    "Referrer-Policy",
    "Content-Security-Policy",
)
AGAIN = 3  # seconds until a client may ask again while the service does not answer
PIECES = 16  # of a body that wait for the service


@web.stream_request_body
class ApiProxy(JupyterHandler):
    """`vur/api/...`: the REST API for the visitor."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    token: str | None = None

    async def prepare(self) -> None:  # type: ignore[override]
        """Check the visitor, and take bodies as large as the service takes."""
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue(PIECES)
        self.request.connection.set_max_body_size(settings().max_upload_bytes + 2**20)  # type: ignore[union-attr]
        await super().prepare()
        visitor = visitor_of(self)
        if visitor is None:
            if self._is_opened():
                self.redirect(self.get_login_url())
                return
            self.set_status(401)
            self.finish({"code": "api.unauthenticated"})
        else:
            self.token = token_for(visitor)[0]
            self.sending = asyncio.ensure_future(self._pass_on())

    async def data_received(self, chunk: bytes) -> None:
        """Hand a piece of the body on; waits while the service is slower than the browser."""
        put = asyncio.ensure_future(self.pieces.put(chunk))
        await asyncio.wait({put, self.sending}, return_when=asyncio.FIRST_COMPLETED)

    @allow_unauthenticated
    async def get(self, path: str) -> None:
        """Answer with what the service answers."""
        put = asyncio.ensure_future(self.pieces.put(None))
        await asyncio.wait({put, self.sending}, return_when=asyncio.FIRST_COMPLETED)
        await self.sending
        if path.startswith("auth/"):
            VISITORS.forget(self.get_cookie(COOKIE) or "")  # name, language or the login itself may have changed

    head = post = put = patch = delete = get

    async def _body(self) -> AsyncIterator[bytes]:
        while (piece := await self.pieces.get()) is not None:
            yield piece

    async def _pass_on(self) -> None:
        import httpx

        if not await service.answers():
            self.unreachable("starting")
            return
        headers = {name: self.request.headers[name] for name in SENT if name in self.request.headers}
        headers |= self.identification()
        has_body = self.request.method in ("POST", "PUT", "PATCH") or "Content-Length" in headers
        try:
            async with httpx.AsyncClient(timeout=httpx.Timeout(30, read=600), trust_env=False) as client:
                request = client.build_request(
                    self.request.method or "GET",
                    self.address(),
                    headers=headers,
                    content=self._body() if has_body else None,
                )
                answer = await client.send(request, stream=True)
                self.set_status(answer.status_code)
                if answer.is_error and self._is_opened() and "json" in answer.headers.get("Content-Type", ""):
                    self._refuse(json.loads(await answer.aread()).get("detail"))
                    return
                for name in RETURNED:
                    if name in answer.headers:
                        self.set_header(name, answer.headers[name])
                async for piece in answer.aiter_raw():
                    self.write(piece)
                    await self.flush()
                await answer.aclose()
            self.finish()
        except httpx.TransportError as error:
            self.unreachable(type(error).__name__)

    def _is_opened(self) -> bool:
        """Whether somebody opens the address in a browser, other than a script that asks for JSON."""
        return self.request.method == "GET" and "text/html" in self.request.headers.get("Accept", "")

    def _refuse(self, detail: Any) -> None:
        """Answer with a page that says in words why not."""
        visitor = visitor_of(self)
        language = visitor.language if visitor else language_of(self.request.headers)
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        text = detail if isinstance(detail, str) else ""
        self.finish(render("message.html", language, self.base_url, name="refused", frame="", limit=0, text=text))

    def identification(self) -> dict[str, str]:
        """Headers that tell the service who asks, and in which language."""
        visitor = visitor_of(self)
        language = self.request.headers.get("Accept-Language", "")
        if visitor and self._is_opened():
            language = visitor.language
        return {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "identity", "Accept-Language": language}

    def address(self) -> str:
        """The same path and query at the service."""
        path = self.request.path.split("/vur/api/", 1)[1]
        return f"{service_url()}/{path}" + (f"?{self.request.query}" if self.request.query else "")

    def unreachable(self, reason: str) -> None:
        """Answer that the service does not answer, unless the answer has begun."""
        error = VurError("pages.no_service", url=service_url(), reason=reason)
        language = language_of(self.request.headers)
        if not self._headers_written:
            self.set_status(503)
            self.set_header("Retry-After", str(AGAIN))
            self.set_header("Content-Type", "application/json")
            detail = f"{error.cause(language)} {error.remedy(language)}"
            self.finish(json.dumps({"detail": detail, "code": error.code}))
        else:
            self.request.connection.stream.close()  # type: ignore[union-attr]

    def write_error(self, status_code: int, **options: Any) -> None:
        """Answer errors as JSON, as the API does."""
        self.finish(
            json.dumps({"code": "api.forbidden" if status_code == 403 else "api.failed", "detail": self._reason})
        )


class PublishedProxy(ApiProxy):
    """`published/...`: pages of the service that are open to everybody who has their link."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Pass on without a visitor; nothing but reading."""
        self.pieces = asyncio.Queue(PIECES)
        if self.request.method not in ("GET", "HEAD"):
            raise web.HTTPError(405)
        self.sending = asyncio.ensure_future(self._pass_on())

    def identification(self) -> dict[str, str]:
        """Nobody's request, from the reader's address: where the service trusts this proxy, it throttles by that."""
        language = self.request.headers.get("Accept-Language", "")
        reader = {"X-Forwarded-For": self.request.remote_ip or ""}
        return {"Accept-Encoding": "identity", "Accept-Language": language, **reader}

    def unreachable(self, reason: str) -> None:
        """Answer with a page that asks again by itself."""
        if self._headers_written:
            super().unreachable(reason)
            return
        self.set_status(503)
        self.set_header("Retry-After", str(AGAIN))
        language = language_of(self.request.headers)
        self.finish(render("message.html", language, self.base_url, name="starting", frame="", limit=0, again=AGAIN))

    def address(self) -> str:
        """The same path at the service."""
        origin, token = service_url().removesuffix("/api/v1"), self.request.path.split("/published/", 1)[1]
        return f"{origin}/published/{token}" + (f"?{self.request.query}" if self.request.query else "")
