"""What keeps requests within their limits, and repeated ones from being done again."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, Table, Text

from fieldgate.db.tables.base import METADATA, time_column

# First answers by Idempotency-Key, for a day. Neither the key nor the request can be read from it.
idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    Column("scope", Text, primary_key=True),  # route and caller
    Column("key_hash", LargeBinary, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("answer", Text, nullable=False),  # JSON: what the envelope held
    time_column("created_at"),
)
Index("ix_idempotency_keys_created_at", idempotency_keys.c.created_at)

# Token buckets, where there is no Valkey. Unlogged: after a crash everybody starts with a full one.
rate_limits = Table(
    "rate_limits",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("full_at", DateTime(timezone=True), nullable=False),  # when the bucket is full again
    prefixes=["UNLOGGED"],
)
Index("ix_rate_limits_full_at", rate_limits.c.full_at)
