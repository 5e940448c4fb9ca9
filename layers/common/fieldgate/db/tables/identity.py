"""Who may do what: users, their roles, and the permissions of a role."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    false,
    func,
    text,
)

from fieldgate.db.tables.base import METADATA, id_column, time_column

users = Table(
    "users",
    METADATA,
    id_column(),
    Column("phone", Text, unique=True),  # E.164
    Column("email", Text),
    Column("name", Text, nullable=False),
    Column("password_hash", Text),
    Column("status", Text, nullable=False, server_default=text("'active'")),
    Column("two_factor_enabled", Boolean, nullable=False, server_default=false()),
    # Goes up when what the user may do changes; tokens carry the one they were issued with.
    Column("permission_version", Integer, nullable=False, server_default=text("1")),
    time_column("created_at"),
    time_column("updated_at"),
    CheckConstraint(r"phone ~ '^\+[1-9][0-9]{7,14}$'", name="phone_e164"),
    CheckConstraint("phone IS NOT NULL OR email IS NOT NULL", name="phone_or_email"),
    CheckConstraint("status IN ('pending', 'active', 'blocked')", name="status"),
)
Index("uq_users_email", func.lower(users.c.email), unique=True)
Index("ix_users_page", users.c.created_at.desc(), users.c.id.desc())
# The few who are pending or blocked.
Index(
    "ix_users_inactive_page",
    users.c.created_at.desc(),
    users.c.id.desc(),
    postgresql_where=users.c.status != "active",
)

roles = Table(
    "roles",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("description", Text, nullable=False),
    CheckConstraint("name ~ '^[a-z][a-z_]*$'", name="name"),
)

permissions = Table(
    "permissions",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("description", Text, nullable=False),
    CheckConstraint("name ~ '^[a-z_]+:[a-z_]+$'", name="resource_action"),
)

role_permissions = Table(
    "role_permissions",
    METADATA,
    Column("role", Text, ForeignKey("roles.name", ondelete="CASCADE"), primary_key=True),
    Column(
        "permission",
        Text,
        ForeignKey("permissions.name", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)

user_roles = Table(
    "user_roles",
    METADATA,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, ForeignKey("roles.name", ondelete="CASCADE"), primary_key=True),
)
# Who has a role, a page at a time.
Index("ix_user_roles_role", user_roles.c.role, user_roles.c.user_id)
