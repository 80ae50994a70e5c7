"""The `vur` command: what it can do; each command lies in `vur/commands`."""

import argparse
import sys
from importlib import import_module
from types import ModuleType

from vur import __version__
from vur.errors import VurError
from vur.settings import settings
from vur.text import table, translate

INTERRUPTED = 130
# Command: module of vur/commands, and what it is for.
COMMANDS = {
    "run": ("run", "audit a file, compare models, keep the best, write notebook and report"),
    "forecast": ("forecast", "forecast from a saved model, without retraining"),
    "future": ("forecast", "write the table of coming values that a saved model takes, to be filled in"),
    "what-if": ("forecast", "forecast under edited coming values and compare"),
    "check": ("update", "flag new observations that a saved model did not hold possible"),
    "update": ("update", "move a saved model to the end of new data, without retraining; its intervals adapt"),
    "reproduce": ("reproduce", "run again without any cache and compare digit by digit"),
    "models": ("models", "list the saved models, or show one"),
    "report": ("report", "write the report of a run again, for instance in the other language"),
    "lab": ("lab", "open JupyterLab on the notebooks"),
    "init": ("users", "prepare the data home: secrets, catalog, job tables"),
    "users": ("users", "add and manage the users of the service"),
    "serve": ("serve", "serve the REST API, live updates and predictions, with a worker for trainings"),
    "worker": ("worker", "run queued trainings"),
    "package": ("package", "make a Bento of trained models that serves forecasts anywhere"),
    "backup": ("backup", "write catalog, data and models to one file, while the service runs"),
    "restore": ("backup", "restore what `vur backup` wrote"),
    "doctor": ("doctor", "check the installation and say what to mend"),
}


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """All commands; the options of `only` that one where it is given, so that the others need not be imported."""
    main = argparse.ArgumentParser(
        prog="vur", description="Time series in notebooks: a CSV becomes a trusted forecast."
    )
    main.add_argument("--version", action="version", version=f"vur {__version__}")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose)
        if only in (None, name):
            getattr(_module(name), f"add_{name.replace('-', '_')}")(command)
    return main


def _module(name: str) -> ModuleType:
    return import_module(f"vur.commands.{COMMANDS[name][0]}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when it did what was asked, 1 on a problem told in three lines, 130 after Ctrl-C."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser(next((part for part in given if part in COMMANDS), "-")).parse_args(given)
    language = getattr(options, "language", None) or "en"
    try:
        language = getattr(options, "language", None) or settings().language
        return getattr(_module(options.command), f"{options.command.replace('-', '_')}_command")(options, language)
    except VurError as error:
        print_failure(error, language)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def print_failure(error: VurError, language: str) -> None:
    """Stage, cause and remedy, a line each, on standard error."""
    stage = translate(f"stage.{error.stage}", language) if _is_stage(error.stage) else error.stage
    for part, values in (
        ("stage", {"stage": stage}),
        ("cause", {"text": error.cause(language)}),
        ("remedy", {"text": error.remedy(language)}),
    ):
        print(" ".join(translate(f"cli.failed.{part}", language, **values).splitlines()), file=sys.stderr)


def _is_stage(name: str) -> bool:
    return f"stage.{name}" in table()


if __name__ == "__main__":
    sys.exit(main())
