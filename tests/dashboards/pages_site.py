"""The whole of `vur up` in processes of its own, a few users, and Chromium."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from samples import ROOT
from service import PASSWORD, free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PEOPLE = {"ana": "analyst", "bia": "analyst", "vera": "viewer", "root": "admin"}
PATIENCE = 60_000  # milliseconds


@dataclass
class Site:
    """A running VUR: where its pages and its service are, and its users' tokens."""

    home: Path
    pages: str
    service: str
    processes: subprocess.Popen
    tokens: dict[str, str] = field(default_factory=dict)

    def api(self, name: str, language: str = "en") -> httpx.Client:
        """A client of the REST API for a user."""
        if name not in self.tokens:
            answer = httpx.post(
                f"{self.service}/api/v1/auth/login", json={"email": email(name), "password": PASSWORD}, timeout=30
            )
            self.tokens[name] = answer.json()["access_token"]
        return httpx.Client(
            base_url=f"{self.service}/api/v1",
            headers={"Authorization": f"Bearer {self.tokens[name]}", "Accept-Language": language},
            timeout=60,
        )


def email(name: str) -> str:
    return f"{name}@example.com"


def wait_for(address: str, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def start_site(home: Path, **variables: str) -> Site:
    """Start `vur up` on a data home of its own, with `PEOPLE` as its users."""
    service, pages = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VUR_")},
        "VUR_HOME": str(home),
        "VUR_REPORTS": str(home / "reports"),
        "VUR_WEBHOOK_ALLOW": "127.0.0.3",  # of this machine, for receivers; its other addresses stay closed
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "True",
        "VUR_DASHBOARD_KERNELS_PER_USER": "40",
        **variables,
    }
    vur = [sys.executable, "-P", "-m", "vur.cli"]
    script = (
        "from vur.store import database; from vur.store.accounts.users import add_user\n"
        "database.migrate()\n"
        "with database.writing() as session:\n"
        f"    for name, role in {PEOPLE!r}.items():\n"
        f"        add_user(session, name + '@example.com', {PASSWORD!r}, username=name,\n"
        "                 full_name=name.title(), role=role)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script], env=environment, check=True, cwd=home)
    with open(home / "up.log", "w") as log:
        processes = subprocess.Popen(
            [*vur, "up", "--port", str(service), "--voila-port", str(pages)],
            env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    site = Site(home, f"http://127.0.0.1:{pages}", f"http://127.0.0.1:{service}", processes)
    try:
        wait_for(f"{site.service}/health/ready")
        wait_for(f"{site.pages}/health")
    except BaseException:
        stop_site(site)
        print((home / "up.log").read_text())
        raise
    return site


def stop_site(site: Site) -> None:
    """Ctrl-C, which must end everything."""
    site.processes.send_signal(signal.SIGINT)
    try:
        site.processes.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(site.processes.pid, signal.SIGKILL)
        raise


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One VUR for all tests of this process; a test makes its own users' objects and trusts in nobody else's."""
    if not CHROMIUM:
        pytest.skip("needs Chromium (Debian's package 'chromium')")
    found = start_site(tmp_path_factory.mktemp("site"))
    yield found
    stop_site(found)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser. Its client keeps a loop running, which other modules must not find."""
    if not CHROMIUM:
        pytest.skip("needs Chromium (Debian's package 'chromium')")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


Visit = Callable[..., Any]


@pytest.fixture
def visit(chromium: Any, site: Site) -> Iterator[Visit]:
    """Open a page as somebody: `visit("dashboard", "vera", width=390, language="pt-BR", theme="dark")`.

    After the test no page may have asked another host for anything or have failed in its scripts.
    """
    contexts, outside, errors = [], [], []

    def opened(
        page: str,
        name: str | None = "ana",
        *,
        width: int = 1280,
        language: str = "en",
        theme: str = "light",
        started: bool = True,
        at: Site | None = None,
    ) -> Any:
        where = at or site
        context = chromium.new_context(
            base_url=where.pages,
            viewport={"width": width, "height": 900},
            locale=language,
            color_scheme=theme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.on("request", lambda one: outside.append(one.url) if foreign(one.url, where.pages) else None)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        if name is not None:
            with where.api(name) as api:
                api.put("/auth/profile", json={"language": language}).raise_for_status()
            log_in(tab, name, page)
        else:
            tab.goto("/" + page)
        if started and name is not None:
            ready(tab)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert not outside, f"requests that leave the machine: {outside}"
    assert not errors, f"errors of a page's scripts: {errors}"


def foreign(address: str, own: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(own).netloc


def log_in(tab: Any, name: str, page: str = "dashboard", password: str = PASSWORD) -> None:
    """Fill the login form."""
    tab.goto(f"/login?next={quote('/' + page, safe='')}")
    tab.fill("[name=login]", email(name))
    tab.fill("[name=password]", password)
    tab.click("form button")


def ready(tab: Any) -> None:
    """Wait until the page has been filled for its visitor."""
    tab.wait_for_selector("body[data-vur-started=true]")


def kernel_of(tab: object) -> str:
    return tab.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")


def json_of(tab: Any, address: str) -> tuple[int, Any]:
    """What the browser gets from an address of the pages' server, as its visitor."""
    status, text = tab.evaluate("async (a) => { const r = await fetch(a); return [r.status, await r.text()] }", address)
    try:
        return status, json.loads(text)
    except json.JSONDecodeError:
        return status, text


def run_cells(page: Any) -> None:
    """Run all cells of the notebook that is open in JupyterLab; again if it was not ready for the first click."""
    begun = "[...document.querySelectorAll('.jp-InputPrompt')].some((one) => /\\[[*\\d]+\\]/.test(one.textContent))"
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    until = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(begun) and time.monotonic() < until:
        page.locator(".jp-Notebook .jp-Cell").first.click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.wait_for_timeout(3_000)
    assert page.evaluate(begun)
