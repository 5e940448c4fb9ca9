"""GET /api/v1/realtime/events: what the caller missed since a position, as far as they may see."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from fieldgate.db.engine import database
from fieldgate.http import (
    Caller,
    Envelope,
    RequestModel,
    create_app,
    current_caller,
    entry_point,
    envelope,
)
from fieldgate.http.described import refusals, shape
from realtime import stream_store
from realtime.audiences import Viewer, check_may_follow
from realtime.events import MAX_OFFSET, PAGE
from realtime.request_types import Channels
from realtime.views import Replayed, replay_view

app = create_app("list_events", limit="read")


class EventsQuery(RequestModel):
    """Without `epoch` the answer is only where the stream is now."""

    epoch: UUID | None = None
    after: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE
    channels: Channels | None = None


@app.get(
    "/api/v1/realtime/events",
    responses=shape(Replayed, 200)
    | refusals(FORBIDDEN="a channel takes a permission that the caller lacks"),
)
async def list_events(
    query: Annotated[EventsQuery, Query()], caller: Annotated[Caller, Depends(current_caller)]
) -> Envelope[dict[str, Any]]:
    channels = query.channels or ()
    check_may_follow(caller.permissions, channels)
    viewer = Viewer(caller.user_id, caller.roles, caller.permissions, channels)
    found = database().read(
        lambda connection: stream_store.events_after(
            connection, viewer, query.epoch, query.after, query.limit
        )
    )
    return envelope(replay_view(found, caller.permissions))


handler = entry_point(app)
