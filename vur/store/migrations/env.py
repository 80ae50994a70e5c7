"""Alembic's entry: runs the migrations on the connection that `vur.store.database.migrate` gives."""

from typing import Any

from alembic import context
from sqlalchemy import JSON

from vur.store.catalog import Base, Utc


def render_item(kind: str, item: Any, autogen: Any) -> str | bool:
    """The catalog's own types as a new revision spells them: without importing the catalog, which moves on."""
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
