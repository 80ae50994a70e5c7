"""Settings: defaults here, settings.ini over them, `VUR_*` variables over both."""

import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable
from configparser import ConfigParser
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vur.errors import VurError
from vur.languages import DEFAULT_LANGUAGE, LANGUAGES
from vur.nearest import by_likeness, near

SECTION = "vur"
PREFIX = "VUR_"
# Variables of VUR that are no settings: for its own processes, for the client of a package, for BentoML.
OTHERS = ("VUR_SETTINGS", "VUR_TOKEN", "VUR_API_WORKERS", "VUR_JOB", "VUR_JOB_PARENT", "VUR_PARENT_PID", "VUR_LAB")
# Settings that the environment may also have under the name that another interface gave them.
PLAIN = {"relevance_service_api_url": "RELEVANCE_SERVICE_API_URL"}
SECRET = ("metrics_key", "database_url", "relevance_service_secret")  # no message shows their values
LEAST_KEY = 24  # characters
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?")
# A password with a raw @ would end up in the host, which messages quote.
DATABASE = re.compile(
    r"sqlite:.*|[a-z]\w*(?:\+\w+)?://(?:[^:/@]*(?::[^@]*)?@)?(?:[\w.%-]*|\[[0-9a-f:.]+\])(?::\d+)?(?:/[^?@]*)?(?:\?.*)?",
    re.I,
)
# The name of a host: its last part begins with a letter, so that no address with a mistake is taken for a name.
HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?")
DEFAULT_PORTS = {"http": "80", "https": "443"}
WRAPPED = ('"', "'", "[", "]", "{", "}")  # at the ends of an entry: a list in neither of the two forms
SEVERAL_FOLDERS = re.compile(r";|[:\s]/")  # paths separated by something else than commas


class EntryError(ValueError):
    """An entry of a list that its setting does not take."""


@dataclass(frozen=True)
class Settings:
    """What a user may set; settings.ini says what each key means."""

    home: Path = Path("~/.vur")
    database_url: str = ""
    reports: Path = Path("reports")
    language: str = DEFAULT_LANGUAGE
    levels: tuple[float, ...] = (80, 95)
    time_budget: float | None = None
    workers: int = 0
    max_unpacked_bytes: int = 64 * 2**30
    host: str = "127.0.0.1"
    port: int = 8000
    lab_port: int = 8888
    voila_port: int = 8866
    registration: str = "open"
    cors_origins: tuple[str, ...] = ("http://localhost:5173", "http://localhost:3000")
    trusted_proxies: tuple[str, ...] = ()
    access_minutes: int = 30
    refresh_days: int = 14
    max_upload_bytes: int = 10 * 2**30
    quota_bytes: int = 50 * 2**30
    upload_seconds: int = 17
    upload_memory_mb: int = 2048
    analysis_seconds: int = 600
    max_body_bytes: int = 16 * 2**20
    rate_limit: int = 60_000
    job_concurrency: int = 1
    job_memory_mb: int = 0
    batch_concurrency: int = 1
    batch_memory_mb: int = 0
    lease_seconds: int = 20
    keep_forecasts_days: int = 0
    keep_results_days: int = 0
    keep_deleted_days: int = 30
    dask: str = ""
    log_format: str = "text"
    metrics_key: str = ""
    ws_per_user: int = 50
    data_folders: tuple[str, ...] = ()
    connections: str = "admin"
    service_url: str = ""
    public_url: str = ""
    webhook_allow: tuple[str, ...] = ()
    webhook_seconds: int = 15
    webhook_attempts: int = 10
    webhook_retry_seconds: int = 30
    webhook_failures: int = 3
    keep_deliveries_days: int = 30
    relevance_service_api_url: str = ""
    relevance_service_secret: str = ""
    dashboard_kernels: int = 40
    dashboard_kernels_per_user: int = 8
    dashboard_pool: int = 1
    dashboard_idle_seconds: int = 180
    dashboard_pool_minutes: int = 120
    dashboard_pool_mb: int = 300

    @property
    def worker_count(self) -> int:
        """Worker processes to use: `workers`, or one a core that this process may run on."""
        return self.workers or len(
            os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        )


def tidy_levels(levels: Iterable[float]) -> tuple[float, ...]:
    """Interval levels in percent, ascending, each once, whole ones as int; `ValueError` for one outside (0, 100)."""
    tidy = tuple(sorted({int(level) if level == int(level) else float(level) for level in levels}))
    if not all(0 < level < 100 for level in tidy):
        raise ValueError(levels)
    return tidy


def entries_of(text: str) -> list[str]:
    """Entries of a list in a setting, each once: `a, b` or JSON; `ValueError` or `EntryError` for any other form."""
    if text.lstrip().startswith("["):
        found = json.loads(text)
        if not all(isinstance(one, (str, int, float)) and not isinstance(one, bool) for one in found):
            raise ValueError(text)
        found = [str(one).strip() for one in found]
    else:
        found = [part.strip() for part in text.split(",")] if text.strip() else []
        for one in found:
            if one.startswith(WRAPPED) or one.endswith(WRAPPED):
                raise EntryError(one)
    for one in found:
        if not one or not one.isprintable():
            raise EntryError(one)
    return list(dict.fromkeys(found))


def _levels(text: str) -> tuple[float, ...]:
    levels = tidy_levels(float(entry) for entry in entries_of(text))
    if not levels:
        raise ValueError(text)
    return levels


def origin(text: str) -> str:
    """An origin as browsers send it: small letters, no default port; `EntryError` for anything that is no origin."""
    found = ORIGIN.fullmatch(text.lower())
    if found is None:
        raise EntryError(text)
    scheme, host, port = found.groups()
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise EntryError(text) from None
    if port is not None and not 0 < int(port) < 65536:
        raise EntryError(text)
    return f"{scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else "")


def _origins(text: str) -> tuple[str, ...]:
    found = entries_of(text)
    return ("*",) if found == ["*"] else tuple(dict.fromkeys(map(origin, found)))


def _folders(text: str) -> tuple[str, ...]:
    found = entries_of(text)
    for one in found:
        if SEVERAL_FOLDERS.search(one) or not _absolute(one):
            raise EntryError(one)
    return tuple(found)


def _absolute(text: str) -> bool:
    try:
        return Path(text).expanduser().is_absolute()
    except RuntimeError:  # ~name without such a user
        return False


def _language(text: str) -> str:
    match = {alias: code for code, entry in LANGUAGES.items() for alias in (code.lower(), *entry.aliases)}
    return match[text.strip().lower()]


def _positive(text: str) -> float | None:
    value = float(text) if text.strip() else None
    if value is not None and value <= 0:
        raise ValueError(text)
    return value


def _port(text: str) -> int:
    if not 0 <= int(text) < 65536:
        raise ValueError(text)
    return int(text)


def _open_or_closed(text: str) -> str:
    return {"open": "open", "closed": "closed"}[text.strip().lower()]


def _connections(text: str) -> str:
    return {"admin": "admin", "analyst": "analyst"}[text.strip().lower()]


def _log_format(text: str) -> str:
    return {"text": "text", "json": "json"}[text.strip().lower()]


def _database(text: str) -> str:
    if text.strip() and not DATABASE.fullmatch(text.strip()):
        raise ValueError
    return text.strip()


def _key(text: str) -> str:
    key = text.strip()
    if key and (len(key) < LEAST_KEY or not key.isascii() or not key.isprintable() or " " in key):
        raise ValueError
    return key


def _count(text: str) -> int:
    if int(text or 0) < 0:
        raise ValueError(text)
    return int(text or 0)


def _at_least_one(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _address(text: str) -> str:
    """The address of an HTTP server, with a path or without; `ValueError` for anything else."""
    address = text.strip().rstrip("/")
    parts = urlsplit(address)
    if address and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username):
        raise ValueError(text)
    return address


def _hosts(text: str) -> tuple[str, ...]:
    """Names of hosts, addresses and networks, in small letters; `EntryError` for anything else."""
    found = entries_of(text.lower())
    for one in found:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            if not HOST.fullmatch(one):
                raise EntryError(one) from None
    return tuple(found)


def _networks(text: str) -> tuple[str, ...]:
    found = entries_of(text)
    for one in found:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise EntryError(one) from None
    return tuple(found)


PARSERS: dict[str, Callable[[str], Any]] = {
    "home": lambda text: Path(text).expanduser(),
    "database_url": _database,
    "reports": lambda text: Path(text).expanduser(),
    "levels": _levels,
    "language": _language,
    "time_budget": _positive,
    "workers": lambda text: abs(int(text or 0)),
    "max_unpacked_bytes": int,
    "port": _port,
    "lab_port": _port,
    "voila_port": _port,
    "registration": _open_or_closed,
    "cors_origins": _origins,
    "trusted_proxies": _networks,
    "access_minutes": _at_least_one,
    "refresh_days": _at_least_one,
    "max_upload_bytes": _at_least_one,
    "quota_bytes": _count,
    "upload_seconds": _at_least_one,
    "upload_memory_mb": _at_least_one,
    "analysis_seconds": _at_least_one,
    "max_body_bytes": _at_least_one,
    "rate_limit": _count,
    "job_concurrency": _at_least_one,
    "job_memory_mb": _count,
    "batch_concurrency": _at_least_one,
    "batch_memory_mb": _count,
    "keep_forecasts_days": _count,
    "keep_results_days": _count,
    "keep_deleted_days": _count,
    "lease_seconds": _at_least_one,
    "log_format": _log_format,
    "metrics_key": _key,
    "ws_per_user": _at_least_one,
    "data_folders": _folders,
    "connections": _connections,
    "service_url": _address,
    "public_url": _address,
    "webhook_allow": _hosts,
    "webhook_seconds": _at_least_one,
    "webhook_attempts": _at_least_one,
    "webhook_retry_seconds": _at_least_one,
    "webhook_failures": _at_least_one,
    "keep_deliveries_days": _count,
    "relevance_service_api_url": _address,
    "relevance_service_secret": _key,
    "dashboard_kernels": _at_least_one,
    "dashboard_kernels_per_user": _at_least_one,
    "dashboard_pool": _count,
    "dashboard_idle_seconds": _at_least_one,
    "dashboard_pool_minutes": _at_least_one,
    "dashboard_pool_mb": _at_least_one,
}
EXPECTED = {
    "database_url": "nothing, sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME, with @ in a password as %40",
    "levels": "percentages between 0 and 100, such as 80, 95, 99.9 or [80, 95, 99.9]",
    "cors_origins": 'origins such as http://localhost:5173, https://vur.example or ["https://vur.example"], or * alone',
    "trusted_proxies": 'addresses or networks, such as 127.0.0.1, 10.0.0.0/8 or ["::1"]',
    "data_folders": 'absolute paths of folders, such as /srv/data, /srv/more or ["/srv/data", "/srv/more"]',
    "language": " | ".join(LANGUAGES),
    "time_budget": "seconds, or nothing",
    "workers": "a whole number",
    "max_unpacked_bytes": "a whole number of bytes",
    "port": "0 to 65535",
    "lab_port": "0 to 65535",
    "voila_port": "0 to 65535",
    "registration": "open | closed",
    "log_format": "text | json",
    "connections": "admin | analyst",
    "service_url": "nothing, or an address such as http://127.0.0.1:8000",
    "public_url": "nothing, or an address such as https://vur.example",
    "webhook_allow": "names of hosts, addresses or networks, such as n8n.internal, 10.0.0.7 or 10.1.0.0/16",
    "relevance_service_api_url": "nothing, or an address such as http://127.0.0.1:8100",
    "dashboard_pool": "a whole number, 0 for none",
    **dict.fromkeys(
        ("metrics_key", "relevance_service_secret"),
        f"nothing, or at least {LEAST_KEY} letters, digits and signs without spaces",
    ),
    "ws_per_user": "a whole number from 1",
    **dict.fromkeys(
        ("keep_forecasts_days", "keep_results_days", "keep_deliveries_days"), "a whole number of days, 0 for ever"
    ),
    "keep_deleted_days": "a whole number of days, 0 to delete at once",
    "batch_memory_mb": "a whole number, 0 for half of job_memory_mb",
    **dict.fromkeys(("quota_bytes", "rate_limit", "job_memory_mb"), "a whole number, 0 for no limit"),
    **dict.fromkeys(
        (
            "access_minutes",
            "refresh_days",
            "max_upload_bytes",
            "max_body_bytes",
            "job_concurrency",
            "batch_concurrency",
            "lease_seconds",
            "webhook_seconds",
            "webhook_attempts",
            "webhook_retry_seconds",
            "webhook_failures",
            "upload_seconds",
            "upload_memory_mb",
            "analysis_seconds",
            "dashboard_kernels",
            "dashboard_kernels_per_user",
            "dashboard_idle_seconds",
            "dashboard_pool_minutes",
            "dashboard_pool_mb",
        ),
        "a whole number from 1",
    ),
}


KEYS = frozenset(field.name for field in fields(Settings))


def listed(key: str) -> str:
    """All settings, those spelt most like `key` first."""
    return ", ".join(by_likeness(key, sorted(KEYS)))


def unknown_variables() -> dict[str, str | None]:
    """Environment variables called `VUR_…` that are no settings, and the one that each may have been meant for."""
    known = [*(f"{PREFIX}{key.upper()}" for key in sorted(KEYS)), *OTHERS]
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name not in known)
    return {name: near(name, known) for name in unknown}


def find_settings_file() -> Path | None:
    """The settings.ini in force: `VUR_SETTINGS`, else the nearest one upwards from here with a [vur] section."""
    if named := os.environ.get("VUR_SETTINGS"):
        return Path(named)
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).parents[1]):
        path = folder / "settings.ini"
        if path.is_file() and f"[{SECTION}]" in path.read_text(encoding="utf-8"):
            return path
    return None


def read_settings(path: Path | None = None) -> Settings:
    """Settings from `path` (or the file in force) and the environment; `VurError` names an unknown or invalid key."""
    given: dict[str, tuple[str, str]] = {}
    path = path or find_settings_file()
    if path:
        parser = ConfigParser(interpolation=None)
        if not parser.read(path, encoding="utf-8"):
            raise VurError("settings.unreadable", path=path)
        section = parser[SECTION] if parser.has_section(SECTION) else {}
        given |= {key: (value, str(path)) for key, value in section.items()}
    known = KEYS
    for key in given.keys() - known:
        raise VurError("settings.unknown", setting=key, source=given[key][1], known=listed(key))
    given |= {key: (os.environ[name], name) for key, name in PLAIN.items() if name in os.environ}
    given |= {
        key: (os.environ[f"{PREFIX}{key.upper()}"], f"{PREFIX}{key.upper()}")
        for key in known
        if f"{PREFIX}{key.upper()}" in os.environ
    }
    defaults = Settings(home=Path("~/.vur").expanduser())
    return Settings(
        **{
            field.name: _parse(field.name, *given[field.name]) if field.name in given else getattr(defaults, field.name)
            for field in fields(Settings)
        }
    )


def _parse(key: str, text: str, source: str) -> Any:
    try:
        return PARSERS.get(key, str)(text)
    except EntryError as error:
        raise VurError("settings.entry", setting=key, entry=str(error), source=source, expected=EXPECTED[key]) from None
    except (ValueError, KeyError, OverflowError):
        raise VurError(
            "settings.value",
            setting=key,
            value="***" if key in SECRET else text,
            source=source,
            expected=EXPECTED.get(key, "a text"),
        ) from None


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return read_settings()
