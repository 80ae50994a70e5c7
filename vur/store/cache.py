"""Content-addressed cache of stage outputs: the key is a digest of all inputs, the value a folder with the outputs."""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import pandas as pd

from vur.state import installed_versions
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
# Parts of VUR that pass on, store, word or draw numbers but do not change any: editing them keeps the cached trainings.
# `languages.py` is not one of them: marks and month names may decide how a file is read.
NUMBERLESS = (
    "assistant",
    "commands",
    "dashboards",
    "jobs",
    "predictions",
    "report",
    "serving",
    "store",
    "wizard",
    "_modidx.py",
    "cli.py",
    "errors.py",
    "settings.py",
    "text.py",
    "wording.py",
)


def digest(*parts: object) -> str:
    """SHA-256 of `parts` as canonical JSON (paths and other objects as text), in hexadecimal."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that can change a number."""
    return installed_versions(LIBRARIES)


@cache
def code_version(*rooms: str) -> str:
    """Digest of VUR's own source, as far as it can change a number, and of the library versions.

    `rooms` are names of `NUMBERLESS` that count as well: those whose answers, not numbers, are cached.
    """
    return digest(source_digests(Path(__file__).parents[1], rooms), library_versions())


def source_digests(root: Path, rooms: Collection[str] = ()) -> dict[str, str]:
    """SHA-256 of each Python file of the package at `root`, by relative path.

    The `NUMBERLESS` are left out, but for those in `rooms`.
    """
    paths = {path.relative_to(root): path for path in sorted(root.rglob("*.py"))}
    skipped = set(NUMBERLESS) - set(rooms)
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in paths.items()
        if name.parts[0] not in skipped
    }


@dataclass(frozen=True)
class StageCache:
    """Folders under `<home>/cache/<stage>/<key>`; with `enabled=False` it is written to but never read."""

    enabled: bool = True

    def stage(
        self,
        name: str,
        inputs: object,
        compute: Callable[[Path], T],
        read: Callable[[Path], T],
        keep: Callable[[T], bool] = lambda value: True,
    ) -> tuple[T, str, bool]:
        """The result of `compute(folder)`, or of `read(folder)` on a cache hit: value, key, whether it was a hit.

        A value for which `keep` is False (an interrupted training) is not cached.
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
    """Frames by text key in one scope, so that an interrupted training resumes with the folds it has finished."""

    scope: str
    enabled: bool = True

    def _path(self, key: str) -> Path:
        return folder("cache", "fold", digest(self.scope, key, code_version())[:32]) / "frame.parquet"

    def get(self, key: str) -> pd.DataFrame | None:
        """The frame cached under `key`, or None."""
        path = self._path(key)
        return pd.read_parquet(path) if self.enabled and path.is_file() else None

    def put(self, key: str, frame: pd.DataFrame) -> None:
        """Cache `frame` under `key`."""
        target = self._path(key)
        if not target.is_file():
            with new_folder(target.parent) as draft:
                frame.to_parquet(draft / target.name, index=False)
