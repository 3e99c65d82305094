"""What Alembic runs: migrations over the connection that ``schema.upgrade`` hands in."""

from alembic import context

from steerboard.store import label_table, recipe_tables  # noqa: F401 (tables of the same Base)
from steerboard.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
