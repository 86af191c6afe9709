"""Run by alembic: applies the migrations on the connection that curate.db.migrate hands over."""

from alembic import context

from curate.db.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
