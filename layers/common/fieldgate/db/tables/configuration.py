"""What admins set while the system runs. Its history is the change log's."""

from sqlalchemy import Boolean, CheckConstraint, Column, Integer, Table, Text, text, true
from sqlalchemy.dialects.postgresql import JSONB

from fieldgate.db.tables.base import METADATA, time_column

# Of a key that has no row, or one that isn't active, the registry's default is in force
# (fieldgate.configuration).
configuration = Table(
    "configuration",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("version", Integer, nullable=False, server_default=text("1")),
    time_column("updated_at"),
    CheckConstraint("version > 0", name="version"),
)
