"""Claim: a forecast over the REST API, with login, access rights and a durable ledger row,
is answered at 0.8 of the rate of a bare BentoML endpoint.

The peer is a BentoML service of a few lines that calls `predict` of the same saved ETS model of one series: no user, no
ledger. Both run as one worker process, by `bentoml serve` and `vur serve`, and are loaded in turns by the same 16
clients over kept connections. Target: a ratio of at least 0.8, and 99 of 100 answers within 50 ms. Since VUR tells an
equal forecast again without making it again, a second row asks for another interval each time, so that every forecast
is made. All answers of ours are checked to lie in the ledger.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HORIZON = 12
SERVERS: dict[int, Any] = {}  # processes by port
BARE = """
import bentoml
from vur.stages.model.pipeline import load_pipeline
from vur.store.models.models import model_folder

@bentoml.service(traffic={"timeout": 60})
class Bare:
    def __init__(self):
        self.pipeline = load_pipeline(model_folder(%r))

    @bentoml.api
    def predict(self, horizon: int) -> list[dict]:
        rows = self.pipeline.predict(horizon, levels=(80, 95))
        return rows.assign(ds=rows["ds"].astype(str)).to_dict("records")
"""


@dataclass
class Target:
    """A service under load: where it answers, the request that clients send, and what was measured."""

    name: str
    port: int
    request: Callable[[], bytes]
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    work: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second, the median over rounds."""
        return statistics.median(self.rates)

    @property
    def cost(self) -> float:
        """Milliseconds of processor time of the service for each answer: what noise of the machine changes least."""
        return 1000 * self.work / len(self.seconds)

    def percentile(self, share: float) -> float:
        """Milliseconds within which `share` of the answers came."""
        return 1000 * sorted(self.seconds)[min(int(share * len(self.seconds)), len(self.seconds) - 1)]


def train() -> str:
    """Tag of a saved ETS model of one series."""
    import vur
    from vur.runs.config import default_config

    config = default_config(model={"algorithms": ["ets"], "ensemble": False})
    result = vur.run(
        ROOT / "data" / "electrical_equipment.csv",
        config=config,
        name="equipment",
        notebook=False,
        out=Path(os.environ["VUR_HOME"]) / "reports",
    )
    if result.record["winner"] != "ets":
        sys.exit(f"the winner is {result.record['winner']}, not ets")
    return result.model_tag


def register(tag: str) -> str:
    """A catalog with a user and the model as champion of its family; returns the user's access token."""
    from vur.serving.middleware.tokens import access_token
    from vur.store import database
    from vur.store.accounts.users import add_user
    from vur.store.catalog import Model
    from vur.store.models import champions, registry
    from vur.store.models.models import model_folder

    database.migrate()
    with database.writing() as session:
        user = add_user(session, "ana@example.org", "correct horse 9")
        model = Model(
            owner_id=user.id,
            name="equipment",
            algorithm="ets",
            status="trained",
            family="equipment",
            tag=tag,
            checksum=registry.checksum(model_folder(tag)),
        )
        session.add(model)
        session.flush()
        champions.promote(session, model, user.id)
    return access_token(user)[0]


def post(path: str, body: dict, token: str = "") -> bytes:
    """A request as bytes."""
    content = json.dumps(body).encode()
    login = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{login}Content-Type: application/json\r\n"
    head += f"Content-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def ask(token: str, level: float) -> bytes:
    """A request to VUR for intervals at 80 and `level` percent."""
    return post(
        "/api/v1/predictions/predict", {"model": "equipment@champion", "horizon": HORIZON, "levels": [80, level]}, token
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def serving(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """`command`, a module and its arguments, as a service on `port` until the block ends."""
    import psutil

    with (folder / f"{port}.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=os.environ | {"BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(ROOT)},
        )
        SERVERS[port] = psutil.Process(server.pid)
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2)
                    break
                except (OSError, urllib.error.URLError):
                    if server.poll() is not None:
                        sys.exit(Path(log.name).read_text())
                    time.sleep(0.2)
            yield
        finally:
            server.terminate()
            server.wait(30)


async def client(target: Target, until: float, seconds: list[float]) -> None:
    """Send requests one after the other over one connection until the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(target.request())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"{target.name}: {head.decode()}")
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - began)
    writer.close()


async def load(target: Target, clients: int, duration: float) -> list[float]:
    """Seconds of each answer that `clients` got in `duration` seconds."""
    seconds: list[float] = []
    until = time.perf_counter() + duration
    await asyncio.gather(*(client(target, until, seconds) for _ in range(clients)))
    return seconds


def processor_time(port: int) -> float:
    """Seconds of processor time that the service on a port has used."""
    served = SERVERS[port]
    return sum(sum(one.cpu_times()[:2]) for one in [served, *served.children(recursive=True)])


def measure(targets: list[Target], clients: int, rounds: int, duration: float) -> dict[str, int]:
    """Load the targets in turns; returns how many answers each gave in all, warming up included."""
    answers = {target.name: len(asyncio.run(load(target, clients, 2.0))) for target in targets}
    for _ in range(rounds):
        for target in targets:
            began, before = time.perf_counter(), processor_time(target.port)
            seconds = asyncio.run(load(target, clients, duration))
            target.work += processor_time(target.port) - before
            target.rates.append(len(seconds) / (time.perf_counter() - began))
            target.seconds += seconds
            answers[target.name] += len(seconds)
    return answers


def ledger_size() -> tuple[int, int]:
    """Forecasts and points in the ledger."""
    from sqlalchemy import func, select

    from vur.store import database
    from vur.store.catalog import Forecast, ForecastPoint

    with database.reading() as session:
        return tuple(session.scalar(select(func.count()).select_from(table)) for table in (Forecast, ForecastPoint))


def main(clients: int, rounds: int, duration: float) -> None:
    """Print the table: one row a service."""
    folder = Path(tempfile.mkdtemp(prefix="vur-bench-"))
    os.environ |= {"VUR_HOME": str(folder / "home"), "VUR_RATE_LIMIT": "0", "VUR_ACCESS_MINUTES": "600"}
    tag = train()
    token = register(tag)
    (folder / "bare.py").write_text(BARE % tag)
    bare_port, port, numbers = free_port(), free_port(), count()
    plain, usual = post("/predict", {"horizon": HORIZON}), ask(token, 95)
    bare = Target("bare BentoML endpoint", bare_port, lambda: plain)
    ours = Target("VUR, REST API", port, lambda: usual)
    anew = Target("VUR, every forecast another one", port, lambda: ask(token, 95 - next(numbers) / 1e6))
    with (
        serving(["bentoml", "serve", "bare:Bare"], bare_port, folder),
        serving(["vur.cli", "serve", "--no-worker"], port, folder),
    ):
        answers = measure([bare, ours, anew], clients, rounds, duration)
    answered = answers[ours.name] + answers[anew.name]
    forecasts, points = ledger_size()
    if (forecasts, points) != (answered, answered * HORIZON):
        sys.exit(f"{answered} answers, but {forecasts} forecasts and {points} points in the ledger")
    print(
        f"One ETS model, one series, {HORIZON} steps; {clients} clients, one worker process each, "
        f"{rounds} rounds of {duration:g} s in turns:\n"
    )
    print("| service | requests/s | p50 ms | p99 ms | ratio | processor ms a request |\n|---|---:|---:|---:|---:|---:|")
    for target in (bare, ours, anew):
        print(
            f"| {target.name} | {target.rate:.0f} | {target.percentile(0.5):.1f} | "
            f"{target.percentile(0.99):.1f} | {target.rate / bare.rate:.2f} | "
            f"{target.cost:.2f} |"
        )
    print(f"\nAll {answered} answers of VUR lie in the ledger, with {points} points.")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clients", type=int, default=16, metavar="N")
    options.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each service")
    options.add_argument("--seconds", type=float, default=5.0, help="length of a turn")
    given = options.parse_args()
    main(given.clients, given.rounds, given.seconds)
