"""Runs the migrations on the connection that `fieldgate.db.migrate` hands over.

The tables are not given: a migration says what it makes, names of constraints too, and goes on
saying it when the tables have moved on.
"""

from alembic import context

from fieldgate.db.migrate import HISTORY_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=HISTORY_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
