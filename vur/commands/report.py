"""`vur report`: the page of a run again, for instance in the other language."""

import argparse

from vur.commands.run import short
from vur.text import LANGUAGES, translate


def add_report(command: argparse.ArgumentParser) -> None:
    """Options of `vur report`."""
    command.add_argument("run")
    command.add_argument("--language", choices=LANGUAGES)
    command.add_argument("--out", help="folder of the reports (default: settings)")


def report_command(options: argparse.Namespace, language: str) -> int:
    """`vur report`: the page again, from what is cached, without training."""
    from vur.runs.api import render_again

    print(translate("cli.summary.report", language, path=short(render_again(options.run, language, out=options.out))))
    return 0
