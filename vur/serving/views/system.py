"""Metrics of the machine, this process and the job queue."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

import psutil
from sqlalchemy import func, select

from vur.store.catalog import Job, Monitor, now
from vur.store.database import reading
from vur.store.operations.machine import active_jobs, load_between, read_counters

FRESH = 1.0  # seconds for which a measurement is reused
FIRST = 0.1  # seconds of the very first measurement
_lock = threading.Lock()
_last: dict[str, Any] = {}


def measure() -> dict[str, Any]:
    """Measure CPU, memory, disk, network, this process and the queue; rates cover the time since the last measurement.

    Bytes and percent. Measured at most once in `FRESH` seconds, for any number of callers.
    """
    with _lock:
        if not _last:
            _last.update(read_counters())
            time.sleep(FIRST)
        elif "answer" in _last and time.monotonic() - _last["at"] < FRESH:
            return _last["answer"]
        before, after = dict(_last), read_counters()
        _last.clear()
        _last.update(after)
        _last["answer"] = load_between(before, after) | {
            "process": _process(),
            "queues": queues(),
            "at": now().isoformat(),
        }
        return _last["answer"]


def _process() -> dict[str, Any]:
    me = psutil.Process()
    with me.oneshot():
        return {
            "pid": me.pid,
            "memory": me.memory_info().rss,
            "threads": me.num_threads(),
            "started_at": datetime.fromtimestamp(me.create_time(), UTC).isoformat(),
        }


def queues() -> dict[str, Any]:
    """Return queued and running jobs, the time of the oldest queued job, and monitors by state."""
    with reading() as session:
        jobs = active_jobs(session)
        oldest = session.scalar(select(func.min(Job.created_at)).where(Job.state == "queued"))
        monitors = dict(session.execute(select(Monitor.state, func.count()).group_by(Monitor.state)).all())
    return {
        **jobs,
        "waiting_since": oldest and oldest.isoformat(),
        "monitors": monitors,
    }
