"""The child process that runs one attempt of a job: `python -m vur.jobs.child JOB ATTEMPT`.

It appends its progress to `progress.jsonl` in the attempt's folder, and writes `done.json` or `error.json` there last.
"""

import ctypes
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from vur.jobs.messages import error_of, jsonable

PROGRESS = "progress.jsonl"
PARENT = "VUR_JOB_PARENT"  # the environment variable with the worker's process id
EVERY = 0.1  # seconds between two lines that differ only in their numbers
ETA_FROM = 0.05  # the fraction from which on the remaining time is estimated
LOST_CODE = 3
RESERVED = 6 * 1024  # MiB of address space that libraries reserve at most without using it


class Report:
    """`report(fraction, stage, text, **data)`: appends a line of progress, which the worker relays."""

    def __init__(self, path: Path):
        self.path, self.started, self.last, self.written = path, time.monotonic(), -math.inf, ("", "")

    def __call__(self, fraction: float, stage: str = "", text: str = "", /, **data: Any) -> None:
        """Report the done `fraction` in [0, 1]; `text` is a translation key that `data` fill, or plain text."""
        moment = time.monotonic()
        if (stage, text) == self.written and moment - self.last < EVERY and fraction < 1:
            return
        self.written, self.last = (stage, text), moment
        fraction, elapsed = min(max(float(fraction), 0.0), 1.0), moment - self.started
        eta = data.pop("eta", elapsed * (1 - fraction) / fraction if fraction > ETA_FROM else None)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps(
                    jsonable({"fraction": fraction, "stage": stage, "text": text, "eta": eta, "data": data}),
                    ensure_ascii=False,
                )
                + "\n"
            )


def die_with_worker() -> None:
    """Have the kernel kill this process when the worker dies (Linux); exit now if it has died already."""
    parent = int(os.environ.get(PARENT, os.getppid()))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(LOST_CODE)


def limit_memory() -> None:
    """Limit the address space of this process and of those that it starts, well above the job's memory limit.

    The worker watches the resident memory. Address space is no measure of it: a training that uses 500 MB reserves
    2 GB, and OpenBLAS retries forever if it gets none. This limit stops only single allocations of absurd size.
    """
    from vur.settings import settings

    if limit := settings().job_memory_mb:
        import resource

        space = address_space(limit) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (space, space))


def address_space(limit: int) -> int:
    """The MiB of address space for a process of a job that may use `limit` MiB of memory."""
    return limit + RESERVED


def main(job_id: str, attempt: int) -> int:
    """Run the attempt; 0 if it succeeded, 1 if it failed with an error, 3 if another attempt has replaced it."""
    die_with_worker()
    if hasattr(os, "nice"):
        os.nice(5)
    limit_memory()
    from vur.jobs.kinds import handler
    from vur.jobs.lifecycle import DONE, FAILED
    from vur.jobs.spec import spec_of
    from vur.store.catalog import Job
    from vur.store.database import reading
    from vur.store.home import write_text

    with reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.attempt != attempt or job.state != "running":
            return LOST_CODE
        spec = spec_of(job)
    try:
        result = handler(spec.kind)(spec, Report(spec.folder / PROGRESS))
        write_text(spec.folder / DONE, json.dumps(jsonable(result), ensure_ascii=False))
        return 0
    except Exception as error:
        import traceback

        traceback.print_exc()
        write_text(spec.folder / FAILED, json.dumps(error_of(error), ensure_ascii=False))
        return 1


if __name__ == "__main__":
    status = main(sys.argv[1], int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a library that crashes at interpreter shutdown must not undo a success
