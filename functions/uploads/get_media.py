"""GET /api/v1/media/{id}: one media, with links to what is there of it to see."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

from fieldgate.db.engine import database
from fieldgate.errors import NotFound
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from fieldgate.storage import originals, published
from uploads import store
from uploads.ownership import visible_owner
from uploads.views import MediaView

app = create_app("get_media", limit="read")


@app.get("/api/v1/media/{id}", responses=refusals(NOT_FOUND="no such media, or another's"))
async def get_media(
    media_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("media:read")],
) -> Envelope[MediaView]:
    media = database().read(
        lambda connection: store.find(connection, media_id, visible_owner(caller))
    )
    if media is None:
        raise NotFound("There is no such media.")
    return envelope(MediaView.of(media, originals(), published()))


handler = entry_point(app)
