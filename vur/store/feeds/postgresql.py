"""PostgreSQL as a source of rows, read in a transaction that cannot write."""

from collections.abc import Sequence
from typing import Any

from vur.errors import VurError
from vur.store.feeds import reader
from vur.store.feeds.reader import Schemas, quoted

URL_KEYS = {"host", "port", "user", "password", "dbname", "sslmode"}


class Postgresql(Schemas):
    """A PostgreSQL database in a transaction that cannot write."""

    mark = "%s"

    def __init__(self, url: str):
        import psycopg

        options = f"-c default_transaction_read_only=on -c statement_timeout={1000 * reader.SECONDS} -c lock_timeout=2000 -c timezone=UTC"
        # Empty values keep libpq from the password files and variables of the account that the service runs under.
        given = {"password": "", "sslmode": "prefer"} | parsed_url(url)
        self.connection = psycopg.connect(
            **given,
            passfile="/dev/null",
            connect_timeout=reader.CONNECT_SECONDS,
            options=options,
            application_name="vur",
        )
        self.connection.read_only = True

    def fetch(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of a query."""
        found = self.connection.execute(query, tuple(values))
        return [column.name for column in found.description], found.fetchall()

    def name(self, name: str) -> str:
        """Quoted, and with percent signs that the driver does not take for placeholders."""
        return quoted(name).replace("%", "%%")

    def listed(self) -> list[tuple[str, str, str, str]]:
        """What the user of the URL may read."""
        return self.fetch(
            "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') "
            "ORDER BY table_schema <> current_schema(), table_schema, table_name, ordinal_position"
        )[1]

    def close(self) -> None:
        """End the connection."""
        self.connection.close()


def parsed_url(url: str) -> dict[str, Any]:
    """The parts of a PostgreSQL URL; `VurError` connections.url for what it lacks, connections.option for parts that are not allowed.

    Other options could name files of the server or undo the protection.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise VurError("connections.url", reason=" ".join(str(error).split())) from None
    for key in given.keys() - URL_KEYS:
        raise VurError("connections.option", option=key, allowed=", ".join(sorted(URL_KEYS)))
    for key in ("host", "user", "dbname"):
        if not given.get(key):
            raise VurError("connections.url", reason=f"{key} is missing")
    if "," in str(given["host"]):  # each would be waited for in turn
        raise VurError("connections.url", reason="more than one host")
    return given
