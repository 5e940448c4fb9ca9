"""Configuration that admins set while the system runs, and the leases of schedules' rounds.

The history of a key is the change log's. Leases say who is at work, so there is no change log of
them.

| permission   | admin | agent | warehouse_manager | farmer | sponsor |
|--------------|-------|-------|-------------------|--------|---------|
| config:write | yes   |       |                   |        |         |
| health:read  | yes   |       |                   |        |         |

Where the functions' role is not the owner, it is granted:
    GRANT SELECT, INSERT, UPDATE ON configuration TO app;
    GRANT SELECT, INSERT, UPDATE ON schedule_leases TO app;
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# All of the admin's.
PERMISSIONS = {
    "config:write": "See and set the configuration",
    "health:read": "See how each dependency does",
}


def upgrade() -> None:
    op.create_table(
        "configuration",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("key", name="pk_configuration"),
        sa.CheckConstraint("version > 0", name="ck_configuration_version"),
    )
    for name, event, level, function in (
        ("touch_updated_at", "BEFORE UPDATE", "ROW", "touch_updated_at()"),
        (
            "record_change",
            "AFTER INSERT OR UPDATE OR DELETE",
            "ROW",
            "record_change('key', '')",
        ),
        ("refuse_truncate", "BEFORE TRUNCATE", "STATEMENT", "refuse_change()"),
    ):
        op.execute(
            f"CREATE TRIGGER {name} {event} ON configuration FOR EACH {level}"
            f" EXECUTE FUNCTION {function}"
        )
        op.execute(f"ALTER TABLE configuration ENABLE ALWAYS TRIGGER {name}")
    op.create_table(
        "schedule_leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedule_leases"),
    )
    op.bulk_insert(
        sa.table("permissions", sa.column("name"), sa.column("description")),
        [{"name": name, "description": what} for name, what in PERMISSIONS.items()],
    )
    op.bulk_insert(
        sa.table("role_permissions", sa.column("role"), sa.column("permission")),
        [{"role": "admin", "permission": name} for name in PERMISSIONS],
    )


def downgrade() -> None:
    permissions = sa.table("permissions", sa.column("name"))
    op.execute(permissions.delete().where(permissions.c.name.in_(PERMISSIONS)))
    op.drop_table("schedule_leases")
    op.drop_table("configuration")
