"""The durable workflow of a job, run by a worker: claim the job, run it in a child process, watch it, end it once.

DBOS gives each workflow to one worker, and to another one if that worker dies. All state is in the catalog and in the
attempt's folder, so the workflow can restart from its beginning at any time.
"""

import logging
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from vur.jobs import lifecycle
from vur.jobs.child import LOST_CODE, PROGRESS, address_space
from vur.jobs.kinds import BATCHES, memory_limit, queue_of
from vur.jobs.lifecycle import DONE, FAILED, line
from vur.jobs.messages import error_of
from vur.jobs.processes import Child, clear_leftovers, memory
from vur.jobs.queue import APPLICATION, SCHEMA, VERSION, WORKFLOW, queue_engine, serializer
from vur.jobs.spec import JobSpec
from vur.runs.progress import Follower
from vur.store.catalog import JobLog, User
from vur.store.database import reading
from vur.store.full_disk import disk_error
from vur.store.home import folder
from vur.text import DEFAULT_LANGUAGE

POLL_SECONDS, BEAT_SECONDS, MEASURE_SECONDS = 0.3, 2.0, 0.9
# A process with less than this address space left for this long is stuck waiting for memory.
FULL_MB, STUCK_SECONDS = 80, 30.0
DATABASE_PATIENCE = 300.0  # seconds without the catalog after which a running job is abandoned
OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|cannot allocate memory|failed to map segment|unable to allocate|can't start new thread"
    r"|pthread_create failed|ResourceExhausted|OOM when allocating|out of memory",
    re.IGNORECASE,
)
DISK_FULL = re.compile(r"no space left on device|disk is full|disk quota exceeded", re.IGNORECASE)
EPOCHS = ("networks.progress.epoch", "networks.progress.epoch_only")
KERNEL = ("runs.kernel", "runs.crashed")
log = logging.getLogger("vur.jobs")


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    `succeeded, failed, cancelled, crashed, lost` (to another worker) or `interrupted` (this worker is stopping).
    """

    state: str
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Runner:
    """Runs the jobs of this worker in DBOS's threads until it is stopped."""

    def __init__(self, owner: str):
        self.owner, self.stopping = owner, threading.Event()
        self.running: set[str] = set()
        self.parked: set[str] = set()

    def launch(self, concurrency: dict[str, int]) -> None:
        """Start DBOS in this process, with so many jobs of each queue at a time.

        Unfinished jobs of an earlier worker with the same name run first.
        """
        from dbos import DBOS

        DBOS(
            config={
                "name": APPLICATION,
                "system_database_engine": queue_engine(),
                "dbos_system_schema": SCHEMA,
                "serializer": serializer(),
                "executor_id": self.owner,
                "application_version": VERSION,
                "enable_otlp": False,
                "log_level": "ERROR",
                "use_listen_notify": False,
                "run_migrations": False,
                "max_executor_threads": 4 * sum(concurrency.values()) + 16,
            }
        )
        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=1_000_000)(self._workflow())
        DBOS.launch()
        for queue, most in concurrency.items():
            DBOS.register_queue(queue, worker_concurrency=most, polling_interval_sec=0.5, on_conflict="always_update")

    def _workflow(self) -> Callable[[str], str]:
        def job(job_id: str) -> str:
            return self.perform(job_id)

        return job

    def perform(self, job_id: str) -> str:
        """Run a job to its end, in as many attempts as that takes."""
        self.running.add(job_id)
        try:
            while not self.stopping.is_set():
                spec = self._claim(job_id)
                if spec is None:
                    return "ended"
                try:
                    outcome = self._attempt(spec)
                except OSError as error:  # for instance a full disk
                    outcome = Outcome("failed", error=error_of(error))
                if outcome.state == "interrupted":
                    lifecycle.requeue(spec, self.owner)
                elif outcome.state == "crashed" and _retrying(lifecycle.crashed, spec, self.owner, outcome.error):
                    continue
                elif outcome.state not in ("crashed", "lost"):
                    _retrying(
                        lifecycle.end, spec, self.owner, outcome.state, result=outcome.result, error=outcome.error
                    )
                    lifecycle.clear_attempts(spec)
                if outcome.state != "interrupted":
                    return outcome.state
            self._park(job_id)
        finally:
            self.running.discard(job_id)

    def _park(self, job_id: str) -> NoReturn:
        """Block the workflow until this process exits: if it returned, DBOS would record it as successful."""
        self.parked.add(job_id)
        self.running.discard(job_id)
        while True:
            threading.Event().wait()

    def _claim(self, job_id: str) -> JobSpec | None:
        leftovers = clear_leftovers(job_id, folder("jobs", job_id))
        if leftovers:
            log.warning("job %s: killed %d processes of an attempt whose worker died", job_id, leftovers)
        return _retrying(lifecycle.claim, job_id, self.owner)

    def _attempt(self, spec: JobSpec) -> Outcome:
        if lifecycle.ended(spec.folder):
            return _without_advice(_outcome(spec))
        log.info("job %s (%s): attempt %d", spec.id, spec.kind, spec.attempt)
        child = Child(spec)
        try:
            state = Watch(spec, self.owner, child, self.stopping).until_end()
        finally:
            child.finish()
        return _no_memory(spec.kind) if state == "memory" else Outcome(state) if state else judge(spec, child)


class Watch:
    """Watches a child: relays its progress, renews the lease, and notices a cancellation, a lost lease or a stop."""

    def __init__(self, spec: JobSpec, owner: str, child: Child, stopping: threading.Event):
        self.spec, self.owner, self.child, self.stopping = spec, owner, child, stopping
        self.follower, self.written, self.lines = Follower(spec.folder / PROGRESS), set[str](), 0
        self.stage = self.epoch = ""
        self.limit = memory_limit(spec.kind)
        self.silent = self.blind = self.unmeasured = self.stuck = 0.0
        with reading() as session:
            self.language = session.scalar(select(User.language).where(User.id == spec.owner_id)) or DEFAULT_LANGUAGE

    def until_end(self) -> str:
        """Watch until the child exits, and return an empty string; else `cancelled, lost, interrupted` or `memory`."""
        self._report({"pid": self.child.process.pid, "process_group": self.child.process.pid}, [])
        while self.child.wait(POLL_SECONDS) is None:
            if self.stopping.is_set():
                return "interrupted"
            if self.limit and self._too_much(self.limit):
                return "memory"
            if (state := self._look()) != "on":
                return {"cancel": "cancelled"}.get(state, state)
        self._look()
        return ""

    def _too_much(self, limit: int) -> bool:
        """Whether the job uses more than `limit` MiB, or one of its processes is stuck without address space."""
        self.unmeasured += POLL_SECONDS
        if self.unmeasured < MEASURE_SECONDS:
            return False
        found = memory(self.child.process.pid)
        self.stuck = self.stuck + self.unmeasured if found.largest > address_space(limit) - FULL_MB else 0.0
        self.unmeasured = 0.0
        return found.used > limit or self.stuck > STUCK_SECONDS

    def _look(self) -> str:
        """Relay new progress, and renew the lease if there has been none for a while."""
        changes, lines = self._news()
        self.silent += POLL_SECONDS
        if changes or lines or self.silent >= BEAT_SECONDS:
            return self._report(changes, lines)
        return self._ask(lifecycle.lease_state, self.spec, self.owner)

    def _report(self, changes: dict[str, Any], lines: list[JobLog]) -> str:
        self.silent = 0.0
        return self._ask(lifecycle.report, self.spec, self.owner, changes, lines, self.language)

    def _ask(self, request: Callable[..., str], *arguments: Any) -> str:
        """The catalog's answer; `on` while the catalog cannot be reached, `lost` after `DATABASE_PATIENCE`."""
        try:
            state = request(*arguments)
        except OperationalError as error:
            if not self.blind:
                log.error("job %s continues without the catalog: %s", self.spec.id, first_line(error))
            self.blind += POLL_SECONDS
            return "on" if self.blind < DATABASE_PATIENCE else "lost"
        self.blind = 0.0
        return state

    def _news(self) -> tuple[dict[str, Any], list[JobLog]]:
        """The changed columns and the new log lines, from the progress since the last call."""
        changes: dict[str, Any] = {}
        lines: list[JobLog] = []
        for event in self.follower.new_events():
            data = event["data"]
            changes |= {"progress": event["fraction"], "stage": event["stage"][:32], "eta_seconds": event["eta"]}
            changes |= {"best": data["best"]} if data.get("best") else {}
            changes |= (
                {"epochs": {key: data.get(key) for key in ("algorithm", "epoch", "epochs", "loss", "val_loss")}}
                if data.get("epochs")
                else {}
            )
            lines += self._lines(event)
        return changes, lines

    def _lines(self, event: dict[str, Any]) -> list[JobLog]:
        """The log lines of an event: its text, else its stage if that is new, and the epoch of a network.

        No line comes twice, but for epochs, of which there is one of each number in each fold and combination; they
        fill at most half of the log.
        """
        data, stage, text = event["data"], event["stage"], event["text"]
        keys = [text] if text else [f"stage.{stage}"] if stage != self.stage else []
        if data.get("epochs") and text not in EPOCHS:
            keys.append(EPOCHS[data.get("val_loss") is None])
        found, self.stage = [], stage
        for key in keys:
            entry = line(self.spec.id, self.spec.attempt, key, data)
            known = entry.text == self.epoch if key in EPOCHS else entry.text in self.written
            if known or self.lines >= lifecycle.MOST_LINES // (2 if key in EPOCHS else 1):
                continue
            found.append(entry)
            self.lines += 1
            if key in EPOCHS:
                self.epoch = entry.text
            else:
                self.written.add(entry.text)
        return found


def judge(spec: JobSpec, child: Child) -> Outcome:
    """The outcome of an attempt whose child has exited, from its exit status and its files."""
    code, tail = child.code, child.tail(200)
    assert code is not None, "the child still runs"
    if code == LOST_CODE:
        return Outcome("lost")
    if code == 0 and (spec.folder / DONE).is_file() or code == 1 and (spec.folder / FAILED).is_file():
        outcome = _outcome(spec)
    else:
        reason = tail[-1][-300:] if tail else "-"
        outcome = Outcome(
            "crashed",
            error={"code": "jobs.killed", "stage": "", "data": {"signal": _signal(-code)}}
            if code < 0
            else {"code": "jobs.ended", "stage": "", "data": {"status": code, "reason": reason}},
        )
    return _for_memory(spec.kind, outcome, tail)


def _for_memory(kind: str, outcome: Outcome, tail: list[str]) -> Outcome:
    """The outcome; a failure for lack of memory or disk if the output shows it, because a retry would not help."""
    error = outcome.error
    if error is None:
        return outcome
    message = f"{error['data'].get('kind', '')} {error['data'].get('reason', '')}"
    silent = outcome.state == "crashed" or error["code"] == "runs.kernel"
    if DISK_FULL.search(message) or silent and DISK_FULL.search("\n".join(tail)):
        return Outcome("failed", error=error_of(disk_error()))
    if OUT_OF_MEMORY.search(message) or silent and OUT_OF_MEMORY.search("\n".join(tail)):
        return _no_memory(kind, error["stage"])
    return _without_advice(outcome)


def _no_memory(kind: str, stage: str = "") -> Outcome:
    """The failure of a job of `kind` that exceeded its memory limit, or the machine's memory."""
    limit = memory_limit(kind)
    limited = "jobs.batch_memory" if queue_of(kind) == BATCHES else "jobs.memory"
    return Outcome(
        "failed", error={"code": limited if limit else "jobs.no_memory", "stage": stage, "data": {"limit": limit}}
    )


def _without_advice(outcome: Outcome) -> Outcome:
    """The outcome without the advice for users of the command line that a run's error contains."""
    error = outcome.error
    if error is None or error["code"] not in KERNEL:
        return outcome
    return Outcome(outcome.state, error=error | {"code": error["code"].replace("runs.", "jobs.")})


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _outcome(spec: JobSpec) -> Outcome:
    """The outcome that an attempt wrote to its folder."""
    import json

    if (spec.folder / DONE).is_file():
        return Outcome("succeeded", json.loads((spec.folder / DONE).read_text(encoding="utf-8")))
    return Outcome("failed", error=json.loads((spec.folder / FAILED).read_text(encoding="utf-8")))


def first_line(error: OperationalError) -> str:
    """The driver's message, without the SQL statement."""
    return str(error.orig).strip().splitlines()[0]


def _retrying(change: Any, *arguments: Any, **more: Any) -> Any:
    """Call `change(...)`, and retry while the catalog cannot be reached, so that no outcome is lost by a restart."""
    waited = 0.0
    while True:
        try:
            return change(*arguments, **more)
        except OperationalError as error:
            if waited >= DATABASE_PATIENCE:
                raise
            if not waited:
                log.error("the catalog cannot be reached, retrying: %s", first_line(error))
            threading.Event().wait(1.0)
            waited += 1.0
