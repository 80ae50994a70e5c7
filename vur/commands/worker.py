"""`vur worker`: run queued trainings and batch forecasts."""

import argparse
import logging
import os
import sys


def add_worker(command: argparse.ArgumentParser) -> None:
    """Options of `vur worker`."""
    command.add_argument("--once", action="store_true", help="end when no job is left")


def worker_command(options: argparse.Namespace, language: str) -> int:
    """`vur worker`: until SIGTERM or Ctrl-C; jobs that are running then are given back and resumed by the next worker."""
    from vur.jobs.worker import run_worker
    from vur.serving.middleware.logs import configure
    from vur.store.database import migrate

    configure()
    migrate()
    run_worker(once=options.once)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that hold interrupted jobs would wait for ever
