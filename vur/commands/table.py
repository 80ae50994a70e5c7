"""`vur table`: from a file to a model that predicts a number from the other cells of its row."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from vur.commands._arguments import add_language, add_reading, add_reports_folder, read_levels, reading_options
from vur.commands._output import display_path
from vur.errors import VurError
from vur.text import translate

if TYPE_CHECKING:
    from vur.runs.table import TableResult

PURPOSE = "predict a number, such as a price, from the other columns of a table; write model, notebook and report"
ORDER = 16
SHOWN = ("candidate", "rmse", "mae", "r2", "mape", "skill", "skill_low", "skill_high")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur table`."""
    command.add_argument("source", help="CSV, TSV, gzip, zip, Parquet or Excel file: a row a case")
    command.add_argument("--target", required=True, help="column to predict")
    command.add_argument("--algorithms", default="auto", help="auto, or ids separated by commas")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="ALGORITHM.NAME=VALUE",
        help="hyperparameter, such as boosting.rounds=400 (repeatable)",
    )
    command.add_argument("--folds", type=int, default=5, help="folds of the cross-validation (default: 5)")
    command.add_argument("--group", help="column whose rows stay in one fold, such as the id of a house")
    command.add_argument("--time", help="column by which later rows are predicted from earlier ones")
    command.add_argument("--feature", action="append", help="column to predict from (repeatable; default: all)")
    command.add_argument(
        "--trust", action="append", default=[], help="column to use although it looks like a copy of the target"
    )
    command.add_argument("--metric", default="rmse", help="rmse (default) or mae: what the choice is made on")
    command.add_argument("--levels", default="80,95", help="levels of the intervals in percent (default: 80,95)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--name", help="name of the saved model (default: that of the file)")
    add_reading(command)
    add_language(command)
    add_reports_folder(command)
    command.add_argument(
        "--no-notebook", action="store_true", help="run in this process instead of a papermill notebook"
    )
    command.add_argument("--quiet", action="store_true", help="do not print progress")


def run(options: argparse.Namespace, language: str) -> int:
    """Fit the table, then print what it says."""
    from vur.runs.progress import ConsoleProgress
    from vur.runs.table import execute_table, prepare_table

    watcher = None if options.quiet else ConsoleProgress(lambda line: print(line, flush=True), language)
    folder = prepare_table(
        options.source,
        options.target,
        algorithms=options.algorithms,
        hyperparameters=hyperparameters(options.set),
        folds=options.folds,
        group=options.group,
        time=options.time,
        features=options.feature,
        trust=options.trust,
        metric=options.metric,
        levels=read_levels(options.levels),
        seed=options.seed,
        name=options.name,
        language=language,
        upload=reading_options(options),
        out=options.out,
    )
    print_table(execute_table(folder, watcher, notebook=not options.no_notebook), language)
    return 0


def hyperparameters(given: list[str]) -> dict[str, dict[str, Any]]:
    """`boosting.rounds=400` as `{"boosting": {"rounds": 400}}`; `VurError` for one that is written otherwise."""
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, mark, value = text.partition("=")
        algorithm, dot, name = place.strip().partition(".")
        if not (mark and dot and algorithm and name):
            raise VurError("config.value", key="--set", value=text, expected="boosting.rounds=400")
        try:
            found.setdefault(algorithm, {})[name] = json.loads(value)
        except ValueError:
            found.setdefault(algorithm, {})[name] = value.strip()
    return found


def print_table(found: "TableResult", language: str) -> None:
    """Print the leaderboard, the answer in sentences, what was set aside, and where the outputs are."""
    from vur.tabular.words import candidate_name, say, say_aside, say_note

    document = found.document
    board = found.leaderboard
    shown = board.assign(candidate=[candidate_name(one, language) for one in board["candidate"]])[list(SHOWN)]
    shown.insert(1, " ", board["chosen"].map({True: "*", False: ""}))
    print()
    print(shown.to_string(index=False, float_format=lambda value: f"{value:,.3f}"))
    print()
    for sentence in say(document, language):
        print(sentence)
    if document["rejected"]:
        print(translate("tabular.report.rejected", language, count=document["rejected"]))
    for one in document["aside"]:
        print(translate("tabular.aside_line", language, text=say_aside(one, language)))
    for one in document["notes"]:
        print(translate("tabular.note_line", language, text=say_note(one, language)))
    print(translate("cli.summary.report", language, path=display_path(found.report)))
    if found.notebook.is_file():
        print(translate("cli.summary.notebook", language, path=display_path(found.notebook)))
    print(translate("tabular.model_line", language, tag=found.tag, name=found.tag.partition(":")[0]))
