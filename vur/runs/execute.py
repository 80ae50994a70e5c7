"""Runs a pipeline headlessly: papermill executes the training notebook while progress is reported."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.errors import VurError
from vur.runs.folder import PARENT, RECORD
from vur.runs.progress import Follower
from vur.runs.run import NOTEBOOK, Run
from vur.store.full_disk import disk_error
from vur.store.home import folder

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager

POLL_SECONDS = 0.2
NO_SPACE = "No space left on device"  # as the notebook's kernel reports it
PRELOAD = "vur.runs.run"


def run_notebook(name: str) -> Path:
    """A parameterised notebook of `nbs/runs`, from the checkout or from the installed package."""
    checkout = Path(__file__).parents[2] / "nbs" / "runs" / name
    return checkout if checkout.is_file() else Path(str(files("vur") / "notebooks" / name))


def execute_in_process(target: Path, watcher: Callable[[dict], None] | None, *, fresh: bool = False) -> dict[str, Any]:
    """Run all stages in this process and return the run's record."""
    return Run(target, watcher=watcher, fresh=fresh).all()


def execute_notebook(target: Path, watcher: Callable[[dict], None] | None, *, fresh: bool = False) -> dict[str, Any]:
    """Execute the training notebook into `target` with papermill and return the run's record.

    The first Ctrl-C stops the training and keeps the models finished so far, the second kills the kernel. Raises
    `VurError` with the failing stage's cause and remedy.
    """
    return execute(target, NOTEBOOK, {"config": "pipeline.yaml", "fresh": fresh}, watcher)


def execute(
    target: Path,
    notebook: str,
    parameters: dict[str, Any],
    watcher: Callable[[dict], None] | None,
    *,
    preload: str = PRELOAD,
) -> dict[str, Any]:
    """Execute a notebook of `nbs/runs` into the folder `target` of a run and return the run's record.

    `preload` is the module that the kernel imports while papermill starts. The first Ctrl-C leaves a file `stop` that
    the run may heed, the second kills the kernel. Raises `VurError` with the failing stage's cause and remedy.
    """
    state = folder("runs", target.name)
    state.mkdir(parents=True, exist_ok=True)
    for name in ("stop", "progress.jsonl"):
        (state / name).unlink(missing_ok=True)
    job = _PapermillJob(target, notebook, parameters, preload)
    _watch(job, Follower(state / "progress.jsonl"), watcher, state / "stop")
    return outcome(target, job.error, notebook)


class _PapermillJob(threading.Thread):
    """papermill in a thread, so that the main thread can report progress and handle Ctrl-C."""

    def __init__(self, target: Path, notebook: str, parameters: dict[str, Any], preload: str):
        super().__init__(daemon=True, name="papermill")
        self.target, self.notebook, self.parameters, self.preload = target, notebook, parameters, preload
        self.error: BaseException | None = None
        self.manager: AsyncKernelManager | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        """Execute the notebook; any error is stored for the main thread."""
        try:
            self._execute()
        except BaseException as error:  # noqa: B036 - passed to the main thread, which raises it
            self.error = error
        finally:
            self.ended.set()

    def _execute(self) -> None:
        import asyncio
        import logging

        from jupyter_client import AsyncKernelManager

        sockets = tempfile.mkdtemp(prefix="vur-kernel-")
        manager = self.manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/ipc")
        os.environ[PARENT] = str(os.getpid())
        draft = self.target / f".{self.notebook}"
        first = f"import {self.preload}; del vur"

        async def start_kernel() -> None:
            await manager.start_kernel(cwd=str(self.target), extra_arguments=[f"--IPKernelApp.exec_lines={first}"])

        try:
            # The kernel starts and imports the notebook's modules while this process imports papermill.
            asyncio.run(start_kernel())
            import papermill

            logging.getLogger("papermill").setLevel(logging.ERROR)
            papermill.execute_notebook(
                str(run_notebook(self.notebook)),
                str(draft),
                self.parameters,
                kernel_name="python3",
                cwd=str(self.target),
                progress_bar=False,
                log_output=False,
                km=manager,
            )
        finally:
            shutil.rmtree(sockets, ignore_errors=True)
            if draft.is_file():
                os.replace(draft, self.target / self.notebook)

    def kill(self) -> None:
        """Kill the kernel and all of its child processes."""
        provisioner = getattr(self.manager, "provisioner", None)
        if provisioner is not None and provisioner.pid:
            os.killpg(os.getpgid(provisioner.pid), signal.SIGKILL)


def _watch(job: _PapermillJob, follower: Follower, watcher: Callable[[dict], None] | None, stop: Path) -> None:
    tell = watcher or (lambda event: None)
    job.start()
    # An event instead of `join`: in Python 3.11, Ctrl-C inside `join` marks a running thread as finished.
    while not job.ended.is_set():
        try:
            for event in follower.new_events():
                tell(event)
            job.ended.wait(POLL_SECONDS)
        except KeyboardInterrupt:
            if stop.exists():
                job.kill()
                job.ended.wait(10)
                raise
            stop.touch()
            tell(
                {
                    "stage": "training",
                    "fraction": 0.0,
                    "percent": 0.0,
                    "elapsed": 0.0,
                    "eta": None,
                    "message": "cli.stopping",
                    "data": {},
                }
            )
    for event in follower.new_events():
        tell(event)


def outcome(target: Path, error: BaseException | None, notebook: str = NOTEBOOK) -> dict[str, Any]:
    """The record of a finished run, or the `VurError` that ended it."""
    import json

    path = target / RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if error is None and record.get("status") in ("finished", "stopped"):
        return record
    failure = record.get("failure")
    if failure is None and NO_SPACE in str(error):
        raise disk_error() from error
    if failure is None:
        stages = list(record.get("stages", {}))
        code, data = (
            ("runs.kernel", {"run": target.name})
            if "died" in str(error).lower()
            else (
                "runs.crashed",
                {
                    "kind": type(error).__name__,
                    "reason": " ".join(str(error).split())[-300:],
                    "notebook": notebook,
                    "run": target.name,
                },
            )
        )
        raise VurError(code, stage=stages[-1] if stages else "upload", **data) from error
    raise RunFailed(failure) from error


class RunFailed(VurError):
    """A stage of a run failed; cause and remedy are those of the stage."""

    def __init__(self, failure: dict[str, Any]):
        self.failure = failure
        super().__init__(failure["code"], stage=failure["stage"])

    def cause(self, language: str = "") -> str:
        return self.failure["cause"]

    def remedy(self, language: str = "") -> str:
        return self.failure["remedy"]

    def __reduce__(self) -> tuple[Any, ...]:
        return RunFailed, (self.failure,)
