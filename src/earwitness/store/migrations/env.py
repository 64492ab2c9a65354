"""Alembic's entry: connects and runs the migrations that are missing, in one transaction: a crash leaves the database as it was."""

from alembic import context

from earwitness.store.engine import engine_of
from earwitness.store.tables import metadata

engine = engine_of(context.config.get_main_option("sqlalchemy.url") or "", "BEGIN IMMEDIATE")
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
