"""`vur serve`: the service and, unless told otherwise, a worker that runs its trainings."""

import argparse
import os
import socket
import sys

from vur.errors import VurError
from vur.settings import settings
from vur.text import translate

GRACE = 30


def add_serve(command: argparse.ArgumentParser) -> None:
    """Options of `vur serve`."""
    command.add_argument("--host", help="address to listen on (default: settings, 127.0.0.1)")
    command.add_argument("--port", type=int, help="port to listen on (default: settings, 8000)")
    command.add_argument("--workers", type=int, default=1, help="processes that answer requests (default: 1)")
    command.add_argument("--no-worker", action="store_true", help="start no training worker: `vur worker` runs elsewhere")


def serve_command(options: argparse.Namespace, language: str) -> int:
    """`vur serve`: prepare the data home, then keep service and worker alive until SIGTERM or Ctrl-C."""
    from vur.serving.startup import prepare
    from vur.serving.supervisor import Child, supervise
    from vur.store.home import folder

    chosen = settings()
    host, port = options.host or chosen.host, chosen.port if options.port is None else options.port
    check_free(host, port)
    users = prepare()
    os.environ.update(BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=str(folder("bentoml")), VUR_API_WORKERS=str(options.workers))
    for key in ("open", "docs", "ws"):
        print(translate(f"serve.{key}", language, host=host, port=port), flush=True)
    if not users:
        print(translate("serve.nobody", language), flush=True)
    children = [Child("service", service_command(host, port))]
    if not options.no_worker:
        children.append(Child("worker", [sys.executable, "-m", "vur.cli", "worker"]))
    return supervise(children, lambda name, code, rest: print(translate("serve.died", language, name=name, code=code, seconds=rest), file=sys.stderr, flush=True))


def service_command(host: str, port: int) -> list[str]:
    """What starts the BentoML service."""
    return [sys.executable, "-m", "bentoml", "serve", "vur.serving.service:Vur", "--host", host, "--port", str(port),
            "--timeout-graceful-shutdown", str(GRACE)]


def check_free(host: str, port: int) -> None:
    """`VurError` serve.port when something listens on the port already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise VurError("serve.port", host=host, port=port, reason=error.strerror or error) from None
