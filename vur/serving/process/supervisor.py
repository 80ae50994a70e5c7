"""The supervisor of `vur serve`: HTTP service and training worker are child processes that end with it."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

PR_SET_PDEATHSIG = 1
PATIENCE = 40.0  # seconds that children get to finish their work
RESTS = (1, 2, 5, 10, 30)  # seconds before a child that keeps dying is restarted


def end_with_parent() -> None:
    """Ask the kernel to terminate this process when its parent dies in any way (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """A process to keep alive: `name` for messages, `command`, inherited descriptors, and its restart history."""

    name: str
    command: list[str]
    inherits: tuple[int, ...] = ()
    process: subprocess.Popen | None = None
    started: float = 0.0
    deaths: int = 0
    due: float = field(default=0.0)

    def start(self) -> None:
        """Start the process in its own group, so that Ctrl-C reaches it only through the supervisor."""
        self.process = subprocess.Popen(
            self.command, start_new_session=True, preexec_fn=end_with_parent, pass_fds=self.inherits
        )
        self.started = time.monotonic()

    def check(self, tell: Callable[[str, int, int], None]) -> None:
        """Restart the process if it has died, with a growing delay if it keeps dying within a minute."""
        if self.process is not None and self.process.poll() is not None:
            self.deaths = 0 if time.monotonic() - self.started > 60 else self.deaths + 1
            rest = RESTS[min(self.deaths, len(RESTS) - 1)]
            tell(self.name, self.process.returncode, rest)
            self.process, self.due = None, time.monotonic() + rest
        elif self.process is None and time.monotonic() >= self.due:
            self.start()


def supervise(
    children: list[Child], tell: Callable[[str, int, int], None], listener: socket.socket | None = None
) -> int:
    """Keep `children` alive until SIGTERM or Ctrl-C; then terminate them in order and wait. Returns the exit code.

    `listener` is the socket that they share. While it is open here, connections wait for a restarted child; it is
    closed before the children are terminated, so that the last of them can empty its queue.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not asked:
            for child in children:
                child.check(tell)
            time.sleep(0.2)
    finally:
        if listener is not None:
            listener.close()
        stop(children)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def stop(children: list[Child]) -> None:
    """Send SIGTERM to all, and SIGKILL to the group of any that takes longer than `PATIENCE`."""
    alive = [child.process for child in children if child.process is not None and child.process.poll() is None]
    for process in alive:
        process.send_signal(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    for process in alive:
        try:
            process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
