"""What the pages' server counts for Prometheus."""

import hmac
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from vur.dashboards import kernels
from vur.dashboards.login import PageAuthorizer
from vur.settings import settings

REGISTRY = CollectorRegistry()
KERNELS = Gauge("vur_dashboard_kernels", "Processes of pages by state: visited, waiting", ["state"], registry=REGISTRY)
LIMIT = Gauge("vur_dashboard_kernels_limit", "Pages that may be open at the same time", registry=REGISTRY)
MEMORY = Gauge("vur_dashboard_kernels_bytes", "Resident memory of the pages' processes", registry=REGISTRY)
USERS = Gauge("vur_dashboard_users", "Users with an open page", registry=REGISTRY)
OPENED = Counter("vur_dashboard_pages_opened", "Pages opened", ["page"], registry=REGISTRY)
REFUSED = Counter("vur_dashboard_pages_refused", "Pages refused by reason: role, full", ["reason"], registry=REGISTRY)


def exposition(manager: Any) -> bytes:
    """The figures in Prometheus' text format."""
    visited = kernels.visited(manager)
    waiting = [one for pool in kernels.waiting(manager).values() for one in pool]
    KERNELS.labels("visited").set(len(visited))
    KERNELS.labels("waiting").set(len(waiting))
    LIMIT.set(settings().dashboard_kernels)
    MEMORY.set(sum(kernels.memory_of(manager, kernel_id) for kernel_id in [*visited, *waiting]))
    USERS.set(len(set(PageAuthorizer.owners.values())))
    return generate_latest(REGISTRY)


def has_key(headers: Mapping[str, str], key: str) -> bool:
    """Whether a request carries the key of the setting `metrics_key`."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    good = scheme.lower() == "bearer" and token.strip().isascii()
    return bool(key) and good and hmac.compare_digest(token.strip(), key)


def has_lab() -> bool:
    """Whether JupyterLab runs beside the pages (`vur up --lab`)."""
    import os

    return os.environ.get("VUR_LAB") == "1"
