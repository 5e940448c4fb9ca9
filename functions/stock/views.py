"""What the API shows of lots, losses and warehouses."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import PlainSerializer

from fieldgate.http.envelope import ApiModel, UtcTime
from stock.loss_store import Loss
from stock.lot_store import Lot
from stock.warehouse_store import Warehouse

type LossState = Literal["pending", "approved", "rejected"]


def _number(quantity: Decimal) -> int | float:
    """Return it as a JSON number: fourteen digits are within what a float tells apart."""
    return int(quantity) if quantity == int(quantity) else float(quantity)


Number = Annotated[Decimal, PlainSerializer(_number, return_type=int | float)]


class LotView(ApiModel):
    """A lot; `quantity` is what is left of what was `received`.

    `alert_days` is the threshold of its open alert, in days before it expires: 30, 14, 7, 1, or 0
    when it has expired; null without one.
    """

    id: UUID
    product: str
    quantity: Number
    received: Number
    unit: str
    warehouse: str
    expires_on: date
    alert_days: int | None
    created_by: UUID
    created_at: UtcTime

    @classmethod
    def of(cls, lot: Lot) -> Self:
        return cls(**vars(lot))


class LossView(ApiModel):
    id: UUID
    lot_id: UUID
    quantity: Number
    reason: str
    state: LossState
    reported_by: UUID
    created_at: UtcTime
    decided_by: UUID | None
    decided_at: UtcTime | None

    @classmethod
    def of(cls, loss: Loss) -> Self:
        return cls(**vars(loss))


class WarehouseView(ApiModel):
    name: str
    time_zone: str
    created_at: UtcTime
    updated_at: UtcTime

    @classmethod
    def of(cls, warehouse: Warehouse) -> Self:
        return cls(**vars(warehouse))
