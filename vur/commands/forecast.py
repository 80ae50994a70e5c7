"""`vur forecast`: forecast from a saved model."""

import argparse
import sys

from vur.commands._arguments import add_horizon, add_model, add_whole, read_levels
from vur.commands._output import write_frame

PURPOSE = "forecast from a saved model, without retraining"
ORDER = 20


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur forecast`."""
    add_model(command)
    add_horizon(command)
    command.add_argument("--future", help="file with the known-future columns of every step (vur future writes it)")
    command.add_argument("--levels", help='interval levels in percent, such as 80,95 or 99.9; "" for none')
    add_whole(command)
    command.add_argument("--out", help="CSV file (default: standard output)")


def run(options: argparse.Namespace, language: str) -> int:
    """Write the forecast as CSV."""
    from vur.models.saved import forecast

    levels = read_levels(options.levels)
    frame = forecast(
        options.model,
        options.horizon,
        future=options.future,
        levels=None if levels is None else tuple(levels),
        whole=options.whole,
        language=language,
    )
    for warning in frame.attrs["warnings"]:
        print(warning, file=sys.stderr)
    write_frame(frame, options.out, options.model, language)
    return 0
