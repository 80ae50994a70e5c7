"""Where webhooks may go: the form of their address, and the network addresses that its host leads to.

A host is resolved once, all its addresses are checked, and the connection is made to one of those: a name that leads
somewhere else a moment later changes nothing.
"""

import ipaddress
import re
import socket
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vur.errors import VurError
from vur.settings import DEFAULT_PORTS, settings
from vur.text import phrase

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST = 2048
LOOKUP_SECONDS = 5.0
WRITTEN = re.compile(r"[!-~]+")  # visible ASCII: a line break or a space would end the request's first line
UNSAFE = set('\\"<>^`{|}')
HOST = re.compile(r"[a-z0-9_-](?:[a-z0-9._-]*[a-z0-9_-])?")
# What clouds answer to whoever asks from inside, credentials among it: no setting opens these.
METADATA = tuple(
    ipaddress.ip_network(one)
    for one in ("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128")
)
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
COMPATIBLE = ipaddress.ip_network("::/96")
SITE_LOCAL = ipaddress.ip_network("fec0::/10")
ISATAP = (0x00005EFE, 0x02005EFE)  # the third quarter of an address that ends in an IPv4 address


@dataclass(frozen=True)
class Target:
    """An address taken apart: `host` in small letters without a last dot, `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def shown_host(self) -> str:
        """Host and port as the header `Host` has them."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if DEFAULT_PORTS[self.scheme] == str(self.port) else f"{name}:{self.port}"


def parse(url: str) -> Target:
    """Take an address apart; `VurError` webhooks.url says what is wrong with it."""
    if len(url) > LONGEST:
        raise _malformed("long", most=LONGEST)
    if not WRITTEN.fullmatch(url) or UNSAFE & set(url):
        raise _malformed("characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _malformed("form") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise _malformed("scheme")
    if "@" in parts.netloc:
        raise _malformed("user")
    if "#" in url:
        raise _malformed("fragment")
    host = (parts.hostname or "").rstrip(".")
    if port == 0 or not (_is_ipv6(host) if "[" in parts.netloc else HOST.fullmatch(host)):
        raise _malformed("form")
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, host, port or int(DEFAULT_PORTS[parts.scheme]), (parts.path or "/") + query)


def _malformed(reason: str, **values: Any) -> VurError:
    return VurError("webhooks.url", field="url", reason=phrase(f"webhooks.url.{reason}", **values))


def _is_ipv6(host: str) -> bool:
    try:
        return "%" not in host and bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False


def resolve(target: Target, seconds: float = LOOKUP_SECONDS) -> list[str]:
    """Look the host up, once, and return its addresses, all of which may be called.

    `VurError` webhooks.unknown_host if it has none, webhooks.inner if one of them is closed.
    """
    found = _looked_up(target.host, target.port, seconds)
    if not found:
        raise VurError("webhooks.unknown_host", host=target.host, field="url")
    for one in found:
        if not may_call(target, ipaddress.ip_address(one)):
            raise VurError("webhooks.inner", host=target.host, field="url")
    return found


def _looked_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, each once; none if the look-up fails or takes longer, which only a thread can notice."""
    answer: list[str] = []

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        answer.extend(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows))

    thread = threading.Thread(target=look_up, daemon=True, name="look-up")
    thread.start()
    thread.join(seconds)
    return list(answer)


def may_call(target: Target, address: Address) -> bool:
    """Whether a webhook may call this address of the target's host: a public one, or one that an admin has allowed."""
    meant = meant_by(address)
    if any(one in network for network in METADATA for one in meant if one.version == network.version):
        return False
    if _is_service(target) or target.port in _own_ports() and any(_is_own(one) for one in meant):
        return False
    return all(_is_allowed(target.host, one) for one in meant if is_inner(one))


def meant_by(address: Address) -> list[Address]:
    """The address, and the IPv4 addresses that it only wraps: mapped, compatible, 6to4, Teredo, NAT64, ISATAP."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    value = int(address)
    last = ipaddress.IPv4Address(value & 0xFFFFFFFF)
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    found: list[Address] = [address]
    if address.sixtofour:
        found.append(address.sixtofour)
    if address.teredo:
        found.extend(address.teredo)
    if any(address in network for network in NAT64) or (address in COMPATIBLE and value > 1):
        found.append(last)
    if (value >> 32) & 0xFFFFFFFF in ISATAP:
        found.append(last)
    return found


def is_inner(address: Address) -> bool:
    """Whether an address is not one of the public internet: loopback, private, link-local, multicast, reserved, …"""
    return not address.is_global or address.is_multicast or address.is_reserved or _is_site_local(address)


def _is_site_local(address: Address) -> bool:
    return address.version == 6 and address in SITE_LOCAL


def _is_allowed(host: str, address: Address) -> bool:
    """Whether the setting `webhook_allow` names the host, or a network with the address."""
    for entry in settings().webhook_allow:
        if entry == host:
            return True
        try:
            if address in ipaddress.ip_network(entry):
                return True
        except ValueError:  # a name
            continue
    return False


def _own_ports() -> set[int]:
    chosen = settings()
    return {chosen.port, chosen.voila_port, chosen.lab_port}


def _is_service(target: Target) -> bool:
    """Whether the target is the service, where that runs on another machine."""
    if not settings().service_url:
        return False
    service = parse(settings().service_url)
    return (service.host, service.port) == (target.host, target.port)


def _is_own(address: Address) -> bool:
    """Whether an address is one of this machine."""
    import psutil

    own = {row.address.partition("%")[0] for rows in psutil.net_if_addrs().values() for row in rows}
    return address.is_loopback or address.is_unspecified or str(address) in own
