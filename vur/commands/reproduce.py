"""`vur reproduce`: rerun and compare digit by digit."""

import argparse

from vur.commands._arguments import add_reports_folder
from vur.text import translate

PURPOSE = "rerun without any cache and compare digit by digit"
ORDER = 70


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur reproduce`."""
    command.add_argument("run", help="run id, or its folder")
    add_reports_folder(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Rerun and print the first difference; exit code 0 if the forecasts are equal, 1 if not."""
    from vur.runs.api import reproduce
    from vur.runs.progress import ConsoleProgress

    answer = reproduce(
        options.run, out=options.out, watcher=ConsoleProgress(lambda line: print(line, flush=True), language)
    )
    if answer["equal"]:
        print(translate("cli.reproduce.equal", language, run=answer["run"], rows=answer["rows"]))
        return 0
    first = answer["first"]
    if "rows" in first:
        print(translate("cli.reproduce.rows", language, old=first["rows"][0], new=first["rows"][1]))
    else:
        print(translate("cli.reproduce.differs", language, **first))
    changes = ", ".join(f"{name} {then} → {now}" for name, (then, now) in answer["versions"].items())
    print(translate("cli.reproduce.versions", language, changes=changes or "-"))
    return 1
