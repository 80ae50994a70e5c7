"""`vur update`: advance a saved model to newer observations."""

import argparse

from vur.commands._arguments import add_language, add_model
from vur.text import translate

PURPOSE = "advance a saved model to the end of new data without retraining; its intervals adapt"
ORDER = 60


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur update`."""
    add_model(command)
    command.add_argument("data", help="the training file with new rows added")
    add_language(command)
    command.add_argument(
        "--steps", type=int, help="steps to forecast before each advance of the model (default: its horizon)"
    )
    command.add_argument("--out", metavar="FILE", help="CSV file with the new values and what was forecast for them")


def run(options: argparse.Namespace, language: str) -> int:
    """Save a new version of the model that ends where the data ends and print how it did on the new values."""
    from vur.models.update import update_model

    moved = update_model(options.model, options.data, steps=options.steps)
    for sentence in moved.sentences(language):
        print(sentence)
    if options.out:
        moved.compared.to_csv(options.out, index=False)
        print(translate("cli.check.written", language, rows=len(moved.compared), path=options.out))
    return 0
