"""Metrics of the machine, this process and the job queue."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

import psutil
from sqlalchemy import func, select

from vur.store.catalog import Job, Monitor, now
from vur.store.database import reading
from vur.store.home import home

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
            _last.update(_counters())
            time.sleep(FIRST)
        elif "answer" in _last and time.monotonic() - _last["at"] < FRESH:
            return _last["answer"]
        before, after = dict(_last), _counters()
        _last.clear()
        _last.update(after)
        _last["answer"] = _machine(before, after) | {"process": _process(), "queues": queues(), "at": now().isoformat()}
        return _last["answer"]


def _counters() -> dict[str, Any]:
    return {
        "at": time.monotonic(),
        "cpu": psutil.cpu_times(),
        "network": psutil.net_io_counters(),
        "disk": psutil.disk_io_counters(),
    }


def _machine(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    seconds = max(after["at"] - before["at"], 1e-6)
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(home()))

    def rate(kind: str, name: str) -> float:
        both = [getattr(one[kind], name, 0) for one in (before, after)]
        return round(max(both[1] - both[0], 0) / seconds, 1)

    return {
        "cpu": {
            "percent": _busy(before["cpu"], after["cpu"]),
            "cores": psutil.cpu_count(),
            "load": [round(load, 2) for load in psutil.getloadavg()],
        },
        "memory": {
            "percent": memory.percent,
            "total": memory.total,
            "used": memory.total - memory.available,
            "available": memory.available,
        },
        "disk": {
            "percent": disk.percent,
            "total": disk.total,
            "used": disk.used,
            "free": disk.free,
            "read_per_second": rate("disk", "read_bytes"),
            "written_per_second": rate("disk", "write_bytes"),
        },
        "network": {
            "sent_per_second": rate("network", "bytes_sent"),
            "received_per_second": rate("network", "bytes_recv"),
            "sent": getattr(after["network"], "bytes_sent", 0),
            "received": getattr(after["network"], "bytes_recv", 0),
        },
    }


def _busy(before: Any, after: Any) -> float:
    """Return the CPU utilization of all cores in percent. Guest time is already part of user time."""
    spent = {
        name: max(getattr(after, name) - getattr(before, name), 0.0)
        for name in after._fields
        if not name.startswith("guest")
    }
    total, idle = sum(spent.values()), spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    return round(100 * (total - idle) / total, 1) if total > 0 else 0.0


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
        jobs = dict(
            session.execute(
                select(Job.state, func.count()).where(Job.state.in_(("queued", "running"))).group_by(Job.state)
            ).all()
        )
        oldest = session.scalar(select(func.min(Job.created_at)).where(Job.state == "queued"))
        monitors = dict(session.execute(select(Monitor.state, func.count()).group_by(Monitor.state)).all())
    return {
        "queued": jobs.get("queued", 0),
        "running": jobs.get("running", 0),
        "waiting_since": oldest and oldest.isoformat(),
        "monitors": monitors,
    }
