"""Whose request it is before anybody has logged in: the client's address, also behind trusted proxies."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from vur.serving.middleware.logs import log

LONGEST = 64  # characters of an address that is none


class Forwarded:
    """ASGI middleware: takes client and scheme from `X-Forwarded-For` and `X-Forwarded-Proto` of trusted proxies.

    Of a chain of addresses, the last one that is no trusted proxy counts: what stands before it, a client may invent.
    """

    def __init__(self, app: ASGIApp, proxies: Iterable[str]):
        self.proxied = ProxyHeadersMiddleware(app, list(proxies))  # type: ignore[arg-type]
        self.warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the client of the scope, and pass it on."""
        if scope["type"] != "lifespan" and scope.get("client"):
            host, port = scope["client"]
            scope["client"] = (unmapped(host), port)
            if not self.warned and unmapped(host) not in self.proxied.trusted_hosts:
                self._warn(scope)
        await self.proxied(scope, receive, send)  # type: ignore[arg-type]

    def _warn(self, scope: Scope) -> None:
        if any(name == b"x-forwarded-for" for name, _ in scope["headers"]):
            self.warned = True
            log.warning(
                "X-Forwarded-For is ignored: its sender is not in the setting trusted_proxies",
                address=scope["client"][0],
            )


@lru_cache(4096)
def unmapped(host: str) -> str:
    """Return the IPv4 address inside an IPv6 one (`::ffff:192.0.2.1`); any other text unchanged."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    inside = found.ipv4_mapped if found.version == 6 else None
    return str(inside) if inside else host


def address_of(scope: Scope) -> str:
    """Return the client's address, or for IPv6 its network, since one client owns a whole network."""
    host = unmapped((scope.get("client") or ("?",))[0])
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host[:LONGEST]
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else host
