"""`vur rank`: which variables of a table drive its target."""

import argparse
from typing import TYPE_CHECKING

from vur.commands._arguments import add_language, add_reading, add_reports_folder, reading_options
from vur.commands._output import display_path
from vur.text import translate

if TYPE_CHECKING:
    from vur.runs.ranking import RankingResult

PURPOSE = "rank the variables of a process by what they say about a target, write notebook and report"
ORDER = 15
MOST_ROWS = 15


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur rank`."""
    command.add_argument("source", help="CSV, TSV, gzip, zip, Parquet or Excel file: a row a moment, in order of time")
    command.add_argument("--target", required=True, help="column to explain")
    command.add_argument("--time", help="column that says when a row was measured (default: the only one with dates)")
    command.add_argument("--lags", type=int, default=12, help="rows that a variable may take to act (default: 12)")
    command.add_argument("--goal", choices=["max", "min"], default="max", help="whether a high or a low target is good")
    command.add_argument("--level", type=float, default=0.9, help="confidence of the rank sets (default: 0.9)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="COLUMN",
        help="column to leave out, such as another result of the process (repeatable)",
    )
    add_reading(command)
    add_language(command)
    add_reports_folder(command)
    command.add_argument(
        "--no-notebook", action="store_true", help="run in this process instead of a papermill notebook"
    )
    command.add_argument("--quiet", action="store_true", help="do not print progress")


def run(options: argparse.Namespace, language: str) -> int:
    """Rank the variables of a file, then print the answer."""
    from vur.runs.progress import ConsoleProgress
    from vur.runs.ranking import rank

    watcher = None if options.quiet else ConsoleProgress(lambda line: print(line, flush=True), language)
    found = rank(
        options.source,
        options.target,
        time=options.time,
        lags=options.lags,
        goal=options.goal,
        level=options.level,
        seed=options.seed,
        exclude=options.exclude,
        language=language,
        upload=reading_options(options),
        out=options.out,
        notebook=not options.no_notebook,
        watcher=watcher,
    )
    print_ranking(found, language)
    return 0


def print_ranking(found: "RankingResult", language: str) -> None:
    """Print the answer in sentences, the first variables, what was set aside, and where the outputs are."""
    from vur.ranking.words import say_aside, say_note
    from vur.wording import number

    document, record = found.document, found.record
    print()
    for sentence in found.say(language):
        print(sentence)
    if document["ranking"]:
        print()
        print(_table(document["ranking"][:MOST_ROWS], language))
    print()
    for one in document["aside"]:
        print(translate("cli.rank.aside", language, text=say_aside(one, language)))
    if document["rejected"]:
        text = translate("ranking.note.rejected", language, count=document["rejected"])
        print(translate("cli.rank.note", language, text=text))
    for one in document["notes"]:
        print(translate("cli.rank.note", language, text=say_note(one, language)))
    print(translate("cli.summary.report", language, path=display_path(found.report)))
    if found.notebook.is_file():
        print(translate("cli.summary.notebook", language, path=display_path(found.notebook)))
    if record["fit_seconds"]:
        ratio = number(record["seconds"] / record["fit_seconds"], language, 0)
        print(translate("cli.rank.cost", language, seconds=number(record["seconds"], language, 1), ratio=ratio))


def _table(rows: list[dict], language: str) -> str:
    import pandas as pd

    from vur.ranking.words import say_best, say_chance, say_lag, say_ranks, say_shape
    from vur.wording import percent

    names = ("variable", "ranks", "importance", "chance", "effect", "lag", "best")
    titles = [translate(f"ranking.report.column.{name}", language) for name in names]
    cells = [
        (
            one["variable"],
            say_ranks(one, language),
            percent(one["importance"], language),
            say_chance(one["p_value"], language),
            *(say(one, language) if one["significant"] else "" for say in (say_shape, say_lag, say_best)),
        )
        for one in rows
    ]
    frame = pd.DataFrame(cells, columns=titles)
    frame.insert(0, "", ["*" if one["significant"] else "" for one in rows])
    return frame.to_string(index=False, max_colwidth=48)
