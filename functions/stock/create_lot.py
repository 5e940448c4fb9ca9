"""POST /api/v1/stock/lots: register what came into a warehouse, and when it expires."""

from typing import Annotated

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from stock.receiving import NewLot, add_lot
from stock.views import LotView

app = create_app("create_lot", limit="write")


@app.post("/api/v1/stock/lots", status_code=201)
async def create_lot(
    body: NewLot,
    caller: Annotated[Caller, require("stock:write")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[LotView]:
    return envelope(add_lot(request, database(), caller.user_id, body))


handler = entry_point(app)
