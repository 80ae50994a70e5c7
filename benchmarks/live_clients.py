"""Claim: 1,000 idle WebSocket clients cost the service less than 200 MB of memory.

The server is what `vur serve` starts, with an own data home, on the loopback; the clients live in another process.
Memory is that of the server's processes together (proportional set size: shared pages counted once). The idle clients
do get `system_metrics` every two seconds, because that is what a client that chooses nothing gets. Then messages are
published from outside of the server, and each client notes when they come: no claim, for the clients compete for the
same cores.
"""

import argparse
import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from thousand_series import used

WAITED = 90  # seconds for the server to come up


def raise_limit(files: int) -> None:
    """Let this process and its children open that many files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        sys.exit(f"needs {files} open files, the system allows {hard}: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def account() -> tuple[str, str]:
    """A migrated catalog with one user: their id and a token."""
    from vur.serving.middleware.tokens import access_token
    from vur.store.accounts.users import add_user
    from vur.store.database import migrate, writing

    migrate()
    with writing() as session:
        user = add_user(session, "bench@example.org", "correct horse 9")
    return user.id, access_token(user)[0]


def publish(owner: str, number: int) -> None:
    """One live message from outside of the server."""
    from vur.store import database, events

    with database.writing() as session:
        events.publish(session, "prediction", {"number": number, "sent": time.time()}, owner)


async def until_up(address: str, token: str, server: subprocess.Popen) -> None:
    """Wait for the first connection that is taken, and close it."""
    from websockets.asyncio.client import connect

    end = time.monotonic() + WAITED
    while True:
        try:
            async with connect(f"{address}?token={token}") as client:
                await client.recv()
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                sys.exit("the server does not come up")
            await asyncio.sleep(0.5)


async def listen(client, waits: list[float], metrics: list[int]) -> None:
    """Note how long each message took, until the connection ends."""
    async for text in client:
        message = json.loads(text)
        if message["type"] == "prediction":
            waits.append(time.time() - message["data"]["sent"])
        metrics[0] += message["type"] == "system_metrics"


async def measure(
    address: str, user: str, token: str, server: subprocess.Popen, count: int, messages: int
) -> dict[str, float]:
    """Memory before and with the clients, seconds until a message has reached them, and their idle load."""
    from websockets.asyncio.client import connect

    await until_up(address, token, server)
    process = psutil.Process(server.pid)
    await asyncio.sleep(5)
    before, waits, metrics, open = used(process), [], [0], []
    started = time.perf_counter()
    for start in range(0, count, 50):
        made = [
            connect(f"{address}?token={token}", open_timeout=60, compression="deflate", max_queue=4)
            for _ in range(min(50, count - start))
        ]
        open += await asyncio.gather(*made)
    connected = time.perf_counter() - started
    listening = [asyncio.create_task(listen(client, waits, metrics)) for client in open]
    await asyncio.sleep(5)
    spent, metrics[0] = busy(process), 0
    await asyncio.sleep(20)
    idle, there = (busy(process) - spent) / 20, used(process)
    heard = metrics[0]
    for number in range(messages):
        await asyncio.to_thread(publish, user, number)
        await asyncio.sleep(0.5)
    await asyncio.sleep(3)
    after = used(process)
    await asyncio.gather(*(client.close() for client in open))
    await asyncio.gather(*listening)
    if len(waits) != count * messages:
        sys.exit(f"{count * messages - len(waits)} messages were lost")
    waits.sort()
    return {
        "before": before,
        "idle": there,
        "after": after,
        "connected": connected,
        "busy": idle,
        "metrics": heard / count,
        "median": waits[len(waits) // 2],
        "p95": waits[int(0.95 * len(waits))],
        "worst": waits[-1],
    }


def busy(process: psutil.Process) -> float:
    """Processor seconds of a process and its children."""
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def main() -> int:
    """Measure and print a Markdown table; exit code 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=20)
    options = parser.parse_args()
    raise_limit(4 * options.clients + 1000)
    with tempfile.TemporaryDirectory(prefix="vur-live-") as home:
        os.environ.update(VUR_HOME=home, VUR_WS_PER_USER=str(options.clients + 10), VUR_LOG_FORMAT="json")
        os.environ.pop("VUR_DATABASE_URL", None)
        user, token = account()
        port = free_port()
        with open(Path(home) / "log", "w+b") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "vur.cli", "serve", "--no-worker", "--port", str(port)], stdout=log, stderr=log
            )
            try:
                found = asyncio.run(
                    measure(f"ws://127.0.0.1:{port}/ws", user, token, server, options.clients, options.messages)
                )
            finally:
                server.terminate()
                server.wait(40)
    cost = (found["idle"] - found["before"]) / 1e6
    print(
        "| WebSocket clients | memory before | with them, idle | after messages | cost | a client | "
        "connecting | idle load of a core |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {options.clients} | {found['before'] / 1e6:.0f} MB | {found['idle'] / 1e6:.0f} MB | "
        f"{found['after'] / 1e6:.0f} MB | {cost:.0f} MB | "
        f"{1000 * cost / options.clients:.0f} kB | {found['connected']:.1f} s | {100 * found['busy']:.0f} % |"
    )
    print(
        f"\n{options.messages} messages to each of them: median {1000 * found['median']:.0f} ms, p95 "
        f"{1000 * found['p95']:.0f} ms, "
        f"slowest {1000 * found['worst']:.0f} ms from the commit to the client. Idle clients got "
        f"{found['metrics']:.1f} measurements each in 20 s."
    )
    holds = cost < 200
    print("The claim holds." if holds else "THE CLAIM DOES NOT HOLD.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
