"""Who is signed in: one row a session, whose refresh token changes with every use."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    Uuid,
)

from fieldgate.db.tables.base import METADATA, id_column, time_column

sessions = Table(
    "sessions",
    METADATA,
    id_column(),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("profile", Text, nullable=False),  # how long it may rest: see identity.sessions
    # SHA-256 of the refresh token that is good now, and of the one before it.
    Column("current_hash", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary),
    Column("rotated_at", DateTime(timezone=True)),
    time_column("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("end_reason", Text),
    CheckConstraint("profile IN ('web', 'mobile')", name="profile"),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="end_reason"),
)
Index("ix_sessions_alive", sessions.c.user_id, postgresql_where=sessions.c.ended_at.is_(None))
Index("ix_sessions_expires_at", sessions.c.expires_at)
