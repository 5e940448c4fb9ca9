"""POST /api/v1/notifications: tell users and roles something."""

from typing import Annotated

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from push.sending import Accepted, Notification, send

app = create_app("send_notification", limit="write")


@app.post("/api/v1/notifications", status_code=202)
async def send_notification(
    body: Notification,
    caller: Annotated[Caller, require("notifications:send")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[Accepted]:
    return envelope(send(request, database(), caller.user_id, body))


handler = entry_point(app)
