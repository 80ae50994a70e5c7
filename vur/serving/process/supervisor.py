"""`vur serve` as a small supervisor: the HTTP service and the training worker as children that end with it."""

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
PATIENCE = 40.0  # seconds that children get to finish what they are doing
RESTS = (1, 2, 5, 10, 30)  # seconds before a child that keeps dying is started again


def end_with_parent() -> None:
    """Have the kernel end this process when its parent dies in whatever way (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """A process to keep alive: `name` for messages, `command`, the descriptors it inherits, and when it was started how often."""

    name: str
    command: list[str]
    inherits: tuple[int, ...] = ()
    process: subprocess.Popen | None = None
    started: float = 0.0
    deaths: int = 0
    due: float = field(default=0.0)

    def start(self) -> None:
        """Start it, in a group of its own so that Ctrl-C reaches it through the supervisor only."""
        self.process = subprocess.Popen(
            self.command, start_new_session=True, preexec_fn=end_with_parent, pass_fds=self.inherits
        )
        self.started = time.monotonic()

    def check(self, tell: Callable[[str, int, int], None]) -> None:
        """Start it again when it has died, later each time it does so within a minute."""
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
    """Keep `children` alive until SIGTERM or Ctrl-C; then ask them to end, in order, and wait. Returns the exit code.

    `listener` is the socket that they share. While it is open here, connections wait for a child that is started again;
    it is closed before children are asked to end, so that the last of them can empty its queue.
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
    """SIGTERM to all, SIGKILL to the group of whoever takes longer than `PATIENCE`."""
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
