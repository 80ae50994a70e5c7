"""`vur backup`: catalog, data and models in one file."""

import argparse
from pathlib import Path

from vur.commands._arguments import add_language
from vur.text import translate

PURPOSE = "back up catalog, data and models to one file while the service runs"
ORDER = 160
EXTRA = "serve"
PARTS = ("data", "models", "runs")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur backup`."""
    command.add_argument("file", help="tar file to write; it must not exist")
    command.add_argument("--without", action="append", choices=PARTS, default=[], help="leave a part out (repeatable)")
    command.add_argument(
        "--secrets", action="store_true", help="include the secrets, so that registered databases can be read elsewhere"
    )
    add_language(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Write the backup; the service may keep running."""
    from vur.store.operations.backup import backup

    made = backup(Path(options.file).absolute(), tuple(options.without), options.secrets)
    print(
        translate(
            "cli.backup.written",
            language,
            path=options.file,
            files=len(made.files),
            size=f"{made.size / 2**20:.1f}",
            revision=made.revision,
        )
    )
    print(translate("cli.backup.with_secrets" if options.secrets else "cli.backup.without_secrets", language))
    return 0
