"""PostgreSQL databases as data sources, read in read-only transactions."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from vur.errors import VurError
from vur.store.feeds import reader
from vur.store.feeds.reader import Schemas, quoted

MASK = "***"
# As libpq reads it; anything else would end up in the part of the address that its messages quote.
URL = re.compile(
    r"postgres(?:ql)?://[^:/@]+(?::[^/@]*)?@(?:[\w.%-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?/[^/?#@]+(?:\?[^@]*)?",
    re.IGNORECASE,
)
PERCENT = re.compile(r"%(?![0-9a-f]{2})|%00", re.IGNORECASE)
URL_KEYS = {"host", "port", "user", "password", "dbname", "sslmode"}


class Postgresql(Schemas):
    """A PostgreSQL database in a read-only transaction."""

    is_url = True
    url_form: ClassVar[str] = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    mark = "%s"

    def __init__(self, address: str):
        import psycopg

        options = (
            f"-c default_transaction_read_only=on -c statement_timeout={1000 * reader.SECONDS} "
            "-c lock_timeout=2000 -c timezone=UTC"
        )
        # Empty values keep libpq from reading the password files and environment of the service's own account.
        given = {"password": "", "sslmode": "prefer"} | parsed_url(address)
        self.connection = psycopg.connect(
            **given,
            passfile="/dev/null",
            connect_timeout=reader.CONNECT_SECONDS,
            options=options,
            application_name="vur",
        )
        self.connection.read_only = True

    @classmethod
    def masked(cls, address: str) -> str:
        """The URL with its password masked."""
        part = parsed_url(address)
        secret = f":{MASK}" if part.get("password") else ""
        port = f":{part['port']}" if part.get("port") else ""
        return f"postgresql://{part['user']}{secret}@{part['host']}{port}/{part['dbname']}"

    @classmethod
    def secrets(cls, address: str) -> list[str]:
        """The URL itself, and its password, also as it is written in a URL."""
        password = parsed_url(address).get("password")
        return [address, *filter(None, [password, password and quote(password, safe="")])]

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See `Sql.fetch`."""
        found = self.connection.execute(query, tuple(values))
        return [column.name for column in found.description], found.fetchall()

    def name(self, name: str) -> str:
        """Quote an identifier, and escape percent signs, which the driver would read as placeholders."""
        return quoted(name).replace("%", "%%")

    def listed(self) -> list[tuple[str, str, str, str]]:
        """List the columns that the user of the URL may read."""
        return self.fetch(
            "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') "
            "ORDER BY table_schema <> current_schema(), table_schema, table_name, ordinal_position"
        )[1]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def parsed_url(url: str) -> dict[str, Any]:
    """Parse a PostgreSQL URL into its parts.

    `VurError` connections.url if it has another form or a part is missing, without a word of it; connections.option for
    options that are not allowed: they could read files of the server or switch off the read-only transaction.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    if "://" in url and (not URL.fullmatch(url) or PERCENT.search(url)):
        raise VurError("connections.url", field="source")
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:  # its message quotes the address
        raise VurError("connections.url", field="source") from None
    for key in given.keys() - URL_KEYS:
        raise VurError("connections.option", option=key, allowed=", ".join(sorted(URL_KEYS)), field="source")
    complete = all(given.get(key) for key in ("host", "user", "dbname"))
    if not complete or "," in str(given["host"]):  # of several hosts, libpq would wait for each in turn
        raise VurError("connections.url", field="source")
    return given
