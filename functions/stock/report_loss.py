"""POST /api/v1/stock/losses: report that some of a lot is lost, for another to decide on."""

from typing import Annotated

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from stock.reporting import NewLoss, report
from stock.views import LossView

app = create_app("report_loss", limit="write")


@app.post(
    "/api/v1/stock/losses",
    status_code=201,
    responses=refusals(
        NOT_FOUND="no such lot",
        INSUFFICIENT_STOCK="there isn't as much left of the lot",
    ),
)
async def report_loss(
    body: NewLoss,
    caller: Annotated[Caller, require("stock:write")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[LossView]:
    return envelope(report(request, database(), caller.user_id, body))


handler = entry_point(app)
