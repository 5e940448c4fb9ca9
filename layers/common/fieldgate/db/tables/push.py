"""Phones that take pushes, what people are told, and how far it came.

A recipient's row is both the entry in their inbox and the work of pushing it: it is due at
`due_at`, which whoever takes it moves ahead, so that a killed worker's work comes back by itself.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Time,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from fieldgate.db.tables.base import METADATA, id_column, time_column

# A trigger removes those of a session that ends, whoever ends it.
devices = Table(
    "devices",
    METADATA,
    id_column(),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    # See push.device_tokens.
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("token", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("app_version", Text),
    time_column("created_at"),
    time_column("last_seen_at"),
    # Since when the provider says that it is no more, and how.
    Column("disabled_at", DateTime(timezone=True)),
    Column("disabled_reason", Text),
    CheckConstraint("kind IN ('token', 'fid')", name="kind"),
    CheckConstraint("platform IN ('android', 'ios', 'web')", name="platform"),
    CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled_reason"),
)
Index("ix_devices_user_id", devices.c.user_id)
Index("ix_devices_session_id", devices.c.session_id)
Index("ix_devices_last_seen_at", devices.c.last_seen_at)

notifications = Table(
    "notifications",
    METADATA,
    id_column(),
    Column("kind", Text, nullable=False),  # see fieldgate.push.kinds
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("data", JSONB, nullable=False, server_default=text("'{}'")),
    # What replaces an older one on a phone: those that have the same.
    Column("collapse_key", Text, nullable=False),
    # For whom: any of these, active, and not the one left out.
    Column("user_ids", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("roles", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("permission", Text),
    Column("except_user_id", Uuid),
    Column("created_by", Uuid, ForeignKey("users.id")),  # None: by itself
    time_column("created_at"),
    # Up to which user the recipients are written down, and since when all are.
    Column("expanded_to", Uuid),
    Column("expanded_at", DateTime(timezone=True)),
)
Index("ix_notifications_created_at", notifications.c.created_at)
Index(
    "ix_notifications_unexpanded",
    notifications.c.id,
    postgresql_where=notifications.c.expanded_at.is_(None),
)

notification_recipients = Table(
    "notification_recipients",
    METADATA,
    Column(
        "notification_id",
        Uuid,
        ForeignKey("notifications.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("reason", Text),  # why not, or why not yet
    time_column("due_at"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # Devices that have it, or never will.
    Column("done_devices", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("sent", Integer, nullable=False, server_default=text("0")),  # to how many of them
    time_column("created_at"),
    Column("finished_at", DateTime(timezone=True)),
    Column("read_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('queued', 'sent', 'suppressed', 'failed')", name="state"),
)
Index(
    "ix_notification_recipients_due",
    notification_recipients.c.due_at,
    postgresql_where=notification_recipients.c.state == "queued",
)
Index(
    "ix_notification_recipients_inbox",
    notification_recipients.c.user_id,
    notification_recipients.c.notification_id.desc(),
)
Index(
    "ix_notification_recipients_unread",
    notification_recipients.c.user_id,
    postgresql_where=notification_recipients.c.read_at.is_(None),
)

notification_preferences = Table(
    "notification_preferences",
    METADATA,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    # No pushes from then to then, by the clock of that place; over midnight where `to` is earlier.
    Column("quiet_from", Time),
    Column("quiet_to", Time),
    Column("time_zone", Text),
    Column("muted", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # kinds
    time_column("updated_at"),
    CheckConstraint(
        "num_nulls(quiet_from, quiet_to, time_zone) IN (0, 3)", name="quiet_hours_whole"
    ),
)
