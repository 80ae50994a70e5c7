"""The deliveries of webhooks that are due, each in a thread of its own, so that no receiver holds the others."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from vur.jobs.posting import post
from vur.settings import settings
from vur.store.database import reading, writing
from vur.store.webhooks.deliveries import Answer, Due, call_of, choose_due, drop, lease, settle

SLOTS = 24
AGAIN_SECONDS = (0.2, 1.0, 3.0, 8.0)  # pauses between attempts to reach the catalog, within the lease
log = logging.getLogger("vur.webhooks")


class Deliveries:
    """The calls that this process makes at the moment."""

    def __init__(self, worker: str):
        self.worker = worker
        self.running: dict[str, tuple[Due, threading.Thread]] = {}

    def start_due(self) -> None:
        """Start the calls that are due, as far as there is room; each worker does so every half second."""
        self.running = {id: (due, thread) for id, (due, thread) in self.running.items() if thread.is_alive()}
        free = SLOTS - len(self.running)
        now_running = [due for due, _ in self.running.values()]
        failing = SLOTS // 2 - sum(due.failing for due in now_running)
        with reading() as session:
            chosen = choose_due(session, now_running, free, failing)
        if not chosen:
            return
        with writing() as session:
            taken = lease(session, self.worker, chosen)
        for due in taken:
            # A daemon thread: a stopping worker does not wait for a receiver. When the lease ends, another one calls.
            thread = threading.Thread(target=deliver, args=(due,), daemon=True, name=f"webhook {due.id[:8]}")
            self.running[due.id] = (due, thread)
            thread.start()


def deliver(due: Due) -> None:
    """Make the call of a leased delivery, and store what came back."""
    try:
        with reading() as session:
            call = call_of(session, due)
        if call is None:
            _keep(lambda: _drop(due))
            return
        answer = (
            Answer(None, 0.0, error=call.error)
            if call.error
            else post(call.url, call.body, call.headers, settings().webhook_seconds)
        )
        state = _keep(lambda: _settle(due, answer))
        told = (due.id, due.webhook_id, state, answer.status, answer.error.code if answer.error else None)
        log.info("delivery %s of webhook %s: %s, status %s, error %s", *told)
    except Exception:  # the lease ends, and it is called again
        log.exception("delivery %s of webhook %s", due.id, due.webhook_id)


def _drop(due: Due) -> str:
    with writing() as session:
        drop(session, due)
    return "cancelled"


def _settle(due: Due, answer: Answer) -> str | None:
    with writing(durable=True) as session:
        return settle(session, due, answer)


def _keep(change: Callable[[], str | None]) -> str | None:
    """Make a change of the catalog, again after a while if it cannot be reached: each time less is called twice."""
    for seconds in AGAIN_SECONDS:
        try:
            return change()
        except DBAPIError as error:
            log.warning("the result of a webhook's call cannot be stored yet: %s", type(error).__name__)
            time.sleep(seconds)
    return change()
