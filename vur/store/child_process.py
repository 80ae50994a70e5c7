"""Runs heavy work in a child process so that it cannot exhaust or crash the service.

Small inputs are processed in the calling thread, because a child takes about a second to start.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any

from vur.errors import VurError
from vur.settings import settings

RUNNING = threading.BoundedSemaphore(2)  # children of one service process; further calls wait
WAITING = threading.BoundedSemaphore(8)  # requests that may wait for one; more would use up the threads
PR_SET_PDEATHSIG = 1
MOST_STDERR = 4000  # characters of a crashed child's output in the error
Progress = Callable[..., None]


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


def call(function: str, arguments: dict[str, Any], *, in_child: bool, progress: Progress | None = None) -> Any:
    """Call the function `module:name`, in a child process if `in_child`; arguments and result are plain JSON data.

    With `progress`, the function gets an argument `progress(fraction, key, **data)`. A `VurError` of the function is
    raised here; `RuntimeError` if the child dies.
    """
    if not in_child:
        return _function(function)(**arguments, **({"progress": progress} if progress else {}))
    with RUNNING:
        return _call_in_child(function, arguments, progress)


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found


def _call_in_child(function: str, arguments: dict[str, Any], progress: Progress | None) -> Any:
    request = json.dumps(
        {"function": function, "arguments": arguments, "progress": progress is not None, "parent": os.getpid()}
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "vur.store.child_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin and child.stdout and child.stderr
    output: list[str] = []
    listener = threading.Thread(target=output.extend, args=(child.stderr,), daemon=True)
    listener.start()
    try:
        child.stdin.write(request)
        child.stdin.close()
        answer = _follow(child.stdout, progress)
        if answer is None:
            child.wait(10)
    finally:
        child.kill()
        child.wait()
        listener.join(5)
        for stream in (child.stdout, child.stderr):
            stream.close()
    if answer is None:
        tail = "".join(output)[-MOST_STDERR:]
        raise RuntimeError(f"{function} exited with {child.returncode} before it answered: {tail}")
    if "error" in answer:
        raise VurError(answer["error"]["code"], stage=answer["error"]["stage"], **answer["error"]["data"])
    return answer["result"]


def _follow(answers: IO[str], progress: Progress | None) -> dict[str, Any] | None:
    """Relay the child's progress until it answers; None if it exits without an answer."""
    for line in answers:
        message: dict[str, Any] = json.loads(line)
        if "progress" not in message:
            return message
        if progress:
            fraction, key, data = message["progress"]
            progress(fraction, key, **data)
    return None


def main() -> int:
    """Read a request from standard input, call its function, write the answer; prints go to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    for number in (signal.SIGTERM, signal.SIGINT):  # of a whole group: the service ends its child itself, when it ends
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != request["parent"]:
            return 1

    def send(**content: Any) -> None:
        print(json.dumps(content, default=str), file=answers, flush=True)

    if settings().job_memory_mb:
        resource.setrlimit(resource.RLIMIT_AS, (settings().job_memory_mb * 2**20,) * 2)

    def report(fraction: float, key: str = "", **data: Any) -> None:
        send(progress=[fraction, key, data])

    extra = {"progress": report} if request["progress"] else {}
    try:
        send(result=_function(request["function"])(**request["arguments"], **extra))
    except MemoryError:
        send(error={"code": "datasets.memory", "stage": "datasets", "data": {"megabytes": settings().job_memory_mb}})
    except VurError as error:
        send(error={"code": error.code, "stage": error.stage, "data": error.data})
    return 0


if __name__ == "__main__":
    sys.exit(main())
