"""A worker: runs queued jobs, monitors and schedules, calls webhooks, and cleans up regularly."""

import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from vur.jobs import lifecycle, queue, ranking, schedules
from vur.jobs.kinds import concurrency
from vur.jobs.workflows import Runner, first_line
from vur.settings import settings
from vur.store import database, events
from vur.store.accounts import sessions
from vur.store.catalog import Counter, Job, now
from vur.store.data import uploads
from vur.store.home import folder, lock, write_text
from vur.store.operations import machine, retention, workers
from vur.store.webhooks import deliveries

PARKING_SECONDS, STOP_SECONDS, LOG_AGAIN_SECONDS, WATCH_SECONDS = 6.0, 9.0, 30.0, 300.0
KEPT_WORKFLOWS, KEPT_FOLDERS = timedelta(days=7), timedelta(days=30)
log = logging.getLogger("vur.jobs")


@contextmanager
def slot() -> Iterator[str]:
    """Lock the first free worker slot of this data home until the block ends; yields the worker's name.

    The name stays the same after a restart. Two workers with one name would run a job twice, so it is made of host,
    data home and slot, and protected by a lock.
    """
    import fcntl

    number, locks = 0, folder("locks")
    locks.mkdir(parents=True, exist_ok=True)
    while True:
        handle = (locks / f"worker-{number}").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            handle.close()
            number += 1
    with handle:
        yield f"{socket.gethostname()[:40]}-{_home_name()}-{number}"


def _home_name() -> str:
    path = folder("locks") / "home.txt"
    if not path.is_file():
        with lock("home"), path.open("a+", encoding="utf-8"):
            if not path.stat().st_size:
                write_text(path, secrets.token_hex(4))
    return path.read_text(encoding="utf-8")


class Pulse:
    """Finds dead workers: those whose heartbeat has not changed for a lease, by this process's own clock."""

    def __init__(self, owner: str):
        self.owner = owner
        self.seen: dict[str, tuple[int | None, float]] = {}

    def dead(self) -> set[str]:
        """Workers with a heartbeat or a job whose heartbeat has not changed for longer than a lease."""
        with database.reading() as session:
            beats = {
                key.removeprefix(workers.PREFIX): count
                for key, count in session.execute(
                    select(Counter.key, Counter.count).where(Counter.key.startswith(workers.PREFIX, autoescape=True))
                )
            }
        holders = {
            flow.executor_id
            for flow in queue.client().list_workflows(status="PENDING", load_input=False, load_output=False)
        }
        moment = time.monotonic()
        found: dict[str, tuple[int | None, float]] = {}
        for owner in (beats.keys() | {holder for holder in holders if holder is not None}) - {self.owner}:
            before = self.seen.get(owner)
            found[owner] = before if before and before[0] == beats.get(owner) else (beats.get(owner), moment)
        self.seen = found
        return {owner for owner, (_, since) in found.items() if moment - since > settings().lease_seconds}


class Worker:
    """Runs jobs and the regular duties of a worker until it is stopped."""

    def __init__(self, owner: str):
        self.owner, self.runner, self.pulse = owner, Runner(owner), Pulse(owner)
        self.stop, self.logged = threading.Event(), -math.inf
        self.duties: list[tuple[float, Callable[[], object]]] = [
            (workers.EVERY, lambda: workers.beat(owner)),
            (1.0, schedules.run_due),
            (3.0, self._reconcile),
            (600.0, self._tidy_up),
            (machine.EVERY, machine.Sampler().take),
        ]

    def run(self, once: bool = False) -> None:
        """Run until `stop` is set, or with `once` until no job is left; running jobs are re-queued."""
        queue.create_schema()
        workers.beat(self.owner)
        self.runner.launch(concurrency())
        log.info(
            "worker %s takes up to %d jobs at a time, and %d batches of forecasts beside them",
            self.owner,
            settings().job_concurrency,
            settings().batch_concurrency,
        )
        threading.Thread(target=self._monitors, daemon=True, name="monitors").start()
        threading.Thread(target=self._watch, daemon=True, name="watch").start()
        threading.Thread(target=self._webhooks, daemon=True, name="webhooks").start()
        due = dict.fromkeys(range(len(self.duties)), 0.0)
        while not self.stop.is_set():
            for number, (every, duty) in enumerate(self.duties):
                if time.monotonic() >= due[number]:
                    due[number] = time.monotonic() + every
                    self._do(duty)
            if once and not self._left():
                break
            self.stop.wait(0.5)
        self._end()

    def _do(self, duty: Callable[[], object]) -> None:
        """Run a duty; its errors are logged and do not stop the worker."""
        try:
            duty()
            self.logged = -math.inf
        except OperationalError as error:
            if time.monotonic() - self.logged > LOG_AGAIN_SECONDS:
                self.logged = time.monotonic()
                log.error("worker %s cannot reach the catalog: %s", self.owner, first_line(error))
        except Exception:
            log.exception("worker %s: a duty failed", self.owner)

    def _reconcile(self) -> None:
        for job_id in queue.reconcile(self.pulse.dead()):
            log.warning("job %s of a dead worker was re-queued", job_id)

    def _tidy_up(self) -> None:
        from vur.predictions.actuals import score_in_background

        with database.writing() as session:
            events.prune(session)
            sessions.prune(session)
            deliveries.cancel_left(session)
        uploads.sweep(on_new_rows=score_in_background)
        queue.forget(now() - KEPT_WORKFLOWS)
        lifecycle.forget(now() - KEPT_FOLDERS)
        retention.sweep()
        ranking.give_up_waiting()

    def _left(self) -> bool:
        with database.reading() as session:
            return bool(session.scalar(select(func.count()).select_from(Job).where(Job.state.in_(queue.ACTIVE))))

    def _monitors(self) -> None:
        """Run the monitors that are due, in a thread of their own."""
        while not self.stop.wait(1.0):
            try:
                from vur.jobs.monitors import run_due_monitors

                run_due_monitors(self.owner)
            except OperationalError as error:
                log.error("worker %s: monitors: %s", self.owner, first_line(error))
                self.stop.wait(10.0)
            except Exception:
                log.exception("worker %s: monitors", self.owner)
                self.stop.wait(10.0)

    def _webhooks(self) -> None:
        """Call the webhooks that are due, in a thread of its own."""
        from vur.jobs.webhooks import Deliveries

        calls = Deliveries(self.owner)
        while not self.stop.wait(0.5):
            try:
                calls.start_due()
            except OperationalError as error:
                log.error("worker %s: webhooks: %s", self.owner, first_line(error))
                self.stop.wait(5.0)
            except Exception:
                log.exception("worker %s: webhooks", self.owner)
                self.stop.wait(10.0)

    def _watch(self) -> None:
        """Judge champions and sources, in a thread of its own, because comparing their data takes a while."""
        from vur.jobs.watch import watch

        while not self.stop.wait(WATCH_SECONDS):
            self._do(watch)

    def _end(self) -> None:
        """Stop taking jobs, and re-queue the running ones, so that another worker resumes them at once."""
        from dbos import DBOS

        self.stop.set()
        self.runner.stopping.set()
        deadline = time.monotonic() + PARKING_SECONDS
        while self.runner.running and time.monotonic() < deadline:
            time.sleep(0.05)
        halt = threading.Thread(target=DBOS.destroy, daemon=True)
        halt.start()
        halt.join(max(deadline - time.monotonic(), 1.0))
        for job_id in self.runner.parked:
            self._do(partial(queue.resume, job_id))
        self._do(lambda: workers.remove(self.owner))
        log.info("worker %s ended; %d jobs were re-queued", self.owner, len(self.runner.parked))


def run_worker(once: bool = False) -> None:
    """Run a worker in this process until SIGTERM or Ctrl-C, or with `once` until no job is left."""
    import signal

    with slot() as owner:
        worker = Worker(owner)

        def ask_to_stop(number: int, frame: object) -> None:
            worker.stop.set()
            # If something hangs, exit anyway: running jobs die with this process and are resumed by another worker.
            timer = threading.Timer(STOP_SECONDS, os._exit, (1,))
            timer.daemon = True
            timer.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask_to_stop)
        worker.run(once)
