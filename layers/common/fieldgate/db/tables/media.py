"""What was uploaded, and what became of it."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fieldgate.db.tables.base import METADATA, id_column, time_column

media = Table(
    "media",
    METADATA,
    id_column(),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("folder", Text, nullable=False),
    Column("filename", Text, nullable=False),  # the client's name for it, never part of a key
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("sha256", Text),  # hex, as the client declared it
    Column("object_key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    # Since when, and for which time, a run is at work on it: a lease that outlives a killed one.
    Column("processing_since", DateTime(timezone=True)),
    Column("processing_attempts", Integer, nullable=False, server_default=text("0")),
    Column("rejected_reason", Text),
    Column("variants", JSONB, nullable=False, server_default=text("'{}'")),
    time_column("created_at"),
    time_column("updated_at"),
    Column("deleted_at", DateTime(timezone=True)),
    CheckConstraint("size > 0", name="size"),
    CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
    CheckConstraint(
        "state IN ('pending', 'processing', 'ready', 'stored', 'rejected')", name="state"
    ),
    CheckConstraint("(state = 'rejected') = (rejected_reason IS NOT NULL)", name="rejected_reason"),
)
# A page of somebody's media, newest first; a deleted one is never on it.
Index(
    "ix_media_owner_page",
    media.c.owner_id,
    media.c.created_at.desc(),
    media.c.id.desc(),
    postgresql_where=media.c.deleted_at.is_(None),
)
Index(
    "ix_media_owner_folder_page",
    media.c.owner_id,
    media.c.folder,
    media.c.created_at.desc(),
    media.c.id.desc(),
    postgresql_where=media.c.deleted_at.is_(None),
)
# The same of everybody's, for who may see them.
Index(
    "ix_media_page",
    media.c.created_at.desc(),
    media.c.id.desc(),
    postgresql_where=media.c.deleted_at.is_(None),
)
Index(
    "ix_media_folder_page",
    media.c.folder,
    media.c.created_at.desc(),
    media.c.id.desc(),
    postgresql_where=media.c.deleted_at.is_(None),
)
# What the clean-up looks through: announced and never sent; hidden and not quite gone.
Index(
    "ix_media_pending",
    media.c.created_at,
    postgresql_where=text("state = 'pending' AND deleted_at IS NULL"),
)
Index("ix_media_hidden", media.c.deleted_at, postgresql_where=text("deleted_at IS NOT NULL"))
