"""The processes that `vur up`, `vur serve` and `vur dashboards` start, and the first account."""

import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vur.errors import VurError
from vur.settings import settings
from vur.text import translate

if TYPE_CHECKING:
    from vur.serving.process.supervisor import Child


def check_port(host: str, port: int) -> None:
    """`VurError` serve.port if nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise VurError("serve.port", host=host, port=port, reason=error.strerror or error) from None


def pages_process(host: str, port: int) -> "Child":
    """The process of the dashboards."""
    from vur.serving.process.supervisor import Child

    return Child("dashboards", [sys.executable, "-m", "vur.dashboards.server", host, str(port)])


def lab_process(host: str, port: int, folder: str | None = None) -> "Child":
    """The process of JupyterLab behind the service's accounts, on a folder or on each visitor's own."""
    from vur.serving.process.supervisor import Child

    command = [sys.executable, "-m", "vur.dashboards.lab", host, str(port)]
    return Child("JupyterLab", command + ([folder] if folder else []))


def report_death(language: str) -> Callable[[str, int, int], None]:
    """Say on standard error that a process has ended and is started again."""
    return lambda name, code, rest: print(
        translate("serve.died", language, name=name, code=code, seconds=rest), file=sys.stderr, flush=True
    )


def first_account(language: str) -> None:
    """Ask for the first account, an administrator's; say which command makes it where nobody can be asked."""
    import getpass

    from vur.store.accounts.users import add_user, clean_email
    from vur.store.database import writing

    if not sys.stdin.isatty():
        print(translate("serve.nobody", language), flush=True)
        return
    print(translate("serve.first", language), flush=True)
    while True:
        try:
            email = clean_email(input(translate("serve.first_email", language)).strip())
            password = getpass.getpass(translate("cli.users.password", language))
            if password != getpass.getpass(translate("cli.users.again", language)):
                raise VurError("users.two_passwords")
            with writing() as session:
                user = add_user(session, email, password, role="admin", language=language)
        except VurError as error:
            print(f"{error.cause(language)} {error.remedy(language)}", flush=True)
            continue
        print(translate("cli.users.added", language, email=user.email, role=user.role), flush=True)
        return


def answers(host: str, port: int, path: str) -> bool:
    """Whether the server that listens there answers, be it with a refusal; one that starts does not, or with 503."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def announce(servers: Sequence[tuple[str, int, str]], texts: Sequence[str]) -> None:
    """Print `texts` as soon as all `servers` answer, each given by host, port and path."""
    import threading
    import time

    def wait() -> None:
        while not all(answers(*one) for one in servers):
            time.sleep(0.3)
        print("\n".join(texts), flush=True)

    threading.Thread(target=wait, daemon=True, name="announce").start()


def share_settings(host: str, port: int) -> None:
    """Tell the child processes where the service of this command listens, if options say so."""
    chosen = settings()
    if (host, port) != (chosen.host, chosen.port):
        os.environ["VUR_HOST"], os.environ["VUR_PORT"] = host, str(port)
        settings.cache_clear()
