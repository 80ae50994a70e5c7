"""`vur doctor`: check an installation and say how to fix what is wrong."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vur.commands._arguments import add_language
from vur.errors import VurError
from vur.text import DEFAULT_LANGUAGE, translate

if TYPE_CHECKING:
    from vur.store.operations.doctor import Finding

PURPOSE = "check the installation and say how to fix what is wrong"
ORDER = 180


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur doctor`."""
    command.add_argument("--fast", action="store_true", help="skip reading the files of every model")
    command.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_language(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Print every finding; exit code 1 if there is a problem. Warnings do not count."""
    found = []
    for finding in _findings(not options.fast, language):
        found.append(finding)
        if not options.json:
            _print(finding, language)
    if options.json:
        import json

        print(
            json.dumps(
                [
                    {"name": one.name, "status": one.status, "text": one.say(language), "remedy": one.remedy(language)}
                    for one in found
                ],
                ensure_ascii=False,
                indent=1,
            )
        )
    problems, warnings = (sum(one.status == status for one in found) for status in ("problem", "warning"))
    if not options.json:
        print(translate("cli.doctor.sum", language, problems=problems, warnings=warnings))
    return 1 if problems else 0


def _findings(deep: bool, language: str) -> "Iterator[Finding]":
    from vur.store.operations.doctor import examine, problem

    try:
        yield from examine(deep)
    except VurError as error:  # without settings or data home no check can run
        yield problem("settings", "wrong", reason=error.cause(language), remedy=error.remedy(language))


def _print(finding: "Finding", language: str) -> None:
    print(f"{translate(f'cli.doctor.{finding.status}', language)}  {finding.say(language)}", flush=True)
    if remedy := finding.remedy(language):
        print(f"{' ' * len(translate(f'cli.doctor.{finding.status}', DEFAULT_LANGUAGE))}  -> {remedy}", flush=True)
