"""The process in which one attempt of a job is done: `python -m vur.jobs.child JOB ATTEMPT`.

It reports by lines in `progress.jsonl` of its folder and leaves `done.json` or `error.json` there as the very last
thing it does.
"""

import ctypes
import json
import math
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRESS = "progress.jsonl"
EVERY = 0.1  # seconds between two lines that say the same but for numbers
ETA_FROM = 0.05
LOST_CODE = 3
RESERVED = 6 * 1024  # MiB of address space that libraries reserve without using them, at the most


class Tell:
    """`tell(fraction, stage, text, **data)`: appends a line for the worker to relay."""

    def __init__(self, path: Path):
        self.path, self.started, self.last, self.told = path, time.monotonic(), -math.inf, ("", "")

    def __call__(self, fraction: float, stage: str = "", text: str = "", /, **data: Any) -> None:
        """The work is done up to `fraction` in [0, 1]; `text` is a key of the translations that `data` fills, or plain text."""
        moment = time.monotonic()
        if (stage, text) == self.told and moment - self.last < EVERY and fraction < 1:
            return
        self.told, self.last = (stage, text), moment
        fraction, elapsed = min(max(float(fraction), 0.0), 1.0), moment - self.started
        eta = data.pop("eta", elapsed * (1 - fraction) / fraction if fraction > ETA_FROM else None)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps(
                    plain({"fraction": fraction, "stage": stage, "text": text, "eta": eta, "data": data}),
                    ensure_ascii=False,
                )
                + "\n"
            )


def plain(value: Any) -> Any:
    """`value` as what JSON and every database can hold: no NaN, no infinity, no types of libraries."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (str, bool, int, type(None))):
        return str(value).replace("\x00", "") if isinstance(value, str) else value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        return plain(value.item())
    return str(value)


def error_of(error: BaseException) -> dict[str, Any]:
    """An exception as a job keeps it: `code, stage, data`, and the texts of a run's failure as it told them."""
    from vur.errors import VurError

    failure = getattr(error, "failure", None)
    if failure is not None:
        return plain(
            {key: failure[key] for key in ("code", "stage", "cause", "remedy")} | {"data": failure.get("data", {})}
        )
    if isinstance(error, VurError):
        return plain({"code": error.code, "stage": error.stage, "data": error.data})
    return plain(
        {
            "code": "jobs.error",
            "stage": "",
            "data": {"kind": type(error).__name__, "reason": " ".join(str(error).split())[-500:] or "-"},
        }
    )


def die_with_worker() -> None:
    """Have the system end this process when the worker dies (Linux); end it now when that has happened already."""
    from vur.jobs.processes import PARENT

    parent = int(os.environ.get(PARENT, os.getppid()))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(LOST_CODE)


def limit_memory() -> None:
    """Hold this process, and each one that it starts, to an address space that the job's memory could never fill.

    What it holds in memory is watched by the worker. Address space is no measure of it: a training that fills 500 MB
    reserves 2 GB, and OpenBLAS asks for ever when it gets none. The limit ends single requests for more than the
    machine should ever give.
    """
    from vur.settings import settings

    if limit := settings().job_memory_mb:
        import resource

        space = address_space(limit) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (space, space))


def address_space(limit: int) -> int:
    """The MiB that a process may reserve where a job may use `limit` MiB of memory."""
    return limit + RESERVED


def main(job_id: str, attempt: int) -> int:
    """Do the attempt; 0 when it succeeded, 1 when it failed for a reason, 3 when another attempt has taken over."""
    die_with_worker()
    if hasattr(os, "nice"):
        os.nice(5)
    limit_memory()
    from vur.jobs.lifecycle import DONE, FAILED
    from vur.jobs.queue import handler, spec_of
    from vur.store.catalog import Job
    from vur.store.database import reading
    from vur.store.home import write_text

    with reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.attempt != attempt or job.state != "running":
            return LOST_CODE
        spec = spec_of(job)
    try:
        result = handler(spec.kind)(spec, Tell(spec.folder / PROGRESS))
        write_text(spec.folder / DONE, json.dumps(plain(result), ensure_ascii=False))
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
    os._exit(status)  # libraries that crash while they are torn down must not undo a success
