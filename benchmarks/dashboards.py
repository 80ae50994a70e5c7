"""Preheated pages in Chromium beside a bare Voilà page with one chart: first paint, time until usable, bytes, memory.

Ours is the dashboard with figures, lists, tables and charts for a logged-in visitor; the bare page is stock Voilà with
one ECharts widget of `ipecharts`, without any login. Both servers run at the same time, pages are opened in turn, each
time in a new browser profile (nothing cached) and once more in the same one.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "dashboards"), str(ROOT)]
from pages_site import ARGUMENTS, CHROMIUM, Site, email, start_site, stop_site, wait_for  # noqa: E402
from service import PASSWORD, free_port  # noqa: E402

TURNS, VIEWERS, POINTS = 5, 20, 100_000
STARTED = "() => document.body?.dataset.vurStarted === 'true' && performance.now()"
DRAWN = "() => document.querySelector('.jp-OutputArea canvas, .jp-OutputArea svg') && performance.now()"
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
BARE = """from ipecharts import EChartsRawWidget
line = {"type": "line", "data": list(range(300))}
EChartsRawWidget(option={"xAxis": {"type": "category"}, "yAxis": {}, "series": [line]})"""


def start_bare(folder: Path) -> tuple[str, subprocess.Popen]:
    """Stock Voilà with a preheated kernel for one notebook with one chart."""
    cell = {"cell_type": "code", "id": "chart", "metadata": {}, "execution_count": None, "outputs": [], "source": BARE}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "bare.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    port = free_port()
    options = ["--no-browser", f"--port={port}", "--preheat_kernel=True", "--pool_size=1", "--token="]
    process = subprocess.Popen(
        [sys.executable, "-m", "voila", str(folder), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}/voila/render/bare.ipynb"
    wait_for(f"http://127.0.0.1:{port}/voila/static/voila.js")
    return address, process


class Traffic:
    """Bytes that a tab receives: over HTTP as they are sent, and in messages of WebSockets."""

    def __init__(self, tab: Any):
        self.http = self.socket = 0
        client = tab.context.new_cdp_session(tab)
        client.send("Network.enable")
        client.on("Network.loadingFinished", lambda one: self._add_http(one["encodedDataLength"]))
        client.on("Network.webSocketFrameReceived", lambda one: self._add_socket(len(one["response"]["payloadData"])))

    def _add_http(self, size: float) -> None:
        self.http += int(size)

    def _add_socket(self, size: int) -> None:
        self.socket += size


def opened(tab: Any, address: str, condition: str) -> tuple[float, float]:
    """Open a page; first paint and the moment when the condition holds, in seconds since the navigation began."""
    tab.goto(address, wait_until="commit")
    done = tab.wait_for_function(condition, timeout=60_000).json_value()
    return tab.evaluate(PAINT) / 1000, done / 1000


def cookie(site: Site) -> dict[str, str]:
    """The cookie of a login."""
    with httpx.Client(base_url=site.pages) as client:
        form = client.get("/login").text
        token = form.partition('name="_xsrf" value="')[2].partition('"')[0]
        client.post("/login", data={"_xsrf": token, "login": email("root"), "password": PASSWORD, "next": "/"})
        return {"name": "vur-session", "value": client.cookies["vur-session"], "url": site.pages}


def upload(site: Site, name: str, text: str) -> str:
    """A dataset of the site; its id."""
    with site.api("root") as api:
        answer = api.post("/datasets/upload", files={"file": (name, text.encode())})
        answer.raise_for_status()
        return answer.json()["dataset_id"]


def train(site: Site, dataset: str, **body: Any) -> str:
    """A trained and promoted model; its id."""
    with site.api("root") as api:
        model = api.post("/models/train", json={"dataset_id": dataset, **body}).raise_for_status().json()["model_id"]
        while (state := api.get(f"/models/{model}/training/status").json()["status"]) in ("queued", "training"):
            time.sleep(0.5)
        assert state == "trained"
        api.post(f"/models/{model}/promote").raise_for_status()
        return model


def hourly(rows: int) -> str:
    """An hourly series with a daily shape, as CSV."""
    import numpy as np
    import pandas as pd

    index = pd.date_range("2013-01-01", periods=rows, freq="h")
    noise = np.random.default_rng(1).normal(0, 3, rows)
    load = 100 + 20 * np.sin(2 * np.pi * index.hour / 24) + noise
    return pd.DataFrame({"time": index, "load": load.round(2)}).to_csv(index=False)


def warm() -> None:
    """Wait until the pool has a kernel again, so that each opening finds a preheated one."""
    time.sleep(6)


def main() -> None:
    """Measure and print the tables."""
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp(prefix="vur-bench-"))
    site = start_site(folder)
    bare, process = start_bare(folder)
    try:
        train(site, upload(site, "sales.csv", (ROOT / "data" / "flights_daily.csv").read_text()), algorithm="theta")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            speeds(browser, site, bare)
            history(browser, site)
            clicks(browser, site)
            memory(browser, site)
            browser.close()
    finally:
        process.terminate()
        stop_site(site)


def speeds(browser: Any, site: Site, bare: str) -> None:
    """Print first paint, time until usable, and bytes of both pages."""
    found: dict[tuple[str, str], list[tuple[float, float, int, int]]] = {}
    pages = {"dashboard": (f"{site.pages}/dashboard", STARTED), "bare Voilà page": (bare, DRAWN)}
    login = cookie(site)
    for _ in range(TURNS):
        for name, (address, condition) in pages.items():
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            context.add_cookies([login])
            tab = context.new_page()
            for visit in ("first visit", "again"):
                warm()
                traffic = Traffic(tab)
                found.setdefault((name, visit), []).append(
                    (*opened(tab, address, condition), traffic.http, traffic.socket)
                )
                tab.goto("about:blank")
            context.close()
    print("| page | visit | first paint | usable | over HTTP | over the WebSocket |\n|---|---|---|---|---|---|")
    for (name, visit), rows in found.items():
        paint, usable, http, socket = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {visit} | {paint:.2f} s | {usable:.2f} s | {http / 1e6:.2f} MB | {socket / 1e3:.0f} kB |")
    ratio = statistics.median(r[1] for r in found["bare Voilà page", "first visit"]) / statistics.median(
        r[1] for r in found["dashboard", "first visit"]
    )
    print(f"\nThe dashboard is usable {ratio:.2f} times as fast as the bare page at the first visit.\n")


def history(browser: Any, site: Site) -> None:
    """Print the bytes of a page with a long history."""
    model = train(site, upload(site, "load.csv", hourly(POINTS)), algorithm="seasonal_naive", horizon=24)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([cookie(site)])
    tab = context.new_page()
    warm()
    traffic = Traffic(tab)
    opened(tab, f"{site.pages}/forecasts?model={model}", STARTED)
    tab.wait_for_selector(".v-chart-box[data-drawn] svg")
    size = traffic.socket / 1e3
    print(f"Forecasts of {POINTS:,} hourly values: {size:.0f} kB over the WebSocket until the chart is drawn.\n")
    context.close()


TOOK = """async ([action, change]) => {
    const seen = new Function("return " + change);
    const before = JSON.stringify(seen());
    const begin = performance.now();
    new Function(action)();
    while (JSON.stringify(seen()) === before) {
        if (performance.now() - begin > 20000) return 20000;
        await new Promise((resolve) => setTimeout(resolve, 4));
    }
    return performance.now() - begin;
}"""
CURRENT = "document.querySelector('.v-steplist li.current button').dataset.step"
TABLE = "document.querySelector('.v-is-table:not([hidden]) tbody').textContent"


def clicks(browser: Any, site: Site) -> None:
    """Print how long the wizard takes to show what a click or another value of a form changes, without a job."""
    dataset = upload(site, "wizard.csv", (ROOT / "data" / "partidas_diarias.csv").read_text(encoding="latin-1"))
    with site.api("root") as api:
        body = {"dataset_id": dataset, "name": "wizard"}
        pipeline = api.post("/pipelines", json=body).raise_for_status().json()["pipeline_id"]
        for step in ("preview", "split", "preprocessing", "features", "model"):
            api.put(f"/pipelines/{pipeline}/steps/{step}", json={"data": {}}).raise_for_status()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([cookie(site)])
    tab = context.new_page()
    warm()
    opened(tab, f"{site.pages}/pipeline?id={pipeline}&step=split", STARTED)
    tab.wait_for_selector("[data-kind=chart]:not([hidden]) .v-chart-box[data-drawn] svg")
    field = "const f = document.querySelector('[name=horizon]'); f.value = {}; f.dispatchEvent(new Event('change'))"
    click = "document.querySelector('button[data-step={}]').click()"
    tries = {
        "another horizon": [(field.format(value), TABLE) for value in (10, 11, 12, 13, 14)],
        "another step": [(click.format(name), CURRENT) for name in ("features", "split", "model", "split", "features")],
    }
    for name, actions in tries.items():
        times = [tab.evaluate(TOOK, list(action)) for action in actions]
        print(f"Wizard, {name}: {statistics.median(times):.0f} ms (median of {len(times)}).\n")
    context.close()


def memory(browser: Any, site: Site) -> None:
    """Print the memory of the pages' server with many viewers."""
    contexts = []
    for _ in range(VIEWERS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_cookies([cookie(site)])
        tab = context.new_page()
        opened(tab, f"{site.pages}/dashboard", STARTED)
        contexts.append(context)
    server = next(
        one
        for one in psutil.Process(site.processes.pid).children(recursive=True)
        if "vur.dashboards.server" in " ".join(one.cmdline())
    )
    family = [server, *server.children(recursive=True)]
    used = sum(one.memory_full_info().pss for one in family)
    size, count = used / 2**30, len(family)
    print(
        f"{VIEWERS} open viewers: {size:.2f} GiB (proportional set size) in {count} processes, waiting ones included."
    )
    for context in contexts:
        context.close()


if __name__ == "__main__":
    main()
