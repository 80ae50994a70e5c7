"""`vur init`: prepare an installation."""

import argparse

from vur.commands._arguments import add_language
from vur.text import translate

PURPOSE = "prepare the data home: secrets, catalog, job tables"
ORDER = 110
EXTRA = "serve"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `vur init`."""
    add_language(command)


def run(options: argparse.Namespace, language: str) -> int:
    """Create the data home or migrate it to this version; safe to repeat."""
    from sqlalchemy import select

    from vur.jobs.queue import create_schema
    from vur.store.catalog import User
    from vur.store.database import migrate, newest_revision, reading
    from vur.store.home import home
    from vur.store.secret import secret

    secret("tokens")
    migrate()
    create_schema()
    print(translate("cli.init.done", language, path=home(), revision=newest_revision()))
    with reading() as session:
        if session.scalar(select(User.id).where(User.role == "admin", User.active).limit(1)) is None:
            print(translate("cli.init.no_admin", language))
    return 0
