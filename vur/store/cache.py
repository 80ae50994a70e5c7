"""Content-addressed stage outputs: a key made of everything that went in leads to a folder with what came out."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import pandas as pd

from vur.store.home import folder, new_folder

T = TypeVar("T")
LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow",
    "duckdb",
    "statsmodels",
    "scikit-learn",
    "scipy",
    "statsforecast",
    "mlforecast",
    "utilsforecast",
    "coreforecast",
    "lightgbm",
    "xgboost-cpu",
    "xgboost",
    "prophet",
    "tensorflow",
    "keras",
    "hierarchicalforecast",
    "optuna",
    "holidays",
    "numba",
    "bentoml",
    "papermill",
    "plotly",
)
# Parts of VUR that carry numbers about without making any.
NUMBERLESS = ("commands", "jobs", "predictions", "serving", "store", "cli.py", "settings.py")


def digest(*parts: object) -> str:
    """SHA-256 of `parts` as canonical JSON (paths and other objects as text), in hexadecimal."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that can change a number."""
    from vur.state import installed_versions

    return installed_versions(LIBRARIES)


@cache
def code_version() -> str:
    """Digest of VUR's own source, as far as it can change a number, and of the libraries' versions."""
    root = Path(__file__).parents[1]
    sources = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in NUMBERLESS
    }
    return digest(sources, library_versions())


@dataclass(frozen=True)
class StageCache:
    """Folders under `<home>/cache/<stage>/<key>`; with `enabled=False` nothing is read, everything is written."""

    enabled: bool = True

    def stage(
        self,
        name: str,
        inputs: object,
        compute: Callable[[Path], T],
        read: Callable[[Path], T],
        keep: Callable[[T], bool] = lambda value: True,
    ) -> tuple[T, str, bool]:
        """What `compute(folder)` makes, or `read(folder)` when it was made before: the value, its key and whether it was cached.

        A value that `keep` refuses (a training that was cut short) is not there the next time.
        """
        key = digest(name, inputs, code_version())[:32]
        target = folder("cache", name, key)
        if self.enabled and target.is_dir():
            return read(target), key, True
        with new_folder(target) as draft:
            value = compute(draft)
        if not keep(value):
            shutil.rmtree(target)
        return value, key, False


@dataclass(frozen=True)
class FrameCache:
    """Frames by text key under one stage folder: what an interrupted training already has."""

    scope: str
    enabled: bool = True

    def _path(self, key: str) -> Path:
        return folder("cache", "fold", digest(self.scope, key, code_version())[:32]) / "frame.parquet"

    def get(self, key: str) -> pd.DataFrame | None:
        """The frame kept under `key`, or None."""
        path = self._path(key)
        return pd.read_parquet(path) if self.enabled and path.is_file() else None

    def put(self, key: str, frame: pd.DataFrame) -> None:
        """Keep `frame` under `key`."""
        target = self._path(key)
        if not target.is_file():
            with new_folder(target.parent) as draft:
                frame.to_parquet(draft / target.name, index=False)
