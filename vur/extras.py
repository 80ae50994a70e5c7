"""Optional libraries: the extra of the package that installs each, and the error where one is missing."""

from collections.abc import Iterable
from importlib.util import find_spec

from vur.errors import VurError

# Extra of pyproject.toml: the distributions that it cannot do without, each with the module that is imported. What is
# not listed here comes with every installation, or has a fallback.
EXTRAS: dict[str, dict[str, str]] = {
    "neural": {"tensorflow": "tensorflow", "keras": "keras"},
    "prophet": {"prophet": "prophet"},
    "serve": {
        "fastapi": "fastapi",
        "uvicorn": "uvicorn",
        "websockets": "websockets",
        "python-multipart": "python_multipart",
        "dbos": "dbos",
        "psycopg": "psycopg",
        "argon2-cffi": "argon2",
        "pyjwt": "jwt",
        "cryptography": "cryptography",
        "email-validator": "email_validator",
        "openpyxl": "openpyxl",
        "structlog": "structlog",
        "prometheus-client": "prometheus_client",
        "psutil": "psutil",
        "croniter": "croniter",
    },
    "lab": {
        "jupyterlab": "jupyterlab",
        "voila": "voila",
        "anywidget": "anywidget",
        "ipecharts": "ipecharts",
        "httpx": "httpx",
    },
    "dask": {"distributed": "distributed"},
    "observe": {
        "sentry-sdk": "sentry_sdk",
        "opentelemetry-sdk": "opentelemetry.sdk",
        "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
        "opentelemetry-instrumentation-asgi": "opentelemetry.instrumentation.asgi",
    },
}
OWNERS = {library: extra for extra, libraries in EXTRAS.items() for library in libraries}


def installed(library: str) -> bool:
    """Whether the distribution `library` can be imported; True for one that belongs to no extra."""
    if library not in OWNERS:
        return True
    try:
        return find_spec(EXTRAS[OWNERS[library]][library]) is not None
    except ModuleNotFoundError:  # the parent of a dotted name
        return False


def missing(libraries: Iterable[str]) -> list[str]:
    """The optional distributions among `libraries` that are not installed."""
    return [library for library in libraries if not installed(library)]


def extra_of(libraries: Iterable[str]) -> str:
    """The extras that install `libraries`, as they are written between the brackets of `pip install "vur[...]"`."""
    return ",".join(dict.fromkeys(OWNERS[library] for library in libraries))


def require(libraries: Iterable[str], feature: str) -> None:
    """Raise `VurError` extras.missing, with the extra to install, unless all optional `libraries` are installed.

    `feature` is what needs them, as the user wrote it: an algorithm's id or a command.
    """
    if lacking := missing(libraries):
        raise VurError("extras.missing", feature=feature, libraries=", ".join(lacking), extra=extra_of(lacking))


def require_extra(extra: str, feature: str) -> None:
    """Raise `VurError` extras.missing unless every library of `extra` is installed; `feature` is what needs it."""
    require(EXTRAS[extra], feature)
