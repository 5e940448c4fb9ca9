"""Files on their way in chunks: what is agreed, and how far it came.

What has arrived is not in here: storage is asked (see uploads.staged_chunks).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from fieldgate.db.tables.base import METADATA, id_column, time_column

uploads = Table(
    "uploads",
    METADATA,
    id_column(),
    # No foreign key: what is left of a transfer is still to be cleaned up when its media is gone.
    Column("media_id", Uuid, nullable=False, unique=True),
    Column("owner_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("object_key", Text, nullable=False),  # where the whole file will be
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes, of the whole file
    Column("sha256", Text),  # hex, of the whole file, as the client declared it
    Column("chunk_size", Integer, nullable=False),  # bytes, of every chunk but the last
    Column("state", Text, nullable=False, server_default=text("'created'")),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),
    # How many chunks had arrived at the last failure: more of them since, and it was not in a row.
    Column("received_at_failure", Integer, nullable=False, server_default=text("0")),
    Column("failure_reason", Text),
    # The file itself was refused: no use in taking the upload up again.
    Column("refused", Boolean, nullable=False, server_default=text("false")),
    # Since when, and for which time, a run puts the file together: a lease that outlives a killed
    # one.
    Column("assembling_since", DateTime(timezone=True)),
    Column("assembly_attempts", Integer, nullable=False, server_default=text("0")),
    Column("multipart_id", Text),  # of the last run that began parts
    Column("last_signed_at", DateTime(timezone=True)),
    time_column("created_at"),
    time_column("updated_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    # Since when nothing of it is in storage any more, and nothing can come.
    Column("cleaned_at", DateTime(timezone=True)),
    CheckConstraint("size > 0", name="size"),
    CheckConstraint("chunk_size > 0", name="chunk_size"),
    CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
    CheckConstraint(
        "state IN ('created', 'uploading', 'assembling', 'completed', 'failed', 'aborted',"
        " 'expired')",
        name="state",
    ),
    CheckConstraint("(state = 'failed') = (failure_reason IS NOT NULL)", name="failure_reason"),
)
# What the clean-up may find work in, in the order in which it goes through it: few, whatever the
# table's size. And what it forgets, which is all that the second one is to be good for.
Index("ix_uploads_uncleaned", uploads.c.id, postgresql_where=text("cleaned_at IS NULL"))
Index(
    "ix_uploads_cleaned_at", uploads.c.cleaned_at, postgresql_where=text("cleaned_at IS NOT NULL")
)
