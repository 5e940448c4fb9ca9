"""What happened to every row, and what of it is still to be announced.

Both are written by the trigger `record_change` alone; the database refuses every other hand (see
the first migration).
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from fieldgate.db.tables.base import METADATA, time_column

change_log = Table(
    "change_log",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("entity", Text, nullable=False),  # the table's name
    Column("entity_id", Text, nullable=False),  # the key; its parts joined by ":"
    Column("action", Text, nullable=False),
    Column("actor", Text),
    Column("request_id", Text),
    # Rows as JSON, masked values as "***".
    Column("before", JSONB(none_as_null=True)),
    Column("after", JSONB(none_as_null=True)),
    # The columns an update changed, masked ones too: their values say nothing.
    Column("changed", ARRAY(Text)),
    time_column("at"),
    CheckConstraint("action IN ('insert', 'update', 'delete')", name="action"),
)
Index("ix_change_log_entity", change_log.c.entity, change_log.c.entity_id, change_log.c.id)

outbox = Table(
    "outbox",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("change_id", BigInteger, nullable=False, unique=True),  # of change_log
    Column("entity", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text),
    Column("request_id", Text),
    time_column("created_at"),
    Column("dispatched_at", DateTime(timezone=True)),
)
Index("ix_outbox_undispatched", outbox.c.id, postgresql_where=outbox.c.dispatched_at.is_(None))
