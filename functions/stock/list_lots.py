"""GET /api/v1/stock/lots: a page of lots, newest first."""

from typing import Annotated

from fastapi import Query

from fieldgate.db.engine import database
from fieldgate.http import Caller, Page, PageQuery, create_app, entry_point, page, require
from stock import lot_store
from stock.request_types import Warehouse
from stock.views import LotView

app = create_app("list_lots", limit="read")


class LotQuery(PageQuery):
    """`expiring_within` so many days: also what has expired, and nothing that is gone."""

    warehouse: Warehouse | None = None
    expiring_within: Annotated[int, Query(ge=0, le=3650)] | None = None


@app.get("/api/v1/stock/lots")
async def list_lots(
    query: Annotated[LotQuery, Query()], _caller: Annotated[Caller, require("stock:read")]
) -> Page[LotView]:
    found, total = database().read(
        lambda connection: lot_store.find_page(
            connection, query.warehouse, query.expiring_within, query.page_size, query.offset
        )
    )
    return page([LotView.of(lot) for lot in found], query, total)


handler = entry_point(app)
