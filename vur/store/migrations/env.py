"""Alembic's entry point: runs the migrations on the connection from `vur.store.database.migrate`."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import JSON

from vur.store.catalog import Base, Utc


def render_item(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """Render the catalog's types in a new revision without importing the catalog, which changes later."""
    if kind == "type" and isinstance(item, Utc):
        return "sa.DateTime(timezone=True)"
    return "JSON" if kind == "type" and isinstance(item, JSON) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
