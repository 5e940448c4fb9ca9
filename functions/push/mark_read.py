"""PUT /api/v1/notifications/{id}/read: the caller has read it; the first time counts."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from fieldgate.db.engine import database
from fieldgate.errors import NotFound
from fieldgate.http import Caller, Envelope, create_app, current_caller, entry_point, envelope
from fieldgate.http.described import refusals
from push import inbox_store
from push.views import ReadMark

app = create_app("mark_read", limit="write")


@app.put(
    "/api/v1/notifications/{id}/read",
    responses=refusals(
        NOT_FOUND="it isn't in the caller's inbox",
    ),
)
async def mark_read(
    notification_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, Depends(current_caller)],
) -> Envelope[ReadMark]:
    read_at = database().transact(
        lambda connection: inbox_store.mark_read(connection, notification_id, caller.user_id)
    )
    if read_at is None:
        raise NotFound("There is no such notification.")
    return envelope(ReadMark(id=notification_id, read_at=read_at))


handler = entry_point(app)
