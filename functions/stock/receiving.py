"""What comes into warehouses, and by whose calendar it expires."""

from uuid import UUID

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.configuration.registry import REGISTRY
from fieldgate.db.engine import Database
from fieldgate.db.known_caller import a_known_caller
from fieldgate.errors import ErrorDetail, ValidationFailed
from fieldgate.http import RequestModel
from fieldgate.http.idempotency import IdempotentRequest
from stock import lot_store, warehouse_store
from stock.request_types import Day, Product, Quantity, Unit, Warehouse
from stock.views import LotView, WarehouseView
from stock.warehouse_store import UnknownZone


class NewLot(RequestModel):
    """So much of a product, which expires on one day; `expires_on` is the last it is good on.

    One that has expired is taken as well: it is there, and will be warned of.
    """

    product: Product
    quantity: Quantity
    unit: Unit
    warehouse: Warehouse
    expires_on: Day


def add_lot(
    request: IdempotentRequest, database: Database, created_by: UUID, lot: NewLot
) -> LotView:
    """Add a lot, once a request, and its warehouse if that is new.

    Raises:
        Unauthorized: `created_by` is no user (any more).

    """
    zone = REGISTRY["STOCK_TIME_ZONE"]
    values = {
        **dict(lot),
        "created_by": created_by,
        "zone_key": zone.key,
        "zone_default": zone.default,
    }

    def add(connection: Connection) -> LotView:
        return LotView.of(lot_store.add(connection, values))

    with a_known_caller():
        return request.transact(database, add, LotView, actor=str(created_by))


def set_time_zone(database: Database, name: str, time_zone: str, actor: UUID) -> WarehouseView:
    """Have a warehouse, which is made if it is new, go by the clock of a zone from now on.

    Alerts that there are stay: no day comes twice for a lot.

    Raises:
        ValidationFailed: the database knows no such zone.

    """

    def put(connection: Connection) -> WarehouseView:
        return WarehouseView.of(warehouse_store.put(connection, name, time_zone))

    try:
        return database.transact(put, actor=str(actor), request_id=request_id.current())
    except UnknownZone:
        raise ValidationFailed(
            "The request is not valid.",
            details=[ErrorDetail("timeZone", "is not a time zone that the database knows")],
        ) from None
