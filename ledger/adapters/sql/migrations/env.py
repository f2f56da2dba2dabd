"""Alembic's environment. `ledger.adapters.sql.migrate` opens the connection and its transaction, and hands them in."""

from alembic import context

from ledger.adapters.sql.rows import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True
)
context.run_migrations()
