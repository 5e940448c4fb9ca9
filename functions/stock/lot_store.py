"""Every query about lots."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Integer,
    Select,
    and_,
    any_,
    bindparam,
    cast,
    func,
    select,
    text,
    true,
)

from fieldgate.db.paging import newest_page, read_page
from fieldgate.db.tables.stock import stock_alerts, stock_lots, warehouses

# A warehouse that nobody has named before is made with it. Its clock stays, so what is configured
# for it is read here, and not in a cache that may be behind or away.
_ADD = """
    WITH made AS (
        INSERT INTO warehouses (name, time_zone)
        SELECT :warehouse, coalesce((
            SELECT value #>> '{}' FROM configuration
            WHERE key = :zone_key AND active
                AND value #>> '{}' IN (SELECT name FROM pg_timezone_names)
        ), :zone_default)
        WHERE NOT EXISTS (SELECT FROM warehouses WHERE name = :warehouse)
        ON CONFLICT DO NOTHING
    )
    INSERT INTO stock_lots (product, warehouse, unit, received, quantity, expires_on, created_by)
    VALUES (:product, :warehouse, :unit, :quantity, :quantity, :expires_on, :created_by)
    RETURNING id, product, quantity, received, unit, warehouse, expires_on, created_by, created_at,
        NULL AS alert_days"""


@dataclass(frozen=True)
class Lot:
    """A lot; `alert_days` is the threshold of its open alert."""

    id: UUID
    product: str
    quantity: Decimal
    received: Decimal
    unit: str
    warehouse: str
    expires_on: date
    created_by: UUID
    created_at: datetime
    alert_days: int | None


def add(connection: Connection, values: Mapping[str, Any]) -> Lot:
    """Add a lot, and its warehouse if that is new: one round trip.

    `values` are what the columns get; `zone_key` is the key of the configuration that has a new
    warehouse's time zone, and `zone_default` what it gets otherwise.
    """
    return Lot(**connection.execute(text(_ADD), values).mappings().one())


def find_page(
    connection: Connection,
    warehouse: str | None,
    expiring_within: int | None,
    limit: int,
    offset: int,
) -> tuple[list[Lot], int]:
    """Return one page, newest first, and how many there are in all: one round trip for both.

    With `expiring_within`: of lots that are not gone, and expire in so many days or have expired.
    """
    statement = _page(in_warehouse=warehouse is not None, expiring=expiring_within is not None)
    rows, total = read_page(
        connection,
        statement,
        limit=limit,
        offset=offset,
        warehouse=warehouse,
        days=expiring_within,
    )
    found = [{name: row[name] for name in Lot.__dataclass_fields__} for row in rows]
    return [Lot(**values) for values in found], total


def take(connection: Connection, lot_id: UUID, quantity: Decimal) -> bool:
    """Take a quantity from a lot; False when there isn't as much. The last closes its alerts."""
    taken = connection.execute(
        stock_lots.update()
        .where(stock_lots.c.id == lot_id, stock_lots.c.quantity >= quantity)
        .values(quantity=stock_lots.c.quantity - quantity)
    )
    return bool(taken.rowcount)


@cache
def _page(*, in_warehouse: bool, expiring: bool) -> Select[Any]:
    condition: ColumnElement[bool] = true()
    if in_warehouse:
        condition = and_(condition, stock_lots.c.warehouse == bindparam("warehouse"))
    if expiring:
        condition = and_(condition, _expires_soon(in_warehouse=in_warehouse))
    alert_days = (
        select(stock_alerts.c.threshold_days)
        .where(stock_alerts.c.lot_id == stock_lots.c.id, stock_alerts.c.closed_at.is_(None))
        .order_by(stock_alerts.c.threshold_days)
        .limit(1)
        .scalar_subquery()
    )
    columns = [
        *(column for column in stock_lots.c if column.name in Lot.__dataclass_fields__),
        alert_days.label("alert_days"),
    ]
    return newest_page(stock_lots, columns, condition)


def _expires_soon(*, in_warehouse: bool) -> ColumnElement[bool]:
    """Say that a lot is there and expires in `days`, in SQL: chosen by that, and then in order.

    Else all lots might be gone through in their order, to find the few that expire.
    """
    lots, days = stock_lots.alias("lots"), bindparam("days", type_=Integer)
    today_there = cast(func.timezone(warehouses.c.time_zone, func.now()), Date)
    soon = (
        select(lots.c.id)
        .join(warehouses, warehouses.c.name == lots.c.warehouse)
        .where(
            lots.c.quantity > 0,
            lots.c.expires_on <= today_there + days,
            # Nowhere is it more than a day later than here: this is what the index is asked for.
            lots.c.expires_on <= cast(func.now(), Date) + (days + 1),
        )
    )
    if in_warehouse:
        soon = soon.where(lots.c.warehouse == bindparam("warehouse"))
    return stock_lots.c.id == any_(func.array(soon.scalar_subquery()))
