"""`vur restore`: put back what `vur backup` wrote."""

import argparse
from pathlib import Path

from vur.commands._arguments import add_language
from vur.text import translate

PURPOSE = "restore what `vur backup` wrote"
ORDER = 170
EXTRA = "serve"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur restore`."""
    command.add_argument("file", help="what `vur backup` wrote")
    command.add_argument("--force", action="store_true", help="move existing data aside")
    command.add_argument("--check", action="store_true", help="only verify the checksums, restore nothing")
    add_language(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Verify the whole file, then restore it; the service must be stopped."""
    from vur.store.operations.backup import restore, verify

    path = Path(options.file).absolute()
    if options.check:
        found = verify(path)
        print(
            translate(
                "cli.restore.checked",
                language,
                path=options.file,
                files=len(found.files),
                size=f"{found.size / 2**20:.1f}",
                vur=found.vur,
                made=found.made_at,
            )
        )
        return 0
    done = restore(path, options.force)
    print(
        translate(
            "cli.restore.done",
            language,
            **{key: done.rows[key] for key in ("users", "datasets", "models", "forecasts")},
        )
    )
    if done.aside is not None:
        print(translate("cli.restore.aside", language, path=done.aside))
    if done.schema is not None:
        print(translate("cli.restore.schema", language, schema=done.schema))
    if not done.secrets:
        print(translate("cli.restore.locked", language, count=done.rows["connections"]))
    return 0
