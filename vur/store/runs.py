"""The identity of a run: fingerprint of its data, hash of its configuration and code, attempt number."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vur.errors import VurError
from vur.store.cache import code_version, digest
from vur.store.home import folder

RUN_ID = re.compile(r"([0-9a-f]{12})-([1-9][0-9]*)")
CHUNK = 1 << 20


def file_fingerprint(path: Path) -> str:
    """SHA-256 of the file `path`, read in chunks."""
    sha = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(CHUNK):
            sha.update(piece)
    return sha.hexdigest()


def frame_fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 of the columns, types and values of `frame`; its index does not matter."""
    sha = hashlib.sha256(repr([(str(name), str(kind)) for name, kind in frame.dtypes.items()]).encode())
    for name in frame.columns:
        sha.update(np.ascontiguousarray(pd.util.hash_pandas_object(frame[name], index=False).to_numpy()).tobytes())
    return sha.hexdigest()


def read_table(path: Path) -> pd.DataFrame:
    """A CSV table that a run wrote. Text stays text, `NA`, `null` and `001` too; an empty cell is a missing value."""
    text = {"unique_id": str}
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""], float_precision="round_trip")


def fold_forecasts(record: Mapping[str, Any]) -> pd.DataFrame | None:
    """Forecasts over the folds of a run with the actual values: `algorithm, fold, unique_id, ds, step, y, forecast`.

    `record` is the run's. Stamps are the model's. None if the run was stopped before, or its cache was cleared.
    """
    key = (record.get("stages", {}).get("training") or {}).get("key")
    path = folder("cache", "training", key) / "evaluation_forecasts.parquet" if key else None
    return pd.read_parquet(path) if path is not None and path.is_file() else None


def run_hash(fingerprint: str, config_hash: str) -> str:
    """The first part of a run id, from data, configuration and code: 12 hexadecimal digits."""
    return digest(fingerprint, config_hash, code_version())[:12]


def next_attempt(reports: Path, prefix: str) -> str:
    """The first free id `prefix-N`; its folder is created, so that concurrent runs never share one."""
    taken = [int(match[2]) for path in reports.glob(f"{prefix}-*") if (match := RUN_ID.fullmatch(path.name))]
    attempt = max(taken, default=0) + 1
    while True:
        try:
            (reports / f"{prefix}-{attempt}").mkdir(parents=True)
            return f"{prefix}-{attempt}"
        except FileExistsError:
            attempt += 1


def find_run(run: str | Path, reports: Path) -> Path:
    """The folder of a run, given by its id under `reports` or by its path; `VurError` lists the newest runs."""
    for path in (Path(run), reports / str(run)):
        if (path / "pipeline.yaml").is_file():
            return path.absolute()
    known = sorted((p for p in reports.glob("*-*") if RUN_ID.fullmatch(p.name)), key=lambda p: -p.stat().st_mtime)
    raise VurError("runs.no_run", run=run, reports=reports, known=", ".join(p.name for p in known[:5]) or "-")
