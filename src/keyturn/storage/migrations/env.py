"""Alembic's entry: runs on the transaction it is handed, which holds the lock."""

from alembic import context

from keyturn.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
