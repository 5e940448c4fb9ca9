"""POST /api/v1/realtime/broadcast: announce a change that is none of our tables'."""

from typing import Annotated

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from realtime.broadcasting import BroadcastView, announce
from realtime.request_types import Broadcast

app = create_app("broadcast", limit="write")


@app.post("/api/v1/realtime/broadcast", status_code=202)
async def broadcast(
    body: Broadcast,
    caller: Annotated[Caller, require("realtime:broadcast")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[BroadcastView]:
    return envelope(announce(request, database(), caller.user_id, body))


handler = entry_point(app)
