"""How much disk the installation uses: by user, by dataset, and by part of the data home."""

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vur.settings import settings
from vur.store.catalog import Dataset, User, now
from vur.store.data.datasets import stored_bytes
from vur.store.data.overview import version_count
from vur.store.home import KINDS, home

FRESH_SECONDS = 60.0  # for which a measurement of the data home is repeated
MOST_DATASETS, MOST_USERS = 100, 200
_measured: dict[str, tuple[float, dict[str, Any]]] = {}
_measuring = threading.Lock()


def largest(session: Session, user_id: str) -> list[dict[str, Any]]:
    """The datasets of a user that take most of the disk, deleted ones that can be restored included."""
    size = stored_bytes()
    columns = select(Dataset.id, Dataset.name, version_count(), size, Dataset.deleted_at)
    rows = columns.where(Dataset.owner_id == user_id).order_by(size.desc(), Dataset.id).limit(MOST_DATASETS)
    return [
        {"dataset_id": id, "name": name, "versions": versions, "stored_bytes": stored, "deleted_at": deleted}
        for id, name, versions, stored, deleted in session.execute(rows)
    ]


def by_user(session: Session) -> list[dict[str, Any]]:
    """The users who store most, with their quota (None: no limit)."""
    size = func.sum(stored_bytes())
    rows = (
        select(User.id, User.email, User.quota_bytes, func.count(), size)
        .join(Dataset, Dataset.owner_id == User.id)
        .group_by(User.id, User.email, User.quota_bytes)
        .order_by(size.desc(), User.id)
        .limit(MOST_USERS)
    )
    return [
        {
            "user_id": id,
            "email": email,
            "datasets": count,
            "total_bytes": int(total),
            "quota_bytes": (settings().quota_bytes if quota is None else quota) or None,
        }
        for id, email, quota, count, total in session.execute(rows)
    ]


def data_home() -> dict[str, Any]:
    """The disk of the data home: `total_bytes, free_bytes`, bytes by part of the home, and when it was measured.

    A measurement is kept for `FRESH_SECONDS`, because it looks at every file.
    """
    place = str(home())
    with _measuring:
        taken, found = _measured.get(place, (-FRESH_SECONDS, {}))
        if not found or time.monotonic() - taken > FRESH_SECONDS:
            parts = {kind: _bytes_below(home() / kind) for kind in KINDS if (home() / kind).is_dir()}
            parts["catalog"] = sum(path.stat().st_size for path in home().glob("catalog.sqlite*"))
            _measured[place] = (time.monotonic(), {"parts": parts, "measured_at": now()})
        found = _measured[place][1]
    disk = shutil.disk_usage(home())
    return {"total_bytes": disk.total, "free_bytes": disk.free, **found}


def _bytes_below(path: Path) -> int:
    """The bytes of the files below a folder; what is deleted meanwhile does not count."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total
