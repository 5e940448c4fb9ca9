"""One-time codes: what was asked for, what a number may still ask for, what was texted.

No code is in here: it follows from a challenge's id and a secret (see fieldgate.one_time_codes).
"""

from sqlalchemy import (
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
from sqlalchemy.dialects.postgresql import ARRAY

from fieldgate.db.tables.base import METADATA, id_column, time_column

otp_challenges = Table(
    "otp_challenges",
    METADATA,
    id_column(),
    Column("phone", Text, nullable=False),  # E.164
    Column("purpose", Text, nullable=False),
    # Whom a right code is for. None: a registration, or a challenge that nothing can win, made so
    # that the answer does not tell whether a number is known.
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE")),
    # Of the session that a second factor begins, as the login before it asked for.
    Column("profile", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("sends", Integer, nullable=False, server_default=text("1")),
    time_column("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("verified_at", DateTime(timezone=True)),
    CheckConstraint(
        "purpose IN ('register', 'login', 'second_factor', 'password_reset', 'phone_change')",
        name="purpose",
    ),
    CheckConstraint("profile IN ('web', 'mobile')", name="profile"),
)
Index("ix_otp_challenges_created_at", otp_challenges.c.created_at)
Index("ix_otp_challenges_user_id", otp_challenges.c.user_id)

# What is to become a user once the number is proved: no account exists before.
registrations = Table(
    "registrations",
    METADATA,
    Column(
        "challenge_id",
        Uuid,
        ForeignKey("otp_challenges.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("password_hash", Text, nullable=False),
)

# The budgets of a number, which outlive its challenges: times of the last day, oldest first.
otp_phones = Table(
    "otp_phones",
    METADATA,
    Column("phone", Text, primary_key=True),
    Column("sent_at", ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'")),
    Column(
        "failed_at", ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'")
    ),
    time_column("updated_at"),
)
Index("ix_otp_phones_updated_at", otp_phones.c.updated_at)

# Budgets of addresses, number prefixes, countries, and of all: counted from the hour or day's
# beginning. `key` says which ("hour:ip:192.0.2.7").
otp_counters = Table(
    "otp_counters",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("window_start", DateTime(timezone=True), primary_key=True),
    Column("used", Integer, nullable=False),
)
Index("ix_otp_counters_window_start", otp_counters.c.window_start)

# One row a text. What it says is put together when it is sent.
sms_messages = Table(
    "sms_messages",
    METADATA,
    id_column(),
    Column(
        "challenge_id",
        Uuid,
        ForeignKey("otp_challenges.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("phone", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # Since when a worker is at it: a lease that outlives a killed one.
    Column("sending_since", DateTime(timezone=True)),
    Column("provider", Text),
    Column("provider_message_id", Text),
    Column("failure", Text),
    time_column("created_at"),
    Column("sent_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint(
        "kind IN ('code', 'already_registered', 'password_first', 'phone_changed')", name="kind"
    ),
    CheckConstraint(
        "state IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'expired')", name="state"
    ),
)
Index(
    "uq_sms_messages_provider_message_id",
    sms_messages.c.provider_message_id,
    unique=True,
)
Index(
    "ix_sms_messages_unsent",
    sms_messages.c.created_at,
    postgresql_where=sms_messages.c.state.in_(["queued", "sending"]),
)
