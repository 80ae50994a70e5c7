"""`vur serve`: the service and, by default, a worker that runs its training jobs."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from vur.errors import VurError
from vur.settings import settings
from vur.text import translate

if TYPE_CHECKING:
    from socket import socket

    from vur.serving.process.supervisor import Child

PURPOSE = "serve the REST API, live updates and predictions, with a training worker"
ORDER = 130
EXTRA = "serve"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur serve`."""
    command.add_argument("--host", help="address to listen on (default: settings, 127.0.0.1)")
    command.add_argument("--port", type=int, help="port to listen on (default: settings, 8000)")
    command.add_argument("--workers", type=int, default=1, help="service processes (default: 1)")
    command.add_argument(
        "--no-worker", action="store_true", help="start no training worker, because `vur worker` runs elsewhere"
    )


def run(options: argparse.Namespace, language: str) -> int:
    """Prepare the data home, then supervise service and worker until SIGTERM or Ctrl-C."""
    from vur.commands._together import report_death
    from vur.serving.process.startup import prepare
    from vur.serving.process.supervisor import supervise
    from vur.store.operations.doctor import check_settings

    chosen = settings()
    for finding in check_settings():
        print(f"{finding.say(language)} {finding.remedy(language)}", file=sys.stderr, flush=True)
    host, port = options.host or chosen.host, chosen.port if options.port is None else options.port
    listener = listen(host, port)
    users = prepare()
    for key in ("open", "docs", "ws"):
        print(translate(f"serve.{key}", language, host=host, port=port), flush=True)
    if not users:
        print(translate("serve.nobody", language), flush=True)
    share_metrics(options.workers, port)
    children = processes(options.workers, listener.fileno(), worker=not options.no_worker)
    return supervise(children, report_death(language), listener)


def processes(services: int, listener: int, worker: bool) -> "list[Child]":
    """The processes of the service, which share the socket with the descriptor `listener`, and of its worker."""
    from vur.serving.process.supervisor import Child
    from vur.store.home import folder

    os.environ.update(BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=str(folder("bentoml")))
    names = ["service"] if services == 1 else [f"service {number}" for number in range(1, services + 1)]
    command = [sys.executable, "-m", "vur.serving.process.server", str(listener)]
    children = [Child(name, command, inherits=(listener,)) for name in names]
    return children + ([Child("worker", [sys.executable, "-m", "vur.cli", "worker"])] if worker else [])


def share_metrics(processes: int, port: int) -> None:
    """Let several processes add up their Prometheus metrics in a folder, emptied at every start."""
    import shutil

    from vur.store.home import folder

    if processes > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        path = folder("cache", f"metrics-{port}")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)


def listen(host: str, port: int) -> "socket":
    """Bind the socket to serve on. `VurError` serve.port if the port is in use."""
    from vur.serving.process.server import bind

    try:
        return bind(host, port)
    except OSError as error:
        raise VurError("serve.port", host=host, port=port, reason=error.strerror or error) from None
