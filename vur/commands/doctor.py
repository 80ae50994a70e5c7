"""`vur doctor`: what is well with an installation, what is not, and what to do about it."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vur.errors import VurError
from vur.text import DEFAULT_LANGUAGE, LANGUAGES, translate

if TYPE_CHECKING:
    from vur.store.operations.doctor import Finding


def add_doctor(command: argparse.ArgumentParser) -> None:
    """Options of `vur doctor`."""
    command.add_argument("--fast", action="store_true", help="do not read the files of every model")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument("--language", choices=LANGUAGES)


def doctor_command(options: argparse.Namespace, language: str) -> int:
    """`vur doctor`: 0 when there is no problem, 1 otherwise; warnings are none."""
    found = []
    for finding in _findings(not options.fast, language):
        found.append(finding)
        if not options.json:
            _print(finding, language)
    if options.json:
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
    except VurError as error:  # settings or data home that nothing can be done without
        yield problem("settings", "wrong", reason=error.cause(language), remedy=error.remedy(language))


def _print(finding: "Finding", language: str) -> None:
    print(f"{translate(f'cli.doctor.{finding.status}', language)}  {finding.say(language)}", flush=True)
    if remedy := finding.remedy(language):
        print(f"{' ' * len(translate(f'cli.doctor.{finding.status}', DEFAULT_LANGUAGE))}  -> {remedy}", flush=True)
