"""Prometheus metrics by route template: clients cannot create labels.

If `PROMETHEUS_MULTIPROC_DIR` is set before this module is imported, several service processes are added up.
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
MOUNTED = "/{path}"  # the whole REST API as BentoML sees it, without a route template
NATIVE = 50  # most routes outside the REST API with their own label
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
SHARED = "PROMETHEUS_MULTIPROC_DIR"

registry = CollectorRegistry()
requests = Counter("vur_requests", "Answered requests", ["method", "route", "status"], registry=registry)
latency = Histogram(
    "vur_request_seconds",
    "Seconds until the response was complete",
    ["method", "route"],
    buckets=BUCKETS,
    registry=registry,
)
in_progress = Gauge("vur_requests_in_progress", "Requests in progress", registry=registry, multiprocess_mode="livesum")
clients = Gauge("vur_websocket_clients", "Open WebSockets", registry=registry, multiprocess_mode="livesum")
predictions = Counter("vur_predictions", "Answered forecasts", ["kind"], registry=registry)
points = Counter("vur_predicted_points", "Forecast values in answered forecasts", ["kind"], registry=registry)
if SHARED not in os.environ:
    ProcessCollector(registry=registry)
_native: set[str] = set()


def predicted(kind: str, values: int) -> None:
    """Count an answered forecast of `values` values; `kind` is request, as batches and monitors run in workers."""
    predictions.labels(kind).inc()
    points.labels(kind).inc(values)


def route_of(scope: Scope, status: int) -> str:
    """Return the route's template, such as /api/v1/models/{model_id}; unknown and rejected paths share one label."""
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
    """Count a request to `vur.route` of the scope."""
    method, route = scope["method"] if scope["method"] in METHODS else "OTHER", scope["vur.route"]
    requests.labels(method, route, str(status)).inc()
    latency.labels(method, route).observe(seconds)


class Catalog(Collector):
    """Metrics read from the catalog at scrape time."""

    def collect(self) -> Iterator[Metric]:
        """Yield jobs by state, workers and open alerts; only `vur_catalog_up` 0 if the database does not respond."""
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
            yield GaugeMetricFamily("vur_catalog_up", "Whether the catalog responds", 0)
            return
        yield GaugeMetricFamily("vur_catalog_up", "Whether the catalog responds", 1)
        yield GaugeMetricFamily("vur_workers", "Workers with a fresh heartbeat", workers)
        yield GaugeMetricFamily("vur_open_alerts", "Alerts neither acknowledged nor resolved", alerts)
        by_state = GaugeMetricFamily("vur_jobs", "Jobs by state", labels=["state"])
        for state in STATES:
            by_state.add_metric([state], jobs.get(state, 0))
        yield by_state


def render() -> bytes:
    """Return all metrics in the Prometheus text format."""
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
