"""The `vur` command line: finds the commands in `vur/commands` and runs one."""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import vur.commands
from vur import __version__
from vur.errors import VurError
from vur.extras import require_extra
from vur.languages import DEFAULT_LANGUAGE
from vur.settings import settings
from vur.text import table, translate

INTERRUPTED = 130
OUTPUTS = ("out", "plot")  # options of commands that name a file to write
LAST = 1000  # place in `vur --help` of a command without ORDER


def commands() -> dict[str, ModuleType]:
    """Return every command's module by the command's name, in the order of `vur --help`.

    A command is a file of `vur/commands` whose name does not start with an underscore: `what_if.py` is `what-if`.
    """
    names = (path.stem for folder in vur.commands.__path__ for path in Path(folder).glob("[!_]*.py"))
    found = {name.replace("_", "-"): import_module(f"vur.commands.{name}") for name in names}
    return dict(sorted(found.items(), key=lambda item: (getattr(item[1], "ORDER", LAST), item[0])))


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of all commands, or with the options of the command `only` and no other's."""
    main = argparse.ArgumentParser(
        prog="vur", description="Time series in notebooks: a CSV becomes a trusted forecast."
    )
    main.add_argument("--version", action="version", version=f"vur {__version__}")
    subparsers = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in commands().items():
        command = subparsers.add_parser(name, help=module.PURPOSE)
        if only in (None, name):
            module.add_arguments(command)
    return main


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 1 after a `VurError`, printed in three lines, and 130 after Ctrl-C."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    known = commands()
    options = parser(next((part for part in given if part in known), "-")).parse_args(given)
    language = getattr(options, "language", None) or DEFAULT_LANGUAGE
    try:
        language = getattr(options, "language", None) or settings().language
        command = known[options.command]
        if hasattr(command, "EXTRA"):
            require_extra(command.EXTRA, f"vur {options.command}")
        return command.run(options, language)
    except VurError as error:
        print_failure(error, language)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if (known_cause := full_disk(error) or no_catalog(error)) is not None:
            print_failure(known_cause, language)
            return 1
        path = unwritable(options, error) if isinstance(error, OSError) else None
        if path is None or not isinstance(error, OSError):
            raise
        print_failure(VurError("runs.output", path=path, reason=error.strerror or str(error)), language)
        return 1


def full_disk(error: Exception) -> VurError | None:
    """The error of a full disk with the data home, if `error` tells of one."""
    from vur.store.full_disk import LEAST, disk_error, free_bytes, is_full

    return disk_error() if is_full(error) and free_bytes() < LEAST else None


def no_catalog(error: Exception) -> VurError | None:
    """The error of a catalog whose database does not answer, if `error` is one of SQLAlchemy (an extra)."""
    if not type(error).__module__.startswith("sqlalchemy."):
        return None
    from vur.store.database import unavailable

    return unavailable(error)


def unwritable(options: argparse.Namespace, error: OSError) -> str | None:
    """The output path among `options` that `error` is about; None for an error about anything else."""
    for name in OUTPUTS:
        path = getattr(options, name, None)
        about = str(error.filename if error.filename is not None else error)
        parent = str(Path(path).parent) if path else "."
        if path and (str(path) in about or (parent != "." and parent in about)):
            return str(path)
    return None


def print_failure(error: VurError, language: str) -> None:
    """Print stage, cause and remedy, one line each, to standard error."""
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
