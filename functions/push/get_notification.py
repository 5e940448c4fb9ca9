"""GET /api/v1/notifications/{id}: how far a notification is, for who may send them."""

from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Path

from fieldgate.db.engine import database
from fieldgate.errors import NotFound
from fieldgate.http import ApiModel, Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from fieldgate.http.envelope import UtcTime
from push.notification_store import Progress, find_progress

app = create_app("get_notification", limit="read")


class Counts(ApiModel):
    """Recipients by what became of them; `suppressed`: in the inbox, and not pushed on purpose."""

    queued: int
    sent: int
    suppressed: int
    failed: int


class ProgressView(ApiModel):
    """`state` is `queued` until everybody is written down and nobody is queued, then `done`."""

    id: UUID
    state: Literal["queued", "done"]
    channel: str
    title: str
    created_at: UtcTime
    counts: Counts

    @classmethod
    def of(cls, progress: Progress) -> Self:
        is_done = progress.is_expanded and not progress.counts["queued"]
        return cls(
            id=progress.id,
            state="done" if is_done else "queued",
            channel=progress.kind,
            title=progress.title,
            created_at=progress.created_at,
            counts=Counts(**progress.counts),
        )


@app.get("/api/v1/notifications/{id}", responses=refusals(NOT_FOUND="no such notification"))
async def get_notification(
    notification_id: Annotated[UUID, Path(alias="id")],
    _caller: Annotated[Caller, require("notifications:send")],
) -> Envelope[ProgressView]:
    progress = database().read(lambda connection: find_progress(connection, notification_id))
    if progress is None:
        raise NotFound("There is no such notification.")
    return envelope(ProgressView.of(progress))


handler = entry_point(app)
