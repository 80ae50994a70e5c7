"""`vur dashboards`: the pages for people who never open a notebook."""

import argparse

from vur.settings import settings
from vur.text import translate

PURPOSE = "serve the dashboards"
ORDER = 132
EXTRA = "lab"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur dashboards`."""
    command.add_argument("--host", help="address to listen on (default: settings, 127.0.0.1)")
    command.add_argument("--port", type=int, help="port to listen on (default: settings, 8866)")


def run(options: argparse.Namespace, language: str) -> int:
    """Serve the pages until SIGTERM or Ctrl-C; the service runs elsewhere (`vur serve`)."""
    from vur.commands._together import announce, check_port, first_account, pages_process, report_death
    from vur.serving.process.startup import prepare
    from vur.serving.process.supervisor import supervise

    chosen = settings()
    host, port = options.host or chosen.host, chosen.voila_port if options.port is None else options.port
    check_port(host, port)
    if not prepare():
        first_account(language)
    announce([(host, port, "/health")], [translate("serve.pages", language, host=host, port=port)])
    return supervise([pages_process(host, port)], report_death(language))
