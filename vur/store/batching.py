"""Micro-batching: requests queued while a batch runs are committed in one transaction."""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Pair = tuple[Item, "Future[Result]"]
MOST = 256  # items of a batch


class Batcher(Generic[Item, Result]):
    """Queues items and calls `work` with all that are queued, in one thread; `work` completes the future of each.

    Items queue while a batch runs, so batches grow with the load and an idle batcher adds no delay. The thread starts
    with the first item, and again in a forked process.
    """

    def __init__(self, name: str, work: Callable[[Sequence[Pair]], None]):
        self.name, self.work = name, work
        self._starting = threading.Lock()
        self._started: tuple[int, SimpleQueue[Pair] | None] = (0, None)

    def submit(self, item: Item) -> "Future[Result]":
        """Queue `item`; the future of its result."""
        return self._put(item, Future())

    async def run(self, item: Item) -> Result:
        """Queue `item` and await its result; the event loop is woken once for each batch."""
        loop = asyncio.get_running_loop()
        awaited = loop.create_future()
        self._put(item, _Awaited(loop, awaited))
        return await awaited

    def _put(self, item: Item, done: "Future[Result]") -> "Future[Result]":
        pid, waiting = self._started
        if waiting is None or pid != os.getpid():
            waiting = self._start()
        waiting.put((item, done))
        return done

    def _start(self) -> "SimpleQueue[Pair]":
        with self._starting:
            pid, waiting = self._started
            if waiting is None or pid != os.getpid():
                waiting = SimpleQueue()
                self._started = (os.getpid(), waiting)
                threading.Thread(target=self._run, args=(waiting,), daemon=True, name=self.name).start()
        return waiting

    def _run(self, waiting: "SimpleQueue[Pair]") -> None:
        while True:
            batch = [waiting.get()]
            while len(batch) < MOST:
                try:
                    batch.append(waiting.get_nowait())
                except Empty:
                    break
            try:
                self.work(batch)
            except BaseException as error:  # noqa: B036 - raised where the results are awaited
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            _wake([done for _, done in batch if isinstance(done, _Awaited)])


class _Awaited(Future[Any]):
    """The future of an item that an event loop awaits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, awaited: "asyncio.Future[Any]"):
        super().__init__()
        self.loop, self.awaited = loop, awaited

    def settle(self) -> None:
        """Pass the result to the awaiting task, on its event loop; a cancelled one is skipped."""
        if self.awaited.cancelled():
            return
        if (error := self.exception(0)) is not None:
            self.awaited.set_exception(error)
        else:
            self.awaited.set_result(self.result(0))


def _wake(waiting: Sequence[_Awaited]) -> None:
    for loop in {one.loop for one in waiting}:
        mine = [one for one in waiting if one.loop is loop]
        try:
            loop.call_soon_threadsafe(_settle, mine)
        except RuntimeError:  # the loop is closed: nothing awaits the results
            continue


def _settle(waiting: Sequence[_Awaited]) -> None:
    for one in waiting:
        one.settle()
