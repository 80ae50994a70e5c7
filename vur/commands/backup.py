"""`vur backup` and `vur restore`: everything in one file, and back."""

import argparse
from pathlib import Path

from vur.text import LANGUAGES, translate

PARTS = ("data", "models", "runs")


def add_backup(command: argparse.ArgumentParser) -> None:
    """Options of `vur backup`."""
    command.add_argument("file", help="tar file to write; it must not exist")
    command.add_argument(
        "--without", action="append", choices=PARTS, default=[], help="leave a part out (may be repeated)"
    )
    command.add_argument(
        "--secrets", action="store_true", help="include the secrets, so that registered databases can be read elsewhere"
    )
    command.add_argument("--language", choices=LANGUAGES)


def backup_command(options: argparse.Namespace, language: str) -> int:
    """`vur backup`: also while the service runs."""
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


def add_restore(command: argparse.ArgumentParser) -> None:
    """Options of `vur restore`."""
    command.add_argument("file", help="what `vur backup` wrote")
    command.add_argument("--force", action="store_true", help="move what is there aside")
    command.add_argument("--check", action="store_true", help="only compare the checksums, restore nothing")
    command.add_argument("--language", choices=LANGUAGES)


def restore_command(options: argparse.Namespace, language: str) -> int:
    """`vur restore`: verify everything, then put it in place; the service must be stopped."""
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
