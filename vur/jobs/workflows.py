"""The durable workflow of a job, as a worker runs it: take the job up, let a child do it, watch, end it once.

DBOS hands each workflow to one worker and hands it out again when that worker died. What has been done is in the
catalog and in the folder of the attempt, so the workflow may begin anew at any moment.
"""

import logging
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from vur.jobs import lifecycle
from vur.jobs.child import LOST_CODE, PROGRESS, address_space, error_of
from vur.jobs.lifecycle import DONE, FAILED, line
from vur.jobs.processes import Child, clear_leftovers, memory
from vur.jobs.queue import APPLICATION, QUEUE, SCHEMA, VERSION, WORKFLOW, JobSpec, queue_engine, serializer
from vur.runs.progress import Follower
from vur.settings import settings
from vur.store.catalog import JobLog, User
from vur.store.database import reading
from vur.store.home import folder
from vur.text import DEFAULT_LANGUAGE

POLL_SECONDS, BEAT_SECONDS, MEASURE_SECONDS = 0.3, 2.0, 0.9
FULL_MB, STUCK_SECONDS = (
    80,
    30.0,
)  # a process that has so little address space left for so long waits for memory in vain
DATABASE_PATIENCE = 300.0  # seconds without the catalog before a running job is given up
OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|cannot allocate memory|failed to map segment|unable to allocate|can't start new thread"
    r"|pthread_create failed|ResourceExhausted|OOM when allocating|out of memory",
    re.IGNORECASE,
)
KERNEL = ("runs.kernel", "runs.crashed")
log = logging.getLogger("vur.jobs")


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: `succeeded, failed, cancelled, crashed, lost` (to another worker) or `interrupted` (by a stop of this one)."""

    state: str
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Runner:
    """What this worker has in hand: runs jobs one after the other in DBOS's threads, until it is told to stop."""

    def __init__(self, owner: str):
        self.owner, self.stopping = owner, threading.Event()
        self.running: set[str] = set()
        self.parked: set[str] = set()

    def launch(self, concurrency: int) -> None:
        """Start DBOS in this process: from now on jobs come in, and those that this worker left behind come back first."""
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
                "max_executor_threads": 4 * concurrency + 16,
            }
        )
        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=1_000_000)(self._workflow())
        DBOS.launch()
        DBOS.register_queue(
            QUEUE, worker_concurrency=concurrency, polling_interval_sec=0.5, on_conflict="always_update"
        )

    def _workflow(self) -> Callable[[str], str]:
        def job(job_id: str) -> str:
            return self.perform(job_id)

        return job

    def perform(self, job_id: str) -> str:
        """Do a job to its end, whatever number of attempts that takes."""
        self.running.add(job_id)
        try:
            while not self.stopping.is_set():
                spec = self._claim(job_id)
                if spec is None:
                    return "ended"
                try:
                    outcome = self._attempt(spec)
                except OSError as error:  # such as a disk that is full
                    outcome = Outcome("failed", error=error_of(error))
                if outcome.state == "interrupted":
                    lifecycle.give_back(spec, self.owner)
                elif outcome.state == "crashed" and _patiently(lifecycle.crashed, spec, self.owner, outcome.error):
                    continue
                elif outcome.state not in ("crashed", "lost"):
                    _patiently(
                        lifecycle.end, spec, self.owner, outcome.state, result=outcome.result, error=outcome.error
                    )
                    lifecycle.clear_attempts(spec)
                if outcome.state != "interrupted":
                    return outcome.state
            self._park(job_id)
        finally:
            self.running.discard(job_id)

    def _park(self, job_id: str) -> None:
        """Hold the workflow where it is until this process ends: returning would count as its success."""
        self.parked.add(job_id)
        self.running.discard(job_id)
        threading.Event().wait()

    def _claim(self, job_id: str) -> JobSpec | None:
        leftovers = clear_leftovers(job_id, folder("jobs", job_id))
        if leftovers:
            log.warning("job %s: ended %d processes of an attempt whose worker died", job_id, leftovers)
        return _patiently(lifecycle.claim, job_id, self.owner)

    def _attempt(self, spec: JobSpec) -> Outcome:
        if lifecycle.ended(spec.folder):
            return _plainly(_ending(spec))
        log.info("job %s (%s): attempt %d", spec.id, spec.kind, spec.attempt)
        child = Child(spec)
        try:
            state = Watch(spec, self.owner, child, self.stopping).until_end()
        finally:
            child.finish()
        return _no_memory() if state == "memory" else Outcome(state) if state else judge(spec, child)


class Watch:
    """Looks after a child while it works: relays what it tells, keeps the lease, hears of a cancellation, a loss or a stop."""

    def __init__(self, spec: JobSpec, owner: str, child: Child, stopping: threading.Event):
        self.spec, self.owner, self.child, self.stopping = spec, owner, child, stopping
        self.follower, self.said, self.lines = Follower(spec.folder / PROGRESS), ("", ""), 0
        self.silent = self.blind = self.unmeasured = self.stuck = 0.0
        with reading() as session:
            self.language = session.scalar(select(User.language).where(User.id == spec.owner_id)) or DEFAULT_LANGUAGE

    def until_end(self) -> str:
        """Empty when the child came to its end, else `cancelled, lost, interrupted` or `memory`."""
        self._report({"pid": self.child.process.pid, "process_group": self.child.process.pid}, [])
        while self.child.wait(POLL_SECONDS) is None:
            if self.stopping.is_set():
                return "interrupted"
            if settings().job_memory_mb and self._too_much(settings().job_memory_mb):
                return "memory"
            if (state := self._look()) != "on":
                return {"cancel": "cancelled"}.get(state, state)
        self._look()
        return ""

    def _too_much(self, limit: int) -> bool:
        """Whether the job holds more than `limit` MiB, or one of its processes has long had no address space left."""
        self.unmeasured += POLL_SECONDS
        if self.unmeasured < MEASURE_SECONDS:
            return False
        found = memory(self.child.process.pid)
        self.stuck = self.stuck + self.unmeasured if found.largest > address_space(limit) - FULL_MB else 0.0
        self.unmeasured = 0.0
        return found.used > limit or self.stuck > STUCK_SECONDS

    def _look(self) -> str:
        """Relay what is new, at most once a poll, and prolong the lease in silence."""
        changes, lines = self._news()
        self.silent += POLL_SECONDS
        if changes or lines or self.silent >= BEAT_SECONDS:
            return self._report(changes, lines)
        return self._ask(lifecycle.asked, self.spec, self.owner)

    def _report(self, changes: dict[str, Any], lines: list[JobLog]) -> str:
        self.silent = 0.0
        return self._ask(lifecycle.report, self.spec, self.owner, changes, lines, self.language)

    def _ask(self, question: Any, *arguments: Any) -> str:
        """The catalog's answer; `on` while it cannot be reached, `lost` when that takes too long."""
        try:
            state = question(*arguments)
        except OperationalError as error:
            if not self.blind:
                log.error("job %s goes on without the catalog: %s", self.spec.id, first_line(error))
            self.blind += POLL_SECONDS
            return "on" if self.blind < DATABASE_PATIENCE else "lost"
        self.blind = 0.0
        return state

    def _news(self) -> tuple[dict[str, Any], list[JobLog]]:
        """Columns that changed and new lines of the log, from what the child told since the last look."""
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
            entry = self._line(event)
            lines += [entry] if entry is not None else []
        return changes, lines

    def _line(self, event: dict[str, Any]) -> JobLog | None:
        """A line for each new stage and each text that is new; epochs are told by their numbers."""
        numbers = {key: value for key, value in event["data"].items() if key not in ("best", "loss", "val_loss")}
        said = (event["stage"], event["text"] and f"{event['text']} {numbers}")
        if (
            said == self.said
            or not (event["text"] or event["stage"] != self.said[0])
            or self.lines >= lifecycle.MOST_LINES
        ):
            return None
        self.said, self.lines = said, self.lines + 1
        return line(self.spec.id, self.spec.attempt, event["text"] or f"stage.{event['stage']}", event["data"])


def judge(spec: JobSpec, child: Child) -> Outcome:
    """How the child ended, by its exit status and by what it left last."""
    code, tail = child.code, child.tail(200)
    if code == LOST_CODE:
        return Outcome("lost")
    if code == 0 and (spec.folder / DONE).is_file() or code == 1 and (spec.folder / FAILED).is_file():
        outcome = _ending(spec)
    else:
        reason = tail[-1][-300:] if tail else "-"
        outcome = Outcome(
            "crashed",
            error={"code": "jobs.killed", "stage": "", "data": {"signal": _signal(-code)}}
            if code < 0
            else {"code": "jobs.ended", "stage": "", "data": {"status": code, "reason": reason}},
        )
    return _for_memory(outcome, tail)


def _for_memory(outcome: Outcome, tail: list[str]) -> Outcome:
    """The same outcome, or a failure for lack of memory where everything speaks for it: trying again would not help."""
    error = outcome.error
    if error is None:
        return outcome
    said = f"{error['data'].get('kind', '')} {error['data'].get('reason', '')}"
    silent = outcome.state == "crashed" or error["code"] == "runs.kernel"
    if OUT_OF_MEMORY.search(said) or silent and OUT_OF_MEMORY.search("\n".join(tail)):
        return _no_memory(error["stage"])
    return _plainly(outcome)


def _no_memory(stage: str = "") -> Outcome:
    """The failure of a job that needed more memory than it may use, or than there is."""
    limit = settings().job_memory_mb
    return Outcome(
        "failed", error={"code": "jobs.memory" if limit else "jobs.no_memory", "stage": stage, "data": {"limit": limit}}
    )


def _plainly(outcome: Outcome) -> Outcome:
    """The same outcome without the advice that a run gives to users of the command line."""
    error = outcome.error
    if error is None or error["code"] not in KERNEL:
        return outcome
    return Outcome(outcome.state, error=error | {"code": error["code"].replace("runs.", "jobs.")})


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _ending(spec: JobSpec) -> Outcome:
    """What an attempt left as the last thing it did."""
    import json

    if (spec.folder / DONE).is_file():
        return Outcome("succeeded", json.loads((spec.folder / DONE).read_text(encoding="utf-8")))
    return Outcome("failed", error=json.loads((spec.folder / FAILED).read_text(encoding="utf-8")))


def first_line(error: OperationalError) -> str:
    """What a database that is away says, without the statement that it did not get."""
    return str(error.orig).strip().splitlines()[0]


def _patiently(move: Any, *arguments: Any, **more: Any) -> Any:
    """`move(...)`, again and again while the catalog cannot be reached: what a job came to must not be lost to a restart of the database."""
    waited = 0.0
    while True:
        try:
            return move(*arguments, **more)
        except OperationalError as error:
            if waited >= DATABASE_PATIENCE:
                raise
            if not waited:
                log.error("no catalog, trying again: %s", first_line(error))
            threading.Event().wait(1.0)
            waited += 1.0
