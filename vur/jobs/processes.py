"""A job's processes: they die with the worker, inherit a mark by which they are found, and are killed together."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vur.jobs.child import PARENT
from vur.jobs.kinds import memory_limit
from vur.jobs.spec import JobSpec
from vur.store.home import home

if TYPE_CHECKING:
    import psutil

MARK = "VUR_JOB"  # the environment variable with the job's id and attempt
OUTPUT, SCRATCH = "output.log", "scratch"
MOST_OUTPUT = 512 * 1024  # bytes of an output file; the previous file is kept too
KILL_SECONDS = 4.0


class Child:
    """The child process of an attempt, leader of its own session; its output is kept up to a limit."""

    def __init__(self, spec: JobSpec):
        self.spec = spec
        spec.folder.mkdir(parents=True, exist_ok=True)
        # A short path: Jupyter puts its sockets there, and Unix limits their paths to 107 characters.
        self.scratch = Path(tempfile.mkdtemp(prefix="vur-job-"))
        (spec.folder / SCRATCH).write_text(str(self.scratch), encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vur.jobs.child", spec.id, str(spec.attempt)],
            cwd=spec.folder,
            env=_environment(spec, self.scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pump = threading.Thread(
            target=_pump, args=(self.process.stdout, spec.folder / OUTPUT), daemon=True, name=f"output-{spec.id[:8]}"
        )
        self.pump.start()

    @property
    def code(self) -> int | None:
        """The exit status; None while it runs, negative for the signal that killed it."""
        return self.process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait up to `seconds` for the exit status; None if it still runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def finish(self) -> None:
        """Kill the remaining processes of the job and delete the scratch folder."""
        kill_job(self.spec.id, self.spec.attempt)
        self.process.wait(KILL_SECONDS)
        self.pump.join(2)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines of the output."""
        path = self.spec.folder / OUTPUT
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] if path.is_file() else []


def _environment(spec: JobSpec, scratch: Path) -> dict[str, str]:
    """The child's environment: the mark, the parent, and settings that do not depend on its working directory."""
    from vur.settings import find_settings_file

    settings_file = find_settings_file()
    own = {
        MARK: f"{spec.id}/{spec.attempt}",
        PARENT: str(os.getpid()),
        "TMPDIR": str(scratch),
        "VUR_HOME": str(home()),
        "VUR_JOB_MEMORY_MB": str(memory_limit(spec.kind)),
        "PYTHONUNBUFFERED": "1",
    }
    return os.environ | own | ({"VUR_SETTINGS": str(settings_file.absolute())} if settings_file else {})


def _pump(source: IO[bytes], path: Path) -> None:
    """Copy a child's output to `path`, and rotate the file at `MOST_OUTPUT`."""
    target, written = path.open("wb"), 0
    with source:
        while piece := os.read(source.fileno(), 65536):
            if written + len(piece) > MOST_OUTPUT:
                target.close()
                os.replace(path, path.with_suffix(".old.log"))
                target, written = path.open("wb"), 0
            target.write(piece)
            target.flush()
            written += len(piece)
    target.close()


def marked(job_id: str, attempt: int | None = None) -> Iterator["psutil.Process"]:
    """This user's running processes with the mark of a job, or of one attempt, on this machine."""
    import psutil

    mine, wanted = os.getuid() if hasattr(os, "getuid") else None, f"{job_id}/{attempt or ''}"
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and (mine is None or process.uids().real == mine)
                and _is_of(process.environ().get(MARK, ""), wanted)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                yield process
        except (psutil.Error, OSError):  # it has ended, or belongs to another user
            continue


def _is_of(mark: str, wanted: str) -> bool:
    return mark.startswith(wanted) if wanted.endswith("/") else mark == wanted


def kill_job(job_id: str, attempt: int | None = None) -> int:
    """Kill all processes of a job, or of one attempt, including those started meanwhile; returns their number."""
    import psutil

    count, deadline = 0, time.monotonic() + KILL_SECONDS
    while (found := list(marked(job_id, attempt))) and time.monotonic() < deadline:
        for process in found:
            try:
                process.kill()
                count += 1
            except psutil.Error:
                continue
        psutil.wait_procs(found, timeout=0.5)
    return count


def clear_leftovers(job_id: str, folder: Path) -> int:
    """Clean up after a dead worker: kill a job's processes and delete its scratch folders; how many were killed."""
    count = kill_job(job_id)
    for note in folder.glob(f"*/{SCRATCH}"):
        scratch = Path(note.read_text(encoding="utf-8"))
        if scratch.name.startswith("vur-job-") and scratch.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(scratch, ignore_errors=True)
    return count


@dataclass(frozen=True)
class Memory:
    """The memory used by an attempt's processes together, and the largest address space of one of them, in MiB."""

    used: float
    largest: float


def memory(pid: int) -> Memory:
    """The memory of process `pid` and its descendants; shared memory is counted once (Linux)."""
    import psutil

    used, sizes = 0.0, [0.0]
    try:
        tree = [top := psutil.Process(pid), *top.children(recursive=True)]
    except psutil.Error:
        return Memory(0.0, 0.0)
    for process in tree:
        try:
            info = process.memory_full_info()
        except (psutil.Error, OSError):  # it has ended
            continue
        used += getattr(info, "pss", info.rss)
        sizes.append(info.vms / 2**20)
    return Memory(used / 2**20, max(sizes))
