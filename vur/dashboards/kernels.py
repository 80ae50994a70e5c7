"""The kernels of the pages: whose they are, how many there may be, and the pool of those that wait for a visitor."""

import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import psutil
from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.ioloop import IOLoop

from vur.dashboards.login import PageAuthorizer
from vur.settings import settings

VISITOR: ContextVar[str | None] = ContextVar("visitor", default=None)
# What a kernel inherits of the server's environment, which may hold passwords and keys.
INHERITED = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
INHERITED_STARTS = ("LC_", "VOILA_", "JUPYTER_")
CONNECT_SECONDS = 20.0
LEFT_SECONDS = 10.0  # from a browser's good-bye to the end of its kernel, unless it comes back
LOST_SECONDS = 60.0  # the same after a lost connection, such as a crash or a dead spot
LEAKED = ("VOILA_REQUEST_URL",)  # would be the previous visitor's


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a kernel: nothing secret, and nothing of another visitor."""
    from vur.dashboards.page import service_url

    kept = {
        name: value
        for name, value in given.items()
        if (name in INHERITED or name.startswith(INHERITED_STARTS)) and name not in LEAKED
    }
    return kept | {"VUR_SERVICE_URL": service_url().removesuffix("/api/v1"), "OMP_NUM_THREADS": "1"}


class Kernels(AsyncMappingKernelManager):
    """Kernels with an owner: the visitor whose page they draw; none while they wait in the pool."""

    async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]
        """Start a kernel with a clean environment."""
        given = options.get("env") or dict(os.environ)
        waiting = given.get("VOILA_PREHEAT") == "True"
        visitor = VISITOR.get()
        options["env"] = environment(given)
        kernel_id = await super().start_kernel(**options)
        self.started_at[kernel_id] = time.monotonic()
        if visitor is not None and not waiting:
            PageAuthorizer.owners[kernel_id] = visitor
            self.visited_at[kernel_id] = time.monotonic()
        return kernel_id

    async def shutdown_kernel(self, kernel_id: str, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """Shut a kernel down and forget its owner."""
        PageAuthorizer.owners.pop(kernel_id, None)
        self.started_at.pop(kernel_id, None)
        self.visited_at.pop(kernel_id, None)
        return await super().shutdown_kernel(kernel_id, *arguments, **options)

    def left(self, kernel_id: str, said: bool) -> None:
        """End a page's kernel soon after its browser has gone, `said` with a good-bye, unless it comes back."""
        IOLoop.current().call_later(LEFT_SECONDS if said else LOST_SECONDS, self._end_left, kernel_id)

    async def _end_left(self, kernel_id: str) -> None:
        if kernel_id in PageAuthorizer.owners and kernel_id in self and not self.watchers(kernel_id):
            await self.shutdown_kernel(kernel_id)

    def watchers(self, kernel_id: str) -> int:
        """How many browsers are connected to a kernel."""
        return int(self._kernel_connections.get(kernel_id, 0))

    @property
    def visited_at(self) -> dict[str, float]:
        """When each page's kernel got its visitor, on the monotonic clock."""
        return self.__dict__.setdefault("_vur_visited", {})

    @property
    def started_at(self) -> dict[str, float]:
        """When each kernel was started, on the monotonic clock."""
        return self.__dict__.setdefault("_vur_started", {})


def give_to_visitor(manager: Any) -> None:
    """Repair what Voilà does when it takes a kernel from the pool.

    The visitor becomes its owner before the browser connects; the culler is told that it is in use; and the address of
    this visitor is not passed on to the kernel that takes its place in the pool.
    """
    original = manager.get_rendered_notebook

    async def take(*arguments: Any, **options: Any) -> Any:
        options.pop("extra_kernel_env_variables", None)
        taken = await original(*arguments, **options)
        kernel_id = taken[2]
        if (visitor := VISITOR.get()) is not None:
            PageAuthorizer.owners[kernel_id] = visitor
            manager.visited_at[kernel_id] = time.monotonic()
        manager.get_kernel(kernel_id).last_activity = utcnow()
        return taken

    manager.get_rendered_notebook = take


def visited(manager: Any) -> list[str]:
    """The kernels that draw a page for somebody."""
    owners = PageAuthorizer.owners
    for lost in [kernel_id for kernel_id in owners if kernel_id not in manager]:
        owners.pop(lost)
    return list(owners)


def waiting(manager: Any) -> dict[str, list[str]]:
    """The kernels in the pool, by the name of the notebook."""
    return {
        name: [task.result()["kernel_id"] for task in pool if task.done() and not task.exception()]
        for name, pool in getattr(manager, "_pools", {}).items()
    }


async def end_unwatched(manager: Any, user_id: str | None = None) -> int:
    """End the kernels, of one user or of all, whose browser is gone without a word, such as after a crash; how many.

    A page that has just been sent gets `CONNECT_SECONDS` to connect.
    """
    now, ended = time.monotonic(), 0
    for kernel_id in visited(manager):
        fresh = now - manager.visited_at.get(kernel_id, 0) < CONNECT_SECONDS
        owner = PageAuthorizer.owners.get(kernel_id)
        if user_id in (None, owner) and not fresh and not manager.watchers(kernel_id):
            await manager.shutdown_kernel(kernel_id)
            ended += 1
    return ended


def full(manager: Any, user_id: str) -> str:
    """Why a user may open no more page: `crowded` by his own, `full` by everybody's; empty if he may."""
    chosen, open_pages = settings(), visited(manager)
    own = sum(PageAuthorizer.owners[kernel_id] == user_id for kernel_id in open_pages)
    if own >= chosen.dashboard_kernels_per_user:
        return "crowded"
    return "full" if len(open_pages) >= chosen.dashboard_kernels else ""


def memory_of(manager: Any, kernel_id: str) -> int:
    """Resident memory of a kernel in bytes; 0 if it has ended."""
    try:
        return psutil.Process(manager.get_kernel(kernel_id).provisioner.process.pid).memory_info().rss
    except (psutil.Error, AttributeError, KeyError):
        return 0


async def recycle(manager: Any) -> int:
    """Replace the kernels of the pool that are too old or too large; how many."""
    chosen, replaced = settings(), 0
    for name, kernel_ids in waiting(manager).items():
        for kernel_id in kernel_ids:
            age = time.monotonic() - manager.started_at.get(kernel_id, time.monotonic())
            too_old = age > chosen.dashboard_pool_minutes * 60
            if too_old or memory_of(manager, kernel_id) > chosen.dashboard_pool_mb * 2**20:
                await manager.shutdown_kernel(kernel_id)
                manager.fill_if_needed(delay=0, notebook_name=name)
                replaced += 1
    return replaced
