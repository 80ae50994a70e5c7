"""Numbers for Prometheus, by route template: what a client sends can never make a label of its own.

With `PROMETHEUS_MULTIPROC_DIR` set before this module is imported, several service processes are added up.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Scope

from vur.store.catalog import Alert, Job
from vur.store.database import reading
from vur.store.operations.workers import workers_alive

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "unknown"
MOUNTED = "/{path}"  # all of the REST API as BentoML sees it: what has no template of its own inside
NATIVE = 50  # routes outside the REST API that get a label of their own
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
SHARED = "PROMETHEUS_MULTIPROC_DIR"

registry = CollectorRegistry()
requests = Counter("vur_requests", "Answered requests", ["method", "route", "status"], registry=registry)
latency = Histogram(
    "vur_request_seconds",
    "Seconds until a request was answered in full",
    ["method", "route"],
    buckets=BUCKETS,
    registry=registry,
)
in_progress = Gauge(
    "vur_requests_in_progress", "Requests being answered", registry=registry, multiprocess_mode="livesum"
)
clients = Gauge("vur_websocket_clients", "Open WebSockets", registry=registry, multiprocess_mode="livesum")
predictions = Counter("vur_predictions", "Answered forecasts", ["kind"], registry=registry)
points = Counter("vur_predicted_points", "Forecast values in them", ["kind"], registry=registry)
if SHARED not in os.environ:
    ProcessCollector(registry=registry)
_native: set[str] = set()


def predicted(kind: str, values: int) -> None:
    """Count one answered forecast (`kind` is request: batches and monitors run in workers) of `values` values."""
    predictions.labels(kind).inc()
    points.labels(kind).inc(values)


def route_of(scope: Scope, status: int) -> str:
    """The template of the route that answered, such as /api/v1/models/{model_id}; one label for all that is unknown or was refused."""
    chosen = (scope.get("fastapi") or {}).get("effective_route_context") or scope.get("route")
    template = getattr(chosen, "path_format", None) or getattr(chosen, "path", None)
    if template and template != MOUNTED:
        return str(template)
    if (
        "endpoint" not in scope
        or status in (0, 401, 404, 405)
        or scope["path"] not in _native
        and len(_native) >= NATIVE
    ):
        return UNKNOWN
    _native.add(scope["path"])
    return scope["path"]


def observe(scope: Scope, status: int, seconds: float) -> None:
    """Count one request to `vur.route` of the scope."""
    method, route = scope["method"] if scope["method"] in METHODS else "OTHER", scope["vur.route"]
    requests.labels(method, route, str(status)).inc()
    latency.labels(method, route).observe(seconds)


class Catalog(Collector):
    """What the catalog knows when it is asked."""

    def collect(self) -> Iterator[Metric]:
        """Jobs by state, workers, open alerts; `vur_catalog_up` 0 where the database does not answer."""
        try:
            with reading() as session:
                jobs = dict(session.execute(select(Job.state, func.count()).group_by(Job.state)).tuples().all())
                workers = len(workers_alive(session))
                alerts = session.scalar(
                    select(func.count())
                    .select_from(Alert)
                    .where(Alert.resolved_at.is_(None), Alert.acknowledged_at.is_(None))
                )
        except SQLAlchemyError:
            yield GaugeMetricFamily("vur_catalog_up", "Whether the catalog answers", 0)
            return
        yield GaugeMetricFamily("vur_catalog_up", "Whether the catalog answers", 1)
        yield GaugeMetricFamily("vur_workers", "Workers with a fresh heartbeat", workers)
        yield GaugeMetricFamily("vur_open_alerts", "Alerts that nobody dealt with", alerts)
        by_state = GaugeMetricFamily("vur_jobs", "Jobs by state", labels=["state"])
        for state in STATES:
            by_state.add_metric([state], jobs.get(state, 0))
        yield by_state


def render() -> bytes:
    """All numbers in Prometheus' text format."""
    catalog = CollectorRegistry()
    catalog.register(Catalog())
    return generate_latest(_all_processes() if SHARED in os.environ else registry) + generate_latest(catalog)


def _all_processes() -> CollectorRegistry:
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
    from psutil import pid_exists

    for file in Path(os.environ[SHARED]).glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not pid_exists(int(pid)):
            mark_process_dead(int(pid))
    found = CollectorRegistry()
    MultiProcessCollector(found)
    return found
