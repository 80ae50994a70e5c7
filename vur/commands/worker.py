"""`vur worker`: run queued training and batch-forecast jobs."""

import argparse
import os
import sys

PURPOSE = "run queued training and batch-forecast jobs"
ORDER = 140
EXTRA = "serve"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur worker`."""
    command.add_argument("--once", action="store_true", help="exit when the queue is empty")


def run(options: argparse.Namespace, language: str) -> int:
    """Run jobs until SIGTERM or Ctrl-C; in-flight jobs are then re-queued and resumed by another worker."""
    import logging

    from vur.jobs.worker import run_worker
    from vur.serving.middleware.logs import configure
    from vur.store.database import migrate

    configure()
    migrate()
    run_worker(once=options.once)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of interrupted jobs would block the exit
