"""Who is connected, and the stream of what they are told.

A connection's row is its mailbox: it is owed the events after `sent_offset` up to `wanted_offset`.
None of these tables but `realtime_broadcasts` has a change log: they are the way of the change
log's news, or gone with a connection.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fieldgate.db.tables.base import METADATA, id_column, time_column

# One row. Whoever gives offsets away locks it, so that they are committed in their order.
realtime_stream = Table(
    "realtime_stream",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    # Another one, and every position that was given away before means nothing.
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("head", BigInteger, nullable=False, server_default=text("0")),  # the last one given
    # Events up to here are forgotten.
    Column("trimmed", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("trimmed BETWEEN 0 AND head", name="trimmed"),
)

realtime_events = Table(
    "realtime_events",
    METADATA,
    Column("event_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("audiences", ARRAY(Text), nullable=False),  # see realtime.audiences
    Column("at", DateTime(timezone=True), nullable=False),  # of the change
    time_column("dispatched_at"),
    CheckConstraint("kind IN ('changed', 'permissions')", name="kind"),
)

realtime_connections = Table(
    "realtime_connections",
    METADATA,
    Column("id", Text, primary_key=True),  # API Gateway's
    # No foreign keys: where a user or a session is gone, the connection is still to be closed.
    Column("user_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("token_expires_at", DateTime(timezone=True), nullable=False),
    Column("dialect", Text),  # as the first frame was; with `ready_at`
    Column("channels", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    time_column("connected_at"),
    # When a run took it upon itself to answer the handshake of a SignalR client.
    Column("handshake_at", DateTime(timezone=True)),
    # Since when it may be sent something: a SignalR client takes nothing before the answer to its
    # handshake.
    Column("ready_at", DateTime(timezone=True)),
    Column("sent_offset", BigInteger, nullable=False, server_default=text("0")),
    Column("wanted_offset", BigInteger, nullable=False, server_default=text("0")),
    # Until when a run that posts to it has it for itself.
    Column("leased_until", DateTime(timezone=True)),
    # How often in a row it took nothing, and until when it is left alone for that.
    Column("tries", SmallInteger, nullable=False, server_default=text("0")),
    Column("retry_at", DateTime(timezone=True)),
    CheckConstraint("dialect IN ('signalr', 'json')", name="dialect"),
    CheckConstraint("(dialect IS NULL) = (ready_at IS NULL)", name="ready"),
)
Index("ix_realtime_connections_user_id", realtime_connections.c.user_id)
Index("ix_realtime_connections_session_id", realtime_connections.c.session_id)
Index("ix_realtime_connections_connected_at", realtime_connections.c.connected_at)
# Who follows a channel. Most follow none.
Index(
    "ix_realtime_connections_channels",
    realtime_connections.c.channels,
    postgresql_using="gin",
    postgresql_where=text("channels <> '{}'"),
)


# What somebody had announced: a domain table, so its change log tells who, and its outbox row goes
# the way of every other.
realtime_broadcasts = Table(
    "realtime_broadcasts",
    METADATA,
    id_column(),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("audiences", ARRAY(Text), nullable=False),
    Column("created_by", Uuid, ForeignKey("users.id"), nullable=False),
    time_column("created_at"),
)
