"""`vur users`: manage the accounts of the service."""

import argparse
import sys
from typing import TYPE_CHECKING

from vur.commands._arguments import add_language
from vur.errors import VurError
from vur.text import phrase, translate

if TYPE_CHECKING:
    from vur.store.catalog import User

PURPOSE = "add and manage the users of the service"
ORDER = 120
EXTRA = "serve"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the actions of `vur users` with their options."""
    from vur.store.catalog import ROLES

    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="create an account")
    add.add_argument("email")
    add.add_argument("--role", choices=ROLES, default="analyst")
    add.add_argument("--name", default="", help="full name")
    _add_password(add)
    everyone = actions.add_parser("list", help="list all accounts")
    role = actions.add_parser("set-role", help="change the role of an account")
    role.add_argument("email")
    role.add_argument("role", choices=ROLES)
    deactivate = actions.add_parser("deactivate", help="disable an account: its user cannot log in, its data stays")
    activate = actions.add_parser("activate", help="enable a disabled account")
    reset = actions.add_parser("reset-password", help="set a new password and end all sessions")
    _add_password(reset)
    for one in (deactivate, activate, reset):
        one.add_argument("email")
    for one in (add, everyone, role, deactivate, activate, reset):
        add_language(one)


def _add_password(command: argparse.ArgumentParser) -> None:
    source = command.add_mutually_exclusive_group()
    source.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    source.add_argument("--generate", action="store_true", help="generate a password and print it once")


def run(options: argparse.Namespace, language: str) -> int:
    """Run one action on the accounts."""
    from vur.store.database import migrate

    migrate()
    if options.action == "list":
        return _list(language)
    if options.action == "add":
        return _add_user(options, language)
    if options.action == "reset-password":
        return _reset(options, language)
    changes = {
        "set-role": lambda: {"role": options.role},
        "deactivate": lambda: {"active": False},
        "activate": lambda: {"active": True},
    }
    return _change(options.email, changes[options.action](), language)


def _list(language: str) -> int:
    from sqlalchemy import select

    from vur.store.catalog import User
    from vur.store.database import reading

    with reading() as session:
        users = session.scalars(select(User).order_by(User.email)).all()
    if not users:
        print(translate("cli.users.none", language))
        return 0
    never = translate("cli.users.never", language)
    rows = [translate("cli.users.columns", language).split("|")]
    rows += [
        [
            user.email,
            user.role,
            _state(user.active, language),
            user.last_login_at.isoformat(timespec="minutes") if user.last_login_at else never,
        ]
        for user in users
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _state(active: bool, language: str) -> str:
    return translate("cli.users.active" if active else "cli.users.inactive", language)


def _add_user(options: argparse.Namespace, language: str) -> int:
    from vur.store.accounts.users import add_user, clean_email, find_user
    from vur.store.database import writing

    email = clean_email(options.email)
    with writing() as session:
        if find_user(session, email) is not None:
            raise VurError("api.taken", field="email")
    password = _password(options, language)
    with writing() as session:
        user = add_user(session, email, password, full_name=options.name, role=options.role, language=language)
    print(translate("cli.users.added", language, email=user.email, role=phrase(f"word.{user.role}")))
    if options.generate:
        print(translate("cli.users.generated", language, email=user.email, password=password))
    return 0


def _password(options: argparse.Namespace, language: str) -> str:
    """Return the password: generated, read from standard input, or typed twice without echo."""
    import getpass
    import secrets

    if options.generate:
        return secrets.token_urlsafe(15)
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(translate("cli.users.password", language))
    if first != getpass.getpass(translate("cli.users.again", language)):
        raise VurError("users.two_passwords")
    return first


def _reset(options: argparse.Namespace, language: str) -> int:
    from vur.store.accounts.sessions import end_logins
    from vur.store.accounts.users import change_user, hash_password, known_user
    from vur.store.database import reading, writing

    with reading() as session:
        known_user(session, options.email)
    password = _password(options, language)
    with writing() as session:
        user = known_user(session, options.email)
        change_user(session, user, {"password_hash": hash_password(password, user.email, user.username)})
        end_logins(session, user.id)
    _say_changed(user, language)
    if options.generate:
        print(translate("cli.users.generated", language, email=user.email, password=password))
    return 0


def _say_changed(user: "User", language: str) -> None:
    role, state = phrase(f"word.{user.role}"), _state(user.active, language)
    print(translate("cli.users.changed", language, email=user.email, role=role, state=state))


def _change(email: str, changes: dict[str, object], language: str) -> int:
    from vur.store.accounts.users import change_user, known_user
    from vur.store.database import writing

    with writing() as session:
        user = change_user(session, known_user(session, email), changes)
    _say_changed(user, language)
    return 0
