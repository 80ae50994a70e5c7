"""Kernels of pages: the limit, the pool, what they inherit, and when they end."""

import asyncio
import os
import re
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from pages_site import Site, Visit, json_of, kernel_of, ready, start_site, stop_site, wait_for

from vur.dashboards import kernels
from vur.dashboards.login import PageAuthorizer
from vur.settings import settings

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SECRET = "a-password-that-no-kernel-may-see"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, chromium: object) -> Iterator[Site]:
    """A site with room for two pages, whose idle kernels end after seconds, and a pool that is renewed all the time."""
    found = start_site(
        tmp_path_factory.mktemp("small"),
        VUR_DASHBOARD_KERNELS="2",
        VUR_DASHBOARD_IDLE_SECONDS="6",
        VUR_METRICS_KEY=SECRET,
    )
    yield found
    stop_site(found)


def metric(site: Site, state: str) -> int:
    text = httpx.get(f"{site.pages}/metrics", headers={"Authorization": f"Bearer {SECRET}"}).text
    return int(float(re.search(rf'^vur_dashboard_kernels\{{state="{state}"\}} ([\d.]+)', text, re.M)[1]))


def until(condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def apart(work: Coroutine) -> object:
    """Run a coroutine in a thread of its own: the browser's client keeps a loop running in this one."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return results[0]


def processes(site: Site) -> dict[str, psutil.Process]:
    """The kernels of a site by their id."""
    found = {}
    for process in psutil.Process(site.processes.pid).children(recursive=True):
        try:
            command = " ".join(process.cmdline())
        except psutil.NoSuchProcess:  # it has just ended, and may still be listed as a zombie
            continue
        if "ipykernel" in command and (match := re.search(r"kernel-([0-9a-f-]{36})\.json", command)):
            found[match[1]] = process
    return found


def test_a_full_house_says_so(visit: Visit, small: Site) -> None:
    first, second = visit("dashboard", "ana", at=small), visit("dashboard", "bia", at=small)
    third = visit("dashboard", "vera", at=small, language="pt-BR", started=False)
    third.get_by_role("heading", name="Todos os lugares estão ocupados").wait_for()
    assert third.evaluate("async () => (await fetch('/dashboard')).status") == 503
    assert metric(small, "visited") == 2
    first.close()
    second.close()
    until(lambda: metric(small, "visited") == 0)
    third.reload()
    ready(third)


def test_a_page_that_is_looked_at_is_not_culled(visit: Visit, small: Site) -> None:
    tab = visit("dashboard", "root", at=small)
    kernel = kernel_of(tab)
    tab.wait_for_timeout(15_000)  # longer than the idle time, with the culler every six seconds
    assert json_of(tab, f"/api/kernels/{kernel}")[0] == 200


def test_a_kernel_that_waited_long_in_the_pool_survives_its_visitor(visit: Visit, small: Site) -> None:
    until(lambda: metric(small, "waiting") >= 1)
    time.sleep(9)  # older than the idle time
    tab = visit("dashboard", "root", at=small)
    assert tab.locator("[data-kind=cards]").get_attribute("data-ready") == "true"


def test_kernels_inherit_nothing_secret_and_nothing_of_the_last_visitor(visit: Visit, small: Site) -> None:
    tab = visit("dashboard", "root", at=small)
    tab.goto("/dashboard?secret=of-the-first-visitor")
    ready(tab)
    until(lambda: metric(small, "waiting") >= 1)
    kernels = processes(small)
    assert kernel_of(tab) in kernels and len(kernels) >= 2
    for process in kernels.values():
        variables = process.environ()
        assert "VOILA_REQUEST_URL" not in variables
        assert not any(SECRET in value or "of-the-first-visitor" in value for value in variables.values())


def test_old_kernels_of_the_pool_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    class Manager:
        def __init__(self) -> None:
            self.started_at = {"old": time.monotonic() - 3600, "new": time.monotonic()}
            self._pools = {"dashboard.ipynb": [self._task("old"), self._task("new")]}
            self.ended, self.filled = [], []

        @staticmethod
        def _task(name: str) -> asyncio.Future:
            future: asyncio.Future = asyncio.get_event_loop().create_future()
            future.set_result({"kernel_id": name})
            return future

        async def shutdown_kernel(self, kernel_id: str) -> None:
            self.ended.append(kernel_id)

        def fill_if_needed(self, delay: float, notebook_name: str) -> None:
            self.filled.append(notebook_name)

        def get_kernel(self, kernel_id: str) -> object:
            raise KeyError(kernel_id)

    async def run() -> Manager:
        manager = Manager()
        assert await kernels.recycle(manager) == 1
        return manager

    monkeypatch.setenv("VUR_DASHBOARD_POOL_MINUTES", "30")
    settings.cache_clear()
    manager = apart(run())
    settings.cache_clear()
    assert manager.ended == ["old"] and manager.filled == ["dashboard.ipynb"]


def test_large_kernels_of_the_pool_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    class Manager:
        started_at: dict[str, float] = {}

        async def shutdown_kernel(self, kernel_id: str) -> None:
            self.ended = kernel_id

        def fill_if_needed(self, delay: float, notebook_name: str) -> None:
            self.filled = notebook_name

        def get_kernel(self, kernel_id: str) -> object:
            provisioner = type("P", (), {"process": type("Q", (), {"pid": os.getpid()})})
            return type("K", (), {"provisioner": provisioner})

    async def run() -> Manager:
        future = asyncio.get_running_loop().create_future()
        future.set_result({"kernel_id": "large"})
        manager = Manager()
        manager._pools = {"data.ipynb": [future]}
        assert await kernels.recycle(manager) == 1
        return manager

    monkeypatch.setenv("VUR_DASHBOARD_POOL_MB", "1")
    settings.cache_clear()
    manager = apart(run())
    settings.cache_clear()
    assert (manager.ended, manager.filled) == ("large", "data.ipynb")


def test_kernels_of_browsers_that_are_gone_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    class Manager(set):
        visited_at = {"watched": 0.0, "gone": 0.0, "new": time.monotonic(), "other": 0.0}
        ended: list[str] = []

        def watchers(self, kernel_id: str) -> int:
            return int(kernel_id == "watched")

        async def shutdown_kernel(self, kernel_id: str) -> None:
            self.ended.append(kernel_id)

    owners = {"watched": "ana", "gone": "ana", "new": "ana", "other": "bia"}
    monkeypatch.setattr(PageAuthorizer, "owners", owners)
    manager = Manager(owners)
    assert apart(kernels.end_unwatched(manager, "ana")) == 1 and manager.ended == ["gone"]
    assert apart(kernels.end_unwatched(manager)) == 2 and set(manager.ended) == {"gone", "other"}


def test_the_kernel_of_a_closed_page_ends_within_seconds(visit: Visit, site: Site) -> None:
    left, stays = visit("dashboard", "bia"), visit("dashboard", "ana")
    gone, kept = kernel_of(left), kernel_of(stays)
    assert {gone, kept} <= set(processes(site))
    left.context.close()
    until(lambda: gone not in processes(site), kernels.LEFT_SECONDS + 30)
    assert kept in processes(site)


def test_the_own_pages_and_those_of_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageAuthorizer, "owners", {"1": "ana", "2": "ana", "3": "bia"})
    manager = {"1", "2", "3"}
    for limit, own, why in (("9", "2", "crowded"), ("9", "3", ""), ("3", "3", "full"), ("3", "2", "crowded")):
        monkeypatch.setenv("VUR_DASHBOARD_KERNELS", limit)
        monkeypatch.setenv("VUR_DASHBOARD_KERNELS_PER_USER", own)
        settings.cache_clear()
        assert kernels.full(manager, "ana") == why, (limit, own)
    settings.cache_clear()


def test_pages_say_that_the_server_was_started_again(visit: Visit, small: Site) -> None:
    tab = visit("monitoring", "root", at=small)
    children = psutil.Process(small.processes.pid).children()
    next(one for one in children if "vur.dashboards.server" in one.cmdline()).kill()
    dialog = tab.locator("dialog[data-over=true]", has_text="the server was started again")
    dialog.wait_for()
    wait_for(f"{small.pages}/health")
    dialog.get_by_role("button", name="Reconnect").click()
    ready(tab)
    assert tab.locator("[data-tab=models]").get_attribute("aria-selected") == "true"


def test_ctrl_c_ends_everything(tmp_path: Path, chromium: object) -> None:
    site = start_site(tmp_path)
    children = psutil.Process(site.processes.pid).children(recursive=True)
    assert len(children) >= 4  # service, worker, pages, at least one kernel
    stop_site(site)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == [] and site.processes.returncode == 0


def test_two_users_do_not_mix(visit: Visit, site: Site) -> None:
    ana, bia = visit("dashboard", "ana"), visit("dashboard", "bia", language="pt-BR")
    assert kernel_of(ana) != kernel_of(bia)
    assert ana.title() == "Dashboard · VUR" and bia.title() == "Painel · VUR"
    assert ana.locator(".v-name").inner_text().startswith("Ana")
    assert bia.locator(".v-name").inner_text().startswith("Bia")
