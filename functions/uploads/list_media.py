"""GET /api/v1/media: a page of the caller's media, newest first; an admin sees everybody's."""

from typing import Annotated

from fastapi import Query

from fieldgate.db.engine import database
from fieldgate.http import Caller, Page, PageQuery, create_app, entry_point, page, require
from fieldgate.storage import originals, published
from uploads import store
from uploads.file_rules import Folder
from uploads.ownership import visible_owner
from uploads.views import MediaView

app = create_app("list_media", limit="read")


class MediaQuery(PageQuery):
    folder: Folder | None = None


@app.get("/api/v1/media")
async def list_media(
    query: Annotated[MediaQuery, Query()], caller: Annotated[Caller, require("media:read")]
) -> Page[MediaView]:
    found, total = database().read(
        lambda connection: store.find_page(
            connection, visible_owner(caller), query.folder, query.page_size, query.offset
        )
    )
    return page([MediaView.of(media, originals(), published()) for media in found], query, total)


handler = entry_point(app)
