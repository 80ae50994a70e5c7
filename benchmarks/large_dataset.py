"""Claim: an upload of 2 GiB grows the service's memory by less than 100 MB,
and preview and statistics of 10 million rows answer within 300 ms.

The service is what `vur serve` starts, with a data home of its own, on the loopback. curl sends a CSV of 10 million
rows and more than 2 GiB. Memory is that of the process that answers requests; the conversion to Parquet runs in a
process of its own, whose peak is printed beside it. Preview and statistics are timed by the client, after the first
call; checking and cutting the data are told too.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb
import psutil
from live_clients import account, free_port

CALLS = 20


def write_csv(path: Path, rows: int) -> None:
    """A CSV of `rows` rows with a date, a series, a target, numbers and a text that fills it to over 2 GiB."""
    duckdb.sql(f"""COPY (SELECT DATE '2000-01-01' + CAST(i // 1000 AS INTEGER) AS day,
        'store-' || lpad((i % 1000)::VARCHAR, 4, '0') AS store,
        round(100 + 20 * sin(i // 1000 / 58.1) + i % 7, 3) AS sales,
        round(10 + random(), 4) AS price, i % 2 AS promotion,
        repeat(chr(97 + CAST(i % 26 AS INTEGER)), 176) AS remark
        FROM range({rows}) t(i)) TO '{path}' (HEADER, DELIMITER ',')""")  # noqa: S608


class Watch(threading.Thread):
    """Samples memory in MB: `answering` is the peak of the service's own processes, `converting` of their children."""

    def __init__(self, server: psutil.Process):
        super().__init__(daemon=True)
        self.server, self.answering, self.converting, self.over = server, 0.0, 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            services = [
                child
                for child in self.server.children(recursive=True)
                if "vur.serving.process.server" in _command(child)
            ]
            self.answering = max(self.answering, sum(_memory(one) for one in services))
            self.converting = max(
                self.converting, sum(_memory(one) for service in services for one in service.children(recursive=True))
            )


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> float:
    try:
        return process.memory_full_info().uss / 1e6
    except psutil.Error:
        return 0.0


def peak(server: psutil.Process, work) -> tuple[float, float]:
    """Peaks of memory while `work` runs."""
    watch = Watch(server)
    watch.start()
    try:
        work()
    finally:
        watch.over.set()
        watch.join()
    return watch.answering, watch.converting


class Client:
    """Keeps one connection open, as a browser does."""

    def __init__(self, port: int, token: str):
        self.connection, self.headers = (
            http.client.HTTPConnection("127.0.0.1", port, timeout=600),
            {"Authorization": f"Bearer {token}"},
        )

    def get(self, path: str) -> float:
        """Seconds of one request."""
        return self.ask("GET", path)

    def post(self, path: str, content: dict) -> float:
        """The same with a body."""
        return self.ask("POST", path, json.dumps(content))

    def ask(self, method: str, path: str, content: str | None = None) -> float:
        """Seconds of one request; an answer that is an error ends the benchmark."""
        started = time.perf_counter()
        self.connection.request(method, f"/api/v1{path}", content, self.headers | {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"{path}: {answer.status} {body[:300]!r}")
        return time.perf_counter() - started


def wait_until_ready(port: int) -> None:
    """Until the service says so."""
    for _ in range(240):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/live")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.5)
    sys.exit("the service does not come up")


def measure(port: int, token: str, server: psutil.Process, path: Path) -> list[tuple[str, str]]:
    """Rows of the table."""
    answers = {}

    def upload() -> None:
        done = subprocess.run(
            [
                "curl",
                "-sS",
                f"http://127.0.0.1:{port}/api/v1/datasets/upload",
                "-H",
                f"Authorization: Bearer {token}",
                "-F",
                f"file=@{path}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        answers["upload"] = json.loads(done.stdout)

    before, _ = peak(server, lambda: time.sleep(3))
    started = time.perf_counter()
    answering, converting = peak(server, upload)
    seconds = time.perf_counter() - started
    if "dataset_id" not in answers["upload"]:
        sys.exit(str(answers["upload"])[:500])
    id, client = answers["upload"]["dataset_id"], Client(port, token)
    rows = [
        ("file, GB", f"{path.stat().st_size / 1e9:.2f}"),
        ("upload and conversion, s", f"{seconds:.0f}"),
        ("service before, MB", f"{before:.0f}"),
        ("service grew by, MB", f"{answering - before:.0f}"),
        ("conversion's own process, MB", f"{converting:.0f}"),
    ]
    for name, calls in {
        "preview": [f"/datasets/{id}/preview?page={page}&limit=100" for page in (1, 50_000, 100_000)],
        "statistics": [f"/datasets/{id}/statistics"],
    }.items():
        first = client.get(calls[0])
        later = [client.get(calls[number % len(calls)]) for number in range(CALLS)]
        rows += [
            (f"{name}, first call, ms", f"{1000 * first:.0f}"),
            (f"{name}, then, median and worst ms", f"{1000 * statistics.median(later):.0f} / {1000 * max(later):.0f}"),
        ]
    for name, body in {"validate": {}, "split": {"horizon": 28}}.items():
        started = time.perf_counter()
        _, apart = peak(server, lambda name=name, body=body: client.post(f"/datasets/{id}/{name}", body))
        rows.append((f"{name}, s, and MB of its own process", f"{time.perf_counter() - started:.0f}, {apart:.0f}"))
    return rows


def main() -> None:
    """Print a Markdown table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=10_000_000, metavar="N")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.update(VUR_HOME=f"{scratch}/home", VUR_LOG_FORMAT="text")
        _, token = account()
        path, port = Path(scratch) / "large.csv", free_port()
        write_csv(path, given.rows)
        with open(f"{scratch}/log", "w") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "vur.cli", "serve", "--port", str(port), "--no-worker"], stdout=log, stderr=log
            )
        try:
            wait_until_ready(port)
            time.sleep(8)
            rows = measure(port, token, psutil.Process(server.pid), path)
        finally:
            server.terminate()
            server.wait(60)
    print(
        f"{given.rows:,} rows:\n\n| what | measured |\n|---|---:|\n"
        + "\n".join(f"| {name} | {value} |" for name, value in rows)
    )


if __name__ == "__main__":
    main()
