"""The commands that hold new observations against a saved model: check them, or let the model move on with them."""

import argparse
import sys
from typing import Any

from vur.text import LANGUAGES, translate

SHOWN = 10


def add_check(command: argparse.ArgumentParser) -> None:
    """Options of `vur check`."""
    _add_data(command, "file with new observations, columns as in the training data")
    command.add_argument(
        "--level", type=float, default=95, help="interval outside which a value is flagged (default: 95)"
    )
    command.add_argument("--out", help="CSV file, one row a value (default: standard output)")


def add_update(command: argparse.ArgumentParser) -> None:
    """Options of `vur update`."""
    _add_data(command, "the training file with new rows added")
    command.add_argument(
        "--steps", type=int, help="steps that are forecast before the model moves on (default: its horizon)"
    )
    command.add_argument("--out", metavar="FILE", help="CSV file with the new values beside what was forecast for them")


def _add_data(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("model", help="name (its newest version) or name:version")
    command.add_argument("data", help=what)
    command.add_argument("--language", choices=LANGUAGES)


def check_command(options: argparse.Namespace, language: str) -> int:
    """`vur check`: the table as CSV, and what it says in words (on standard error where the table takes standard output)."""
    from vur.models.check import check_new, check_sentences

    table = check_new(options.model, options.data, options.level)
    words = sys.stdout if options.out else sys.stderr
    table.to_csv(options.out or sys.stdout, index=False)
    for sentence in check_sentences(table, options.level, language):
        print(sentence, file=words)
    if options.out:
        odd = table[table["anomaly"]].sort_values("score", ascending=False, kind="stable").head(SHOWN)
        if len(odd):
            print(_anomaly_table(odd, language))
        print(translate("cli.check.written", language, rows=len(table), path=options.out))
    return 0


def _anomaly_table(rows: Any, language: str) -> str:
    names = ("unique_id", "ds", "y", "forecast", "lo", "hi", "score", "p_value")
    titles = ("series", "stamp", "value", "forecast", "from", "to", "score", "p_value")
    shown = rows[list(names)].set_axis(
        [translate(f"insight.anomaly.column.{title}", language, level="") for title in titles], axis=1
    )
    return shown.to_string(index=False, float_format="{:,.3f}".format, max_colwidth=60)


def update_command(options: argparse.Namespace, language: str) -> int:
    """`vur update`: a new version of the model that stands at the end of the data, with intervals that learnt from it."""
    from vur.models.update import update_model

    moved = update_model(options.model, options.data, steps=options.steps)
    for sentence in moved.sentences(language):
        print(sentence)
    if options.out:
        moved.compared.to_csv(options.out, index=False)
        print(translate("cli.check.written", language, rows=len(moved.compared), path=options.out))
    return 0
