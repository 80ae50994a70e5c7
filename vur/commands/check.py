"""`vur check`: compare new observations with the prediction intervals of a saved model."""

import argparse
import sys
from typing import TYPE_CHECKING

from vur.commands._arguments import add_language, add_model
from vur.text import translate

if TYPE_CHECKING:
    import pandas as pd

PURPOSE = "flag new observations outside the model's prediction intervals"
ORDER = 50
SHOWN = 10  # anomalies in the printed table


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur check`."""
    add_model(command)
    command.add_argument("data", help="file with new observations, columns as in the training data")
    add_language(command)
    command.add_argument(
        "--level", type=float, default=95, help="flag values outside this prediction interval (default: 95)"
    )
    command.add_argument("--out", help="CSV file, one row per value (default: standard output)")


def run(options: argparse.Namespace, language: str) -> int:
    """Write one row per new value as CSV, and a summary (to standard error if the CSV goes to standard output)."""
    from vur.models.check import check_new, check_sentences

    table = check_new(options.model, options.data, options.level)
    summary = sys.stdout if options.out else sys.stderr
    table.to_csv(options.out or sys.stdout, index=False)
    for sentence in check_sentences(table, options.level, language):
        print(sentence, file=summary)
    if options.out:
        anomalies = table[table["anomaly"]].sort_values("score", ascending=False, kind="stable").head(SHOWN)
        if len(anomalies):
            print(_anomaly_table(anomalies, language))
        print(translate("cli.check.written", language, rows=len(table), path=options.out))
    return 0


def _anomaly_table(rows: "pd.DataFrame", language: str) -> str:
    from vur.wording import number

    names = ("unique_id", "ds", "y", "forecast", "lo", "hi", "score", "p_value")
    titles = ("series", "stamp", "value", "forecast", "from", "to", "score", "p_value")
    shown = rows[list(names)].set_axis(
        [translate(f"insight.anomaly.column.{title}", language, level="") for title in titles], axis=1
    )
    return shown.to_string(index=False, float_format=lambda value: number(value, language, 3), max_colwidth=60)
