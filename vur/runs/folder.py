"""What every run has: a folder with its record, a log of its progress, and stages that are timed."""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from vur.errors import VurError
from vur.runs.progress import ProgressLog
from vur.store.home import folder, write_text

RECORD = "run.json"
PARENT = "VUR_PARENT_PID"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this kernel when the process that started it is killed (Linux only), so that no kernel is orphaned."""
    parent = os.environ.get(PARENT)
    if parent and sys.platform == "linux" and os.getppid() == int(parent):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class RunFolder:
    """A run in its folder `target`: `record` (run.json), `log` (progress) and `stage`.

    `weights` holds the stages with the share of time that each takes, `notebook` the name of the run's notebook,
    `language` that of messages. `watcher` receives progress events.
    """

    def __init__(
        self,
        target: Path,
        *,
        weights: Mapping[str, float],
        notebook: str,
        language: str,
        watcher: Callable[[dict], None] | None = None,
    ):
        self.folder = Path(target).absolute()
        self.id = self.folder.name
        self.language, self.notebook = language, notebook
        self.state = folder("runs", self.id)
        self.state.mkdir(parents=True, exist_ok=True)
        self.log = ProgressLog(self.state / "progress.jsonl", watcher, weights)
        self.record = self._read_record() | {"run_id": self.id, "status": "running", "stages": {}}
        self.record.pop("failure", None)
        self.created = self.record.setdefault("created", datetime.now(UTC).isoformat(timespec="seconds"))

    def _read_record(self) -> dict[str, Any]:
        path = self.folder / RECORD
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def _write_record(self, **changes: Any) -> None:
        self.record |= changes
        write_text(self.folder / RECORD, json.dumps(self.record, indent=1, ensure_ascii=False, default=str) + "\n")

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage, report it to the watcher, and record a failure with its cause and remedy."""
        started = monotonic()
        entry: dict[str, Any] = {"cached": False}
        self.log.emit(name, 0.0)
        try:
            yield entry
        except BaseException as error:
            failure = describe_failure(error, name, self.id, self.notebook, self.language)
            self._write_record(
                status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed", failure=failure
            )
            raise
        entry["seconds"] = round(monotonic() - started, 3)
        self.record["stages"][name] = entry
        self._write_record()
        self.log.emit(name, 1.0, "cli.cached" if entry["cached"] else "")


def describe_failure(error: BaseException, stage: str, run_id: str, notebook: str, language: str) -> dict[str, Any]:
    """Stage, cause and remedy of an exception, in the user's language."""
    if not isinstance(error, VurError):
        error = VurError(
            "runs.crashed",
            kind=type(error).__name__,
            reason=" ".join(str(error).split()) or "-",
            notebook=notebook,
            run=run_id,
        )
    data = {
        key: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        for key, value in error.data.items()
    }
    return {
        "stage": stage,
        "code": error.code,
        "cause": error.cause(language),
        "remedy": error.remedy(language),
        "data": data,
    }
