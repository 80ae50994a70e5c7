"""The load of the machine: what it is now, and its samples in the catalog, which a worker takes for two days."""

import time
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from vur.store.catalog import Job, MachineSample, now
from vur.store.database import reading, writing
from vur.store.home import home

EVERY = 30.0  # seconds between two samples
KEPT = timedelta(days=2)
FIGURES = ("cpu", "memory", "disk", "sent", "received", "queued", "running")


def read_counters() -> dict[str, Any]:
    """The counters of processors, network and disks, and when they were read."""
    import psutil

    return {
        "at": time.monotonic(),
        "cpu": psutil.cpu_times(),
        "network": psutil.net_io_counters(),
        "disk": psutil.disk_io_counters(),
    }


def load_between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """CPU, memory, disk and network between two readings of the counters; bytes and percent."""
    import psutil

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
    """The CPU utilization of all cores in percent. Guest time is already part of user time."""
    spent = {
        name: max(getattr(after, name) - getattr(before, name), 0.0)
        for name in after._fields
        if not name.startswith("guest")
    }
    total, idle = sum(spent.values()), spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    return round(100 * (total - idle) / total, 1) if total > 0 else 0.0


class Sampler:
    """Stores a sample of the machine's load at each call but the first, unless another worker just did."""

    def __init__(self) -> None:
        self.before: dict[str, Any] | None = None

    def take(self) -> None:
        """Store the load since the last call, and delete the samples that are too old."""
        before, after = self.before, read_counters()
        self.before = after
        if before is None:
            return
        load = load_between(before, after)
        with reading() as session:
            jobs = active_jobs(session)
        with writing() as session:
            last = session.scalar(select(func.max(MachineSample.at)))
            if last is not None and now() - last < timedelta(seconds=EVERY / 2):
                return
            session.add(
                MachineSample(
                    cpu=load["cpu"]["percent"],
                    memory=load["memory"]["percent"],
                    disk=load["disk"]["percent"],
                    sent=load["network"]["sent_per_second"],
                    received=load["network"]["received_per_second"],
                    **jobs,
                )
            )
            session.execute(delete(MachineSample).where(MachineSample.at < now() - KEPT))


def active_jobs(session: Session) -> dict[str, int]:
    """The numbers of `queued` and `running` jobs."""
    counted = select(Job.state, func.count()).where(Job.state.in_(("queued", "running"))).group_by(Job.state)
    jobs = dict(session.execute(counted).tuples().all())
    return {state: jobs.get(state, 0) for state in ("queued", "running")}


def samples(session: Session, since: datetime, most: int) -> dict[str, list[Any]]:
    """The samples since a moment as lists, `at` and `FIGURES`; beyond `most` of them, means of stretches."""
    columns = [MachineSample.at, *(getattr(MachineSample, name) for name in FIGURES)]
    rows = session.execute(select(*columns).where(MachineSample.at >= since).order_by(MachineSample.at)).all()
    size = max(-(-len(rows) // most), 1)
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return {"at": [part[-1][0] for part in parts]} | {
        name: [round(sum(row[place] for row in part) / len(part), 1) for part in parts]
        for place, name in enumerate(FIGURES, 1)
    }
