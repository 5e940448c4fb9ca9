"""PUT /api/v1/users/{id}/status: block a user, or let them in (again)."""

from typing import Annotated
from uuid import UUID

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
from identity.administering import Status, set_status
from identity.views import UserView

app = create_app("set_user_status", limit="write")


class NewStatus(RequestModel):
    status: Status


@app.put(
    "/api/v1/users/{id}/status",
    responses=refusals(
        NOT_FOUND="no such user",
        LAST_ADMIN="somebody must stay an admin",
    ),
)
async def set_user_status(
    user_id: Annotated[UUID, Path(alias="id")],
    body: NewStatus,
    caller: Annotated[Caller, require("users:write")],
) -> Envelope[UserView]:
    user = set_status(
        database(), user_id, body.status, actor=caller.user_id, session_id=caller.session_id
    )
    return envelope(UserView.of(user))


handler = entry_point(app)
