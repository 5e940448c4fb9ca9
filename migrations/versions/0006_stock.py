"""Stock: warehouses, lots with expiry, losses that a second person decides, and expiry alerts.

Alerts follow from lots and the calendar, so there is no change log of them. Those of a lot that is
gone are closed, whoever took the last of it: `close_alerts` sees to it.

| permission    | admin | agent | warehouse_manager | farmer | sponsor |
|---------------|-------|-------|-------------------|--------|---------|
| stock:read    | yes   | yes   | yes               |        |         |
| stock:write   | yes   | yes   | yes               |        |         |
| stock:approve | yes   |       | yes               |        |         |
| stock:alerts  | yes   |       | yes               |        |         |

stock:write is to register lots and report losses, stock:approve to decide on them, stock:alerts to
be told of lots that are about to expire.

Where the functions' role is not the owner, it is granted:
    GRANT SELECT, INSERT, UPDATE ON warehouses, stock_lots, stock_losses TO app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON stock_alerts TO app;
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Permission: (what it allows, roles that have it).
PERMISSIONS = {
    "stock:read": ("See lots and losses", ("admin", "agent", "warehouse_manager")),
    "stock:write": ("Register lots, report losses", ("admin", "agent", "warehouse_manager")),
    "stock:approve": ("Decide on others' reports of losses", ("admin", "warehouse_manager")),
    "stock:alerts": ("Be told of lots about to expire", ("admin", "warehouse_manager")),
}
# Table: its key.
RECORDED = {"warehouses": "name", "stock_lots": "id", "stock_losses": "id"}
TOUCHED = ("warehouses", "stock_lots")

CLOSE_ALERTS = """
    CREATE FUNCTION close_alerts()
    RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    BEGIN
        UPDATE public.stock_alerts SET closed_at = now(), closed_reason = 'gone'
        WHERE lot_id = NEW.id AND closed_at IS NULL;
        RETURN NULL;
    END $$"""


def upgrade() -> None:
    _create_lots()
    _create_losses()
    _create_alerts()
    op.execute(CLOSE_ALERTS)
    op.execute("REVOKE EXECUTE ON FUNCTION close_alerts() FROM PUBLIC")
    _trigger(
        "stock_lots",
        "close_alerts",
        "AFTER UPDATE",
        "ROW WHEN (OLD.quantity > 0 AND NEW.quantity = 0)",
        "close_alerts()",
    )
    for table in TOUCHED:
        _trigger(table, "touch_updated_at", "BEFORE UPDATE", "ROW", "touch_updated_at()")
    for table, key in RECORDED.items():
        record = f"record_change('{key}', '')"
        _trigger(table, "record_change", "AFTER INSERT OR UPDATE OR DELETE", "ROW", record)
        _trigger(table, "refuse_truncate", "BEFORE TRUNCATE", "STATEMENT", "refuse_change()")
    _seed()


def downgrade() -> None:
    permissions = sa.table("permissions", sa.column("name"))
    op.execute(permissions.delete().where(permissions.c.name.in_(PERMISSIONS)))
    for table in ("stock_alerts", "stock_losses", "stock_lots", "warehouses"):
        op.drop_table(table)
    op.execute("DROP FUNCTION close_alerts()")


def _create_lots() -> None:
    op.create_table(
        "warehouses",
        _text("name"),
        _text("time_zone"),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("name", name="pk_warehouses"),
    )
    op.create_table(
        "stock_lots",
        _id(),
        _text("product"),
        _text("warehouse"),
        _text("unit"),
        sa.Column("received", sa.Numeric(14, 3), nullable=False),
        sa.Column("quantity", sa.Numeric(14, 3), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_stock_lots"),
        _reference("stock_lots", "warehouse", "warehouses.name"),
        _reference("stock_lots", "created_by", "users.id"),
        sa.CheckConstraint("received > 0", name="ck_stock_lots_received"),
        sa.CheckConstraint("quantity BETWEEN 0 AND received", name="ck_stock_lots_quantity"),
    )
    page = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index("ix_stock_lots_page", "stock_lots", page)
    op.create_index("ix_stock_lots_warehouse_page", "stock_lots", ["warehouse", *page])
    op.create_index(
        "ix_stock_lots_expiry",
        "stock_lots",
        ["warehouse", "expires_on", "id"],
        postgresql_where=sa.text("quantity > 0"),
    )


def _create_losses() -> None:
    op.create_table(
        "stock_losses",
        _id(),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Numeric(14, 3), nullable=False),
        _text("reason"),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("reported_by", sa.Uuid(), nullable=False),
        _time("created_at"),
        sa.Column("decided_by", sa.Uuid()),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_stock_losses"),
        _reference("stock_losses", "lot_id", "stock_lots.id"),
        _reference("stock_losses", "reported_by", "users.id"),
        _reference("stock_losses", "decided_by", "users.id"),
        sa.CheckConstraint("quantity > 0", name="ck_stock_losses_quantity"),
        sa.CheckConstraint(
            "state IN ('pending', 'approved', 'rejected')", name="ck_stock_losses_state"
        ),
        sa.CheckConstraint(
            "(state = 'pending') = (decided_by IS NULL)", name="ck_stock_losses_decided_by"
        ),
        sa.CheckConstraint(
            "(state = 'pending') = (decided_at IS NULL)", name="ck_stock_losses_decided_at"
        ),
        sa.CheckConstraint("decided_by <> reported_by", name="ck_stock_losses_maker_checker"),
    )
    page = [sa.text("created_at DESC"), sa.text("id DESC")]
    op.create_index("ix_stock_losses_page", "stock_losses", page)
    op.create_index("ix_stock_losses_state_page", "stock_losses", ["state", *page])
    op.create_index("ix_stock_losses_lot_id", "stock_losses", ["lot_id"])


def _create_alerts() -> None:
    op.create_table(
        "stock_alerts",
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("threshold_days", sa.SmallInteger(), autoincrement=False, nullable=False),
        _text("warehouse"),
        _time("opened_at"),
        sa.Column("notification_id", sa.Uuid()),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("closed_reason", sa.Text()),
        sa.PrimaryKeyConstraint("lot_id", "threshold_days", name="pk_stock_alerts"),
        _reference("stock_alerts", "lot_id", "stock_lots.id", "CASCADE"),
        sa.CheckConstraint(
            "threshold_days IN (30, 14, 7, 1, 0)", name="ck_stock_alerts_threshold_days"
        ),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (closed_reason IS NULL)", name="ck_stock_alerts_closed_reason"
        ),
        sa.CheckConstraint(
            "closed_reason IN ('gone', 'superseded')", name="ck_stock_alerts_closed_reason_known"
        ),
    )
    op.create_index(
        "ix_stock_alerts_untold",
        "stock_alerts",
        ["warehouse"],
        postgresql_where=sa.text("notification_id IS NULL"),
    )


def _seed() -> None:
    op.bulk_insert(
        sa.table("permissions", sa.column("name"), sa.column("description")),
        [{"name": name, "description": what} for name, (what, _) in PERMISSIONS.items()],
    )
    op.bulk_insert(
        sa.table("role_permissions", sa.column("role"), sa.column("permission")),
        [
            {"role": role, "permission": name}
            for name, (_, granted) in PERMISSIONS.items()
            for role in granted
        ],
    )


def _trigger(table: str, name: str, event: str, level: str, function: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}"
    )
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid(), server_default=sa.func.uuidv7(), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _reference(
    table: str, column: str, target: str, ondelete: str | None = None
) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{target.partition('.')[0]}"
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete=ondelete)
