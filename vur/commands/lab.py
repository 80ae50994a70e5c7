"""`vur lab`: JupyterLab under the accounts of the service."""

import argparse
from pathlib import Path

from vur.errors import VurError
from vur.settings import settings
from vur.text import translate

PURPOSE = "serve JupyterLab under the accounts of the service"
ORDER = 100
EXTRA = "lab"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur lab`."""
    command.add_argument("folder", nargs="?", help="folder to open (default: one's own, with tutorials and last runs)")
    command.add_argument("--host", help="address to listen on (default: settings, 127.0.0.1)")
    command.add_argument("--port", type=int, help="port to listen on (default: settings, 8888)")


def run(options: argparse.Namespace, language: str) -> int:
    """Serve JupyterLab until SIGTERM or Ctrl-C."""
    from vur.commands._together import announce, check_port, first_account, lab_process, report_death
    from vur.serving.process.startup import prepare
    from vur.serving.process.supervisor import supervise

    chosen = settings()
    host, port = options.host or chosen.host, chosen.lab_port if options.port is None else options.port
    if options.folder and not Path(options.folder).is_dir():
        raise VurError("serve.folder", path=options.folder)
    check_port(host, port)
    if not prepare():
        first_account(language)
    announce([(host, port, "/login")], [translate("serve.lab", language, host=host, port=port)])
    return supervise([lab_process(host, port, options.folder)], report_death(language))
