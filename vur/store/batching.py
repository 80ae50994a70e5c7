"""Many small pieces of work from many requests, done together by one thread of the process: one transaction instead of one each."""

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
MOST = 256  # pieces that are done at once


class Batcher(Generic[Item, Result]):
    """Takes pieces of work and hands all that wait to `work`, which ends the future of each.

    While one batch is worked on the next one gathers: batches grow with the load, and nobody waits for others without
    need. The thread begins with the first piece, and anew in a process that was forked.
    """

    def __init__(self, name: str, work: Callable[[Sequence[Pair]], None]):
        self.name, self.work = name, work
        self._starting = threading.Lock()
        self._started: tuple[int, SimpleQueue[Pair] | None] = (0, None)

    def submit(self, item: Item) -> "Future[Result]":
        """A future for what becomes of `item`."""
        return self._put(item, Future())

    async def run(self, item: Item) -> Result:
        """The same on an event loop, which is woken once for all pieces of a batch."""
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
            except BaseException as error:  # noqa: B036 - handed to those who wait for it
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            _wake([done for _, done in batch if isinstance(done, _Awaited)])


class _Awaited(Future[Any]):
    """What became of a piece that an event loop waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, awaited: "asyncio.Future[Any]"):
        super().__init__()
        self.loop, self.awaited = loop, awaited

    def settle(self) -> None:
        """Hand the outcome to who waits, on their event loop; one that has gone is passed over."""
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
        except RuntimeError:  # the loop was closed: nobody waits any more
            continue


def _settle(waiting: Sequence[_Awaited]) -> None:
    for one in waiting:
        one.settle()
