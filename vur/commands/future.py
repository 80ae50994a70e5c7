"""`vur future`: the template of future covariates for a saved model."""

import argparse

from vur.commands._arguments import add_horizon, add_model
from vur.commands._output import write_frame
from vur.text import translate

PURPOSE = "write the table of future covariates that a saved model needs, ready to fill in"
ORDER = 30


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur future`."""
    add_model(command)
    add_horizon(command)
    command.add_argument("--out", help="CSV file (default: standard output)")


def run(options: argparse.Namespace, language: str) -> int:
    """Write the template as CSV and count the cells that are left to fill in."""
    from vur.models.future import missing_cells
    from vur.models.saved import future_template

    frame = future_template(options.model, options.horizon)
    write_frame(frame, options.out, options.model, language)
    if options.out:
        count = len(missing_cells(frame))
        print(translate("cli.future.empty", language, count=count, model=options.model, path=options.out))
    return 0
