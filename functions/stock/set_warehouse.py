"""PUT /api/v1/stock/warehouses/{name}: by whose clock a warehouse's lots expire."""

from typing import Annotated

from fastapi import Path

from fieldgate.db.engine import database
from fieldgate.http import (
    Caller,
    Envelope,
    RequestModel,
    create_app,
    entry_point,
    envelope,
    require,
)
from fieldgate.http.described import refusals
from fieldgate.time_zones import TimeZone
from stock.receiving import set_time_zone
from stock.request_types import Warehouse
from stock.views import WarehouseView

app = create_app("set_warehouse", limit="write")


class WarehouseSettings(RequestModel):
    time_zone: TimeZone


@app.put("/api/v1/stock/warehouses/{name}", responses=refusals(NOT_FOUND="no such warehouse"))
async def set_warehouse(
    name: Annotated[Warehouse, Path()],
    body: WarehouseSettings,
    caller: Annotated[Caller, require("stock:approve")],
) -> Envelope[WarehouseView]:
    return envelope(set_time_zone(database(), name, body.time_zone, caller.user_id))


handler = entry_point(app)
