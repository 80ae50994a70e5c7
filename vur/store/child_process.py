"""Heavy work on a user's data in a process of its own: it takes neither the service's memory nor its breath, and cannot bring it down.

Small inputs are worked on in the calling thread, because a process costs about a second to start.
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
from typing import Any

from vur.errors import VurError
from vur.settings import settings

AT_ONCE = threading.BoundedSemaphore(2)  # processes of one service worker; others wait
WAITING = threading.BoundedSemaphore(8)  # requests that may wait for one: more would leave no thread for anything else
PR_SET_PDEATHSIG = 1
LAST_WORDS = 4000
Progress = Callable[..., None]


@contextmanager
def turn(heavy: bool) -> Iterator[None]:
    """Where a request waits for heavy work; `VurError` api.busy when too many do."""
    if heavy and not WAITING.acquire(blocking=False):
        raise VurError("api.busy", seconds=15)
    try:
        yield
    finally:
        if heavy:
            WAITING.release()


def call(function: str, arguments: dict[str, Any], *, apart: bool, progress: Progress | None = None) -> Any:
    """What `module:name` makes of `arguments`, plain JSON data both; in a process of its own when `apart`.

    With `progress`, the function gets a `progress(fraction, key, **data)` of its own. A `VurError` of the function is
    raised here.
    """
    if not apart:
        return _function(function)(**arguments, **({"progress": progress} if progress else {}))
    with AT_ONCE:
        return _in_child(function, arguments, progress)


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _in_child(function: str, arguments: dict[str, Any], progress: Progress | None) -> Any:
    order = json.dumps(
        {"function": function, "arguments": arguments, "progress": progress is not None, "parent": os.getpid()}
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "vur.store.child_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    words: list[str] = []
    listener = threading.Thread(target=lambda: words.extend(child.stderr), daemon=True)
    listener.start()
    try:
        child.stdin.write(order)
        child.stdin.close()
        answer = _follow(child, progress)
        if answer is None:
            child.wait(10)
    finally:
        child.kill()
        child.wait()
        listener.join(5)
        for stream in (child.stdout, child.stderr):
            stream.close()
    if answer is None:
        raise RuntimeError(f"{function} ended with {child.returncode} and no answer: {''.join(words)[-LAST_WORDS:]}")
    if "error" in answer:
        raise VurError(answer["error"]["code"], stage=answer["error"]["stage"], **answer["error"]["data"])
    return answer["result"]


def _follow(child: subprocess.Popen, progress: Progress | None) -> dict[str, Any] | None:
    for line in child.stdout:
        said = json.loads(line)
        if "progress" not in said:
            return said
        if progress:
            fraction, key, data = said["progress"]
            progress(fraction, key, **data)
    return None


def main() -> int:
    """Read an order from standard input, work, write the answer; what the work prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order = json.load(sys.stdin)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != order["parent"]:
            return 1

    def say(**content: Any) -> None:
        print(json.dumps(content, default=str), file=answers, flush=True)

    if settings().job_memory_mb:
        resource.setrlimit(resource.RLIMIT_AS, (settings().job_memory_mb * 2**20,) * 2)
    extra = {"progress": lambda fraction, key, **data: say(progress=[fraction, key, data])} if order["progress"] else {}
    try:
        say(result=_function(order["function"])(**order["arguments"], **extra))
    except MemoryError:
        say(error={"code": "datasets.memory", "stage": "datasets", "data": {"megabytes": settings().job_memory_mb}})
    except VurError as error:
        say(error={"code": error.code, "stage": error.stage, "data": error.data})
    return 0


if __name__ == "__main__":
    sys.exit(main())
