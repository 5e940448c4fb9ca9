"""POST /api/v1/stock/losses/{id}/approve and .../reject: a second person's word on a loss."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from stock.deciding import decide
from stock.views import LossView

app = create_app("decide_loss", limit="write")


@app.post(
    "/api/v1/stock/losses/{id}/approve",
    summary="Approve a loss, which takes it from the lot",
    responses=refusals(
        FORBIDDEN="the caller reported it",
        NOT_FOUND="no such loss",
        CONFLICT="it is decided already",
        INSUFFICIENT_STOCK="there isn't as much left of the lot by now",
    ),
)
async def approve_loss(
    loss_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("stock:approve")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[LossView]:
    return envelope(decide(request, database(), loss_id, "approved", caller.user_id))


@app.post(
    "/api/v1/stock/losses/{id}/reject",
    summary="Reject a loss",
    responses=refusals(
        FORBIDDEN="the caller reported it",
        NOT_FOUND="no such loss",
        CONFLICT="it is decided already",
    ),
)
async def reject_loss(
    loss_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("stock:approve")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[LossView]:
    return envelope(decide(request, database(), loss_id, "rejected", caller.user_id))


handler = entry_point(app)
