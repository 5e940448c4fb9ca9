"""Every query about losses."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, RowMapping, Select, bindparam, func, select, text, true, update

from fieldgate.db.paging import newest_page, read_page
from fieldgate.db.tables.stock import stock_losses, stock_lots

type Verdict = Literal["approved", "rejected"]

# No row: no such lot. A row without a loss: there isn't as much of it.
_ADD = """
    WITH lot AS (
        SELECT * FROM stock_lots WHERE id = :lot_id
    ),
    added AS (
        INSERT INTO stock_losses (lot_id, quantity, reason, reported_by)
        SELECT id, :quantity, :reason, :reported_by FROM lot WHERE quantity >= :quantity
        RETURNING *
    )
    SELECT added.id, added.lot_id, added.quantity, reason, state, reported_by, added.created_at,
        decided_by, decided_at, product, unit, warehouse
    FROM lot LEFT JOIN added ON true"""


@dataclass(frozen=True)
class Loss:
    id: UUID
    lot_id: UUID
    quantity: Decimal
    reason: str
    state: str
    reported_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None


@dataclass(frozen=True)
class LossOfLot:
    """A loss, and what people call what was lost."""

    loss: Loss
    product: str
    unit: str
    warehouse: str


_COLUMNS = [stock_losses.c[name] for name in Loss.__dataclass_fields__]


class NoSuchLot(Exception):
    """There is no lot of that id."""


class NotEnough(Exception):
    """There is less of the lot."""


def add(
    connection: Connection, lot_id: UUID, quantity: Decimal, reason: str, reported_by: UUID
) -> LossOfLot:
    """Add a loss to be decided: one round trip.

    Raises:
        NoSuchLot, NotEnough: nothing was added.

    """
    values = {
        "lot_id": lot_id,
        "quantity": quantity,
        "reason": reason,
        "reported_by": reported_by,
    }
    row = connection.execute(text(_ADD), values).mappings().one_or_none()
    if row is None:
        raise NoSuchLot
    if row["id"] is None:
        raise NotEnough
    return _of_lot(row)


def find(connection: Connection, loss_id: UUID) -> Loss | None:
    row = connection.execute(select(*_COLUMNS).where(stock_losses.c.id == loss_id))
    found = row.mappings().one_or_none()
    return Loss(**found) if found else None


def find_page(
    connection: Connection, state: str | None, limit: int, offset: int
) -> tuple[list[Loss], int]:
    """Return one page, newest first, and how many there are in all: one round trip for both."""
    statement = _page(in_state=state is not None)
    rows, total = read_page(connection, statement, limit=limit, offset=offset, state=state)
    return [_loss(row) for row in rows], total


def decide(
    connection: Connection, loss_id: UUID, verdict: Verdict, decided_by: UUID
) -> LossOfLot | None:
    """Decide on a loss, once, and not by who reported it; None when that can't be."""
    row = connection.execute(
        update(stock_losses)
        .where(
            stock_losses.c.id == loss_id,
            stock_losses.c.state == "pending",
            stock_losses.c.reported_by != decided_by,
            stock_losses.c.lot_id == stock_lots.c.id,
        )
        .values(state=verdict, decided_by=decided_by, decided_at=func.now())
        .returning(*_COLUMNS, stock_lots.c.product, stock_lots.c.unit, stock_lots.c.warehouse)
    )
    found = row.mappings().one_or_none()
    return _of_lot(found) if found else None


@cache
def _page(*, in_state: bool) -> Select[Any]:
    condition = stock_losses.c.state == bindparam("state") if in_state else true()
    return newest_page(stock_losses, _COLUMNS, condition)


def _of_lot(row: RowMapping) -> LossOfLot:
    return LossOfLot(_loss(row), row["product"], row["unit"], row["warehouse"])


def _loss(row: RowMapping) -> Loss:
    return Loss(**{name: row[name] for name in Loss.__dataclass_fields__})
