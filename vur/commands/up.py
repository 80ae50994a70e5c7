"""`vur up`: the service, its worker and the dashboards together, and JupyterLab if asked for."""

import argparse
import os

from vur.settings import settings
from vur.text import translate

PURPOSE = "start service, worker and dashboards together"
ORDER = 125
EXTRA = "lab"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur up`."""
    command.add_argument("--lab", action="store_true", help="start JupyterLab, too, for analysts and administrators")
    command.add_argument("--host", help="address to listen on (default: settings, 127.0.0.1)")
    command.add_argument("--port", type=int, help="port of the service (default: settings, 8000)")
    command.add_argument("--voila-port", type=int, help="port of the dashboards (default: settings, 8866)")
    command.add_argument("--lab-port", type=int, help="port of JupyterLab (default: settings, 8888)")


def run(options: argparse.Namespace, language: str) -> int:
    """Start everything and supervise it until SIGTERM or Ctrl-C, which ends it all."""
    from vur.commands import serve
    from vur.commands._together import (
        announce,
        check_port,
        first_account,
        lab_process,
        pages_process,
        report_death,
        share_settings,
    )
    from vur.serving.process.startup import prepare
    from vur.serving.process.supervisor import supervise

    chosen = settings()
    host = options.host or chosen.host
    port = chosen.port if options.port is None else options.port
    pages = chosen.voila_port if options.voila_port is None else options.voila_port
    lab = chosen.lab_port if options.lab_port is None else options.lab_port
    for one in (pages, *([lab] if options.lab else [])):
        check_port(host, one)
    listener = serve.listen(host, port)
    share_settings(host, port)
    os.environ["VUR_VOILA_PORT"], os.environ["VUR_LAB_PORT"] = str(pages), str(lab)
    if options.lab:
        os.environ["VUR_LAB"] = "1"
    if not prepare():
        first_account(language)
    children = [*serve.processes(1, listener.fileno(), worker=True), pages_process(host, pages)]
    if options.lab:
        children.append(lab_process(host, lab))
    servers = {"open": (host, port, "/health/live"), "lab": (host, lab, "/login"), "up": (host, pages, "/health")}
    if not options.lab:
        del servers["lab"]
    texts = [translate(f"serve.{name}", language, host=host, port=at) for name, (_, at, _) in servers.items()]
    announce(list(servers.values()), texts)
    return supervise(children, report_death(language), listener)
