"""Runs heavy work in a child process, so that it cannot exhaust or crash the service.

Children are forked from a server process that has imported the libraries: a fork takes milliseconds, the imports a
second. A child that exceeds its limits of time or memory is killed, and nothing of it goes on.
"""

import atexit
import ctypes
import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from vur.errors import VurError
from vur.settings import settings

WAITING = threading.BoundedSemaphore(8)  # requests that may wait for a child; more would use up the threads
PRELOADED = ["vur.store.forkserver", "uvicorn"]  # uvicorn: a child imports the main module of the service
CHILDREN: set[BaseProcess] = set()
PR_SET_PDEATHSIG = 1
MOST_OUTPUT = 4000  # bytes of a crashed child's output in the error
LOOK = 0.1  # seconds between two looks at a child's memory
RESERVED = 6 * 1024  # MiB of memory that libraries reserve at most without using it
LAST_WORDS = 1.0  # seconds in which a child that closed its pipe ends by itself
SHARE = 0.5  # of the machine's memory that one child may fill where no setting says how much
Progress = Callable[..., None]


class Gate:
    """Lets `slots` calls work at a time, `each` of them for one owner, so that nobody takes all; further ones wait.

    Calls without an owner are the service's own: only `slots` limits them.
    """

    def __init__(self, slots: int, each: int):
        self.slots, self.each = slots, each
        self._working: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, owner: str = "", patience: float | None = None) -> Iterator[None]:
        """Hold a slot; `VurError` api.busy if none is free within `patience` seconds (None: however long it takes)."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_free(owner), patience):
                raise VurError("api.busy", seconds=15)
            self._working[owner] += 1
        try:
            yield
        finally:
            with self._changed:
                self._working[owner] -= 1
                self._changed.notify_all()

    def _is_free(self, owner: str) -> bool:
        return self._working.total() < self.slots and (not owner or self._working[owner] < self.each)


READING, ANALYSES = Gate(3, 2), Gate(3, 2)  # files that are read, and answers about tables, in one service process


@dataclass(frozen=True)
class Limits:
    """What a call may use; 0 seconds are no limit, 0 megabytes are the setting's or half of the machine's memory.

    `seconds` of time, `megabytes` (MiB) of resident memory, and `patience`: the seconds that it waits for other calls
    to end, None for as long as it takes.
    """

    seconds: float = 0.0
    megabytes: int = 0
    patience: float | None = None


class Died(RuntimeError):
    """A child ended without an answer; `status` is its exit status, negative for the signal that ended it."""

    def __init__(self, function: str, status: int | None, output: str):
        super().__init__(f"{function} exited with {status} before it answered: {output}")
        self.status = status


@contextmanager
def limited(heavy: bool) -> Iterator[None]:
    """Limit how many requests wait for heavy work; `VurError` api.busy if too many do already."""
    if heavy and not WAITING.acquire(blocking=False):
        raise VurError("api.busy", seconds=15)
    try:
        yield
    finally:
        if heavy:
            WAITING.release()


def call(
    function: str,
    arguments: dict[str, Any],
    *,
    in_child: bool,
    progress: Progress | None = None,
    limits: Limits = Limits(),
    gate: Gate = ANALYSES,
    owner: str = "",
) -> Any:
    """Call the function `module:name`, in a child process if `in_child`; arguments and result are plain JSON data.

    With `progress`, the function gets an argument `progress(fraction, key, **data)`. A `VurError` of the function is
    raised here. `gate` lets it begin, in the name of `owner`. `Died` if the child dies, `TimeoutError` if it takes
    longer than its limit, `VurError` datasets.memory if it takes more memory than its limit, and api.busy if it cannot
    begin within its patience.
    """
    if not in_child:
        return _function(function)(**arguments, **({"progress": progress} if progress else {}))
    with gate.slot(owner, limits.patience):
        answer = _call_in_child(function, arguments, progress, limits)
    if "error" in answer:
        raise VurError(answer["error"]["code"], stage=answer["error"]["stage"], **answer["error"]["data"])
    return answer["result"]


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found


def _call_in_child(
    function: str, arguments: dict[str, Any], progress: Progress | None, limits: Limits
) -> dict[str, Any]:
    limits = replace(limits, megabytes=limits.megabytes or settings().job_memory_mb or machine_share())
    request = {
        "function": function,
        "arguments": arguments,
        "progress": progress is not None,
        "megabytes": limits.megabytes,
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    answers, sender = context.Pipe(duplex=False)
    output, printer = context.Pipe(duplex=False)
    child = context.Process(
        target=_work, args=(json.dumps(request), dict(os.environ), sender, printer), daemon=True, name=function
    )
    CHILDREN.add(child)
    tail = bytearray()
    listener = threading.Thread(target=_keep_tail, args=(output, tail), daemon=True, name="child-output")
    answer = None
    try:
        try:
            child.start()
        finally:
            sender.close()
            printer.close()
            listener.start()
        answer = _follow(child.pid or 0, answers, progress, limits)
        if answer is None:
            child.join(LAST_WORDS)
    finally:
        if child.pid is not None:
            child.kill()
            child.join()
        CHILDREN.discard(child)
        listener.join(LAST_WORDS)
        answers.close()
    if answer is None:
        raise Died(function, child.exitcode, tail.decode("utf-8", errors="replace"))
    return answer


@atexit.register
def _end_children() -> None:
    """Kill the children that still work when this process ends, which would wait for them else."""
    for child in list(CHILDREN):
        if child.pid is not None:
            child.kill()


def _keep_tail(output: Connection, tail: bytearray) -> None:
    """Read what a child prints until it ends, and keep the last of it."""
    with output:
        while piece := os.read(output.fileno(), 65536):
            tail += piece
            del tail[:-MOST_OUTPUT]


def _follow(pid: int, answers: Connection, progress: Progress | None, limits: Limits) -> dict[str, Any] | None:
    """Relay the child's progress until it answers; None if it exits without. Raises when it exceeds a limit."""
    end = time.monotonic() + limits.seconds
    while True:
        if limits.seconds and time.monotonic() > end:
            raise TimeoutError(f"no answer within {limits.seconds:g} s")
        if limits.megabytes and _resident(pid) > limits.megabytes:
            raise VurError("datasets.memory", megabytes=limits.megabytes)
        if not answers.poll(LOOK if limits.seconds or limits.megabytes else None):
            continue
        try:
            message: dict[str, Any] = json.loads(answers.recv_bytes())
        except EOFError:
            return None
        if "progress" not in message:
            return message
        if progress:
            fraction, key, data = message["progress"]
            progress(fraction, key, **data)


@cache
def machine_share() -> int:
    """The MiB that one child may fill where no setting says how much: a share of the machine's or container's."""
    import psutil

    total, limit = psutil.virtual_memory().total, Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    return int(SHARE * total / 2**20)


def _resident(pid: int) -> float:
    """The memory that a process fills, in MiB; address space that is reserved does not count."""
    import psutil

    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.Error:  # it has ended
        return 0.0


# --- in the child ---


def _work(request: str, environment: dict[str, str], answers: Connection, output: Connection) -> None:
    """Call the function of a request in this process and send its answer; what it prints goes to `output`."""
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    for number in (signal.SIGTERM, signal.SIGINT):  # of a whole group: the service ends its child itself, when it ends
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the server that forked it ends with the service
    os.environ.clear()
    os.environ.update(environment)
    settings.cache_clear()
    asked = json.loads(request)
    if asked["megabytes"]:
        _limit_memory(asked["megabytes"])

    def send(**content: Any) -> None:
        answers.send_bytes(json.dumps(content, default=str).encode())

    def report(fraction: float, key: str = "", **data: Any) -> None:
        send(progress=[fraction, key, data])

    extra = {"progress": report} if asked["progress"] else {}
    try:
        send(result=_function(asked["function"])(**asked["arguments"], **extra))
    except MemoryError:
        send(error={"code": "datasets.memory", "stage": "datasets", "data": {"megabytes": asked["megabytes"]}})
    except VurError as error:
        send(error={"code": error.code, "stage": error.stage, "data": error.data})


def _limit_memory(megabytes: int) -> None:
    """Stop single allocations of absurd size; the parent watches the memory that is filled."""
    resource.setrlimit(resource.RLIMIT_DATA, ((megabytes + RESERVED) * 2**20,) * 2)
