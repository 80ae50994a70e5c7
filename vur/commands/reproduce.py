"""`vur reproduce`: a run again, compared digit by digit."""

import argparse

from vur.text import translate


def add_reproduce(command: argparse.ArgumentParser) -> None:
    """Options of `vur reproduce`."""
    command.add_argument("run", help="run id, or its folder")
    command.add_argument("--out", help="folder of the reports (default: settings)")


def reproduce_command(options: argparse.Namespace, language: str) -> int:
    """`vur reproduce`: exit code 0 when equal, 1 when not."""
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
