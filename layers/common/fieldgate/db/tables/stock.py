"""What lies in warehouses and until when it is good, what was lost, and who was warned."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from fieldgate.db.tables.base import METADATA, id_column, time_column

warehouses = Table(
    "warehouses",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("time_zone", Text, nullable=False),  # by whose calendar its lots expire
    time_column("created_at"),
    time_column("updated_at"),
)

stock_lots = Table(
    "stock_lots",
    METADATA,
    id_column(),
    Column("product", Text, nullable=False),
    Column("warehouse", Text, ForeignKey("warehouses.name"), nullable=False),
    Column("unit", Text, nullable=False),
    Column("received", Numeric(14, 3), nullable=False),
    Column("quantity", Numeric(14, 3), nullable=False),  # what is left of it
    Column("expires_on", Date, nullable=False),  # the last day on which it is good
    Column("created_by", Uuid, ForeignKey("users.id"), nullable=False),
    time_column("created_at"),
    time_column("updated_at"),
    CheckConstraint("received > 0", name="received"),
    CheckConstraint("quantity BETWEEN 0 AND received", name="quantity"),
)
Index("ix_stock_lots_page", stock_lots.c.created_at.desc(), stock_lots.c.id.desc())
Index(
    "ix_stock_lots_warehouse_page",
    stock_lots.c.warehouse,
    stock_lots.c.created_at.desc(),
    stock_lots.c.id.desc(),
)
# What may have to be warned of: lots that are not gone, in the order they are looked at.
Index(
    "ix_stock_lots_expiry",
    stock_lots.c.warehouse,
    stock_lots.c.expires_on,
    stock_lots.c.id,
    postgresql_where=stock_lots.c.quantity > 0,
)

# Reported by one, decided by another: the database holds it as well.
stock_losses = Table(
    "stock_losses",
    METADATA,
    id_column(),
    Column("lot_id", Uuid, ForeignKey("stock_lots.id"), nullable=False),
    Column("quantity", Numeric(14, 3), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("reported_by", Uuid, ForeignKey("users.id"), nullable=False),
    time_column("created_at"),
    Column("decided_by", Uuid, ForeignKey("users.id")),
    Column("decided_at", DateTime(timezone=True)),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("state IN ('pending', 'approved', 'rejected')", name="state"),
    CheckConstraint("(state = 'pending') = (decided_by IS NULL)", name="decided_by"),
    CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided_at"),
    CheckConstraint("decided_by <> reported_by", name="maker_checker"),
)
Index("ix_stock_losses_page", stock_losses.c.created_at.desc(), stock_losses.c.id.desc())
Index(
    "ix_stock_losses_state_page",
    stock_losses.c.state,
    stock_losses.c.created_at.desc(),
    stock_losses.c.id.desc(),
)
Index("ix_stock_losses_lot_id", stock_losses.c.lot_id)

# That a lot came within so many days of its expiry (0: beyond it). One for a lot and threshold,
# ever: that is what keeps a warning from being given twice. It follows from lots and the calendar,
# so it has no change log. A trigger closes those of a lot that is gone.
stock_alerts = Table(
    "stock_alerts",
    METADATA,
    Column("lot_id", Uuid, ForeignKey("stock_lots.id", ondelete="CASCADE"), primary_key=True),
    Column("threshold_days", SmallInteger, primary_key=True, autoincrement=False),
    Column("warehouse", Text, nullable=False),
    time_column("opened_at"),
    # Of the notification that told of it.
    Column("notification_id", Uuid),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_reason", Text),  # gone, superseded
    CheckConstraint("threshold_days IN (30, 14, 7, 1, 0)", name="threshold_days"),
    CheckConstraint("(closed_at IS NULL) = (closed_reason IS NULL)", name="closed_reason"),
    CheckConstraint("closed_reason IN ('gone', 'superseded')", name="closed_reason_known"),
)
# It has nothing of `closed_at`: then closing an alert costs no index anything.
Index(
    "ix_stock_alerts_untold",
    stock_alerts.c.warehouse,
    postgresql_where=stock_alerts.c.notification_id.is_(None),
)
