"""Alembic's entry: it works on the connection, and in the transaction, that it is given."""

from alembic import context
from sqlmodel import SQLModel

import backend.db.tables  # noqa: F401  fills the metadata
from backend.db.migrate import plain_type

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    render_item=plain_type,
)
context.run_migrations()
