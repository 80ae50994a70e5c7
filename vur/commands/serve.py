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
    from vur.serving.process.startup import prepare
    from vur.serving.process.supervisor import Child, supervise
    from vur.store.home import folder
    from vur.store.operations.doctor import check_settings

    chosen = settings()
    for finding in check_settings():
        print(f"{finding.say(language)} {finding.remedy(language)}", file=sys.stderr, flush=True)
    host, port = options.host or chosen.host, chosen.port if options.port is None else options.port
    listener = listen(host, port)
    users = prepare()
    os.environ.update(BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=str(folder("bentoml")))
    for key in ("open", "docs", "ws"):
        print(translate(f"serve.{key}", language, host=host, port=port), flush=True)
    if not users:
        print(translate("serve.nobody", language), flush=True)
    descriptor = listener.fileno()
    share_metrics(options.workers, port)
    names = ["service"] if options.workers == 1 else [f"service {number}" for number in range(1, options.workers + 1)]
    children = [
        Child(name, [sys.executable, "-m", "vur.serving.process.server", str(descriptor)], inherits=(descriptor,))
        for name in names
    ]
    if not options.no_worker:
        children.append(Child("worker", [sys.executable, "-m", "vur.cli", "worker"]))
    return supervise(
        children,
        lambda name, code, rest: print(
            translate("serve.died", language, name=name, code=code, seconds=rest), file=sys.stderr, flush=True
        ),
        listener,
    )


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
