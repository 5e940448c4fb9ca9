"""Push: devices, notifications with their recipients, and what people want to hear when.

A device belongs to a session, and goes when that ends: `forget_devices` sees to it whoever ends it.

What is told is masked in the change log, which keeps for good what an inbox forgets. A device's
being seen again and a notification's recipients, which follow from it, are no changes to record.

| permission         | admin | agent | warehouse_manager | farmer | sponsor |
|--------------------|-------|-------|-------------------|--------|---------|
| notifications:send | yes   |       |                   |        |         |

Where the functions' role is not the owner, it is granted:
    GRANT SELECT, INSERT, UPDATE, DELETE ON devices, notifications, notification_recipients,
        notification_preferences TO app;
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FORGET_DEVICES = """
    CREATE FUNCTION forget_devices()
    RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    BEGIN
        DELETE FROM public.devices WHERE session_id = NEW.id;
        RETURN NULL;
    END $$"""


def upgrade() -> None:
    op.drop_index("ix_user_roles_role", "user_roles")
    op.create_index("ix_user_roles_role", "user_roles", ["role", "user_id"])
    _create_devices()
    _create_notifications()
    _create_recipients()
    _create_preferences()
    _record_changes()
    op.execute(
        "INSERT INTO permissions (name, description)"
        " VALUES ('notifications:send', 'Notify users and roles')"
    )
    op.execute(
        "INSERT INTO role_permissions (role, permission) VALUES ('admin', 'notifications:send')"
    )


def downgrade() -> None:
    op.execute("DELETE FROM permissions WHERE name = 'notifications:send'")
    op.drop_index("ix_user_roles_role", "user_roles")
    op.create_index("ix_user_roles_role", "user_roles", ["role"])
    op.execute("DROP TRIGGER forget_devices ON sessions")
    op.execute("DROP FUNCTION forget_devices()")
    for table in (
        "notification_preferences",
        "notification_recipients",
        "notifications",
        "devices",
    ):
        op.drop_table(table)


def _create_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("id", sa.Uuid(), server_default=sa.func.uuidv7(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        _text("kind"),
        _text("platform"),
        sa.Column("app_version", sa.Text()),
        _time("created_at"),
        _time("last_seen_at"),
        _moment("disabled_at"),
        sa.Column("disabled_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("token_hash", name="uq_devices_token_hash"),
        _reference("devices", "user_id", "users"),
        _reference("devices", "session_id", "sessions"),
        sa.CheckConstraint("kind IN ('token', 'fid')", name="ck_devices_kind"),
        sa.CheckConstraint("platform IN ('android', 'ios', 'web')", name="ck_devices_platform"),
        sa.CheckConstraint(
            "(disabled_at IS NULL) = (disabled_reason IS NULL)", name="ck_devices_disabled_reason"
        ),
    )
    for column in ("user_id", "session_id", "last_seen_at"):
        op.create_index(f"ix_devices_{column}", "devices", [column])


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), server_default=sa.func.uuidv7(), nullable=False),
        _text("kind"),
        _text("title"),
        _text("body"),
        sa.Column("data", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        _text("collapse_key"),
        _list("user_ids", sa.Uuid()),
        _list("roles", sa.Text()),
        sa.Column("permission", sa.Text()),
        sa.Column("except_user_id", sa.Uuid()),
        sa.Column("created_by", sa.Uuid()),
        _time("created_at"),
        sa.Column("expanded_to", sa.Uuid()),
        _moment("expanded_at"),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name="fk_notifications_created_by_users"
        ),
    )
    op.create_index("ix_notifications_created_at", "notifications", ["created_at"])
    op.create_index(
        "ix_notifications_unexpanded",
        "notifications",
        ["id"],
        postgresql_where=sa.text("expanded_at IS NULL"),
    )


def _create_recipients() -> None:
    table = "notification_recipients"
    op.create_table(
        table,
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("reason", sa.Text()),
        _time("due_at"),
        _count("attempts"),
        _list("done_devices", sa.Uuid()),
        _count("sent"),
        _time("created_at"),
        _moment("finished_at"),
        _moment("read_at"),
        sa.PrimaryKeyConstraint("notification_id", "user_id", name=f"pk_{table}"),
        _reference(table, "notification_id", "notifications"),
        _reference(table, "user_id", "users"),
        sa.CheckConstraint(
            "state IN ('queued', 'sent', 'suppressed', 'failed')", name=f"ck_{table}_state"
        ),
    )
    op.create_index(
        f"ix_{table}_due", table, ["due_at"], postgresql_where=sa.text("state = 'queued'")
    )
    op.create_index(f"ix_{table}_inbox", table, ["user_id", sa.text("notification_id DESC")])
    op.create_index(
        f"ix_{table}_unread", table, ["user_id"], postgresql_where=sa.text("read_at IS NULL")
    )


def _create_preferences() -> None:
    op.create_table(
        "notification_preferences",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("quiet_from", sa.Time()),
        sa.Column("quiet_to", sa.Time()),
        sa.Column("time_zone", sa.Text()),
        _list("muted", sa.Text()),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("user_id", name="pk_notification_preferences"),
        _reference("notification_preferences", "user_id", "users"),
        sa.CheckConstraint(
            "num_nulls(quiet_from, quiet_to, time_zone) IN (0, 3)",
            name="ck_notification_preferences_quiet_hours_whole",
        ),
    )


def _record_changes() -> None:
    op.execute(FORGET_DEVICES)
    op.execute("REVOKE EXECUTE ON FUNCTION forget_devices() FROM PUBLIC")
    _trigger(
        "sessions",
        "forget_devices",
        "AFTER UPDATE",
        "ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)",
        "forget_devices()",
    )
    record = "record_change('id', 'token_hash,token')"
    _trigger("devices", "record_change", "AFTER INSERT OR DELETE", "ROW", record)
    changed = "(OLD.user_id, OLD.disabled_at) IS DISTINCT FROM (NEW.user_id, NEW.disabled_at)"
    _trigger("devices", "record_move", "AFTER UPDATE", f"ROW WHEN ({changed})", record)
    _trigger(
        "notifications",
        "record_change",
        "AFTER INSERT OR DELETE",
        "ROW",
        "record_change('id', 'title,body,data')",
    )
    # Where the first page was not all of them: now everybody has it in their inbox.
    written = "OLD.expanded_at IS NULL AND NEW.expanded_at IS NOT NULL"
    _trigger(
        "notifications",
        "record_expanded",
        "AFTER UPDATE",
        f"ROW WHEN ({written} AND OLD.expanded_to IS NOT NULL)",
        "record_change('id', 'title,body,data')",
    )
    _trigger(
        "notification_preferences",
        "touch_updated_at",
        "BEFORE UPDATE",
        "ROW",
        "touch_updated_at()",
    )
    _trigger(
        "notification_preferences",
        "record_change",
        "AFTER INSERT OR UPDATE OR DELETE",
        "ROW",
        "record_change('user_id', '')",
    )
    for table in ("devices", "notifications", "notification_preferences"):
        _trigger(table, "refuse_truncate", "BEFORE TRUNCATE", "STATEMENT", "refuse_change()")


def _trigger(table: str, name: str, event: str, level: str, function: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}"
    )
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _list(name: str, of: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, postgresql.ARRAY(of), server_default=sa.text("'{}'"), nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)


def _moment(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True))


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=f"fk_{table}_{column}_{target}", ondelete="CASCADE"
    )
