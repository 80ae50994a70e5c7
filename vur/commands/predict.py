"""`vur predict`: predict the rows of a file with a saved table model."""

import argparse
import sys
from pathlib import Path

from vur.commands._arguments import add_language, add_reading, read_levels, reading_options
from vur.text import translate

PURPOSE = "predict the rows of a file with a model that `vur table` saved"
ORDER = 25


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur predict`."""
    command.add_argument("model", help="name (its newest version), name:version, or folder of a saved table model")
    command.add_argument("data", help="file with the columns that the model needs")
    command.add_argument("--levels", help="levels of the intervals in percent (default: as trained)")
    command.add_argument("--out", help="CSV file: the rows with prediction and intervals (default: standard output)")
    add_reading(command)
    add_language(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Write the rows with their predictions as CSV, and what the model has not seen to standard error."""
    from vur.runs.table import load_table, read_file
    from vur.spreadsheets import safe_frame
    from vur.tabular.words import say_note

    model = load_table(options.model)
    rows = read_file(Path(options.data).expanduser().absolute(), reading_options(options))
    found = model.predict(rows, read_levels(options.levels))
    for one in found.attrs["notes"]:
        print(say_note(one, language), file=sys.stderr)
    joined = rows.reset_index(drop=True).join(found, rsuffix=" (vur)")
    safe_frame(joined).to_csv(options.out or sys.stdout, index=False)
    if options.out:
        print(translate("tabular.written", language, count=len(joined), path=options.out))
    return 0
