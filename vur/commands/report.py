"""`vur report`: re-render a run's report, e.g. in another language."""

import argparse

from vur.commands._arguments import add_language, add_reports_folder
from vur.commands._output import display_path
from vur.text import translate

PURPOSE = "re-render a run's report, e.g. in another language"
ORDER = 90


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur report`."""
    command.add_argument("run", help="run id, or its folder")
    add_language(command)
    add_reports_folder(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Render the report again from the run's stored results, without training."""
    from vur.runs.api import render_again

    path = render_again(options.run, language, out=options.out)
    print(translate("cli.summary.report", language, path=display_path(path)))
    return 0
