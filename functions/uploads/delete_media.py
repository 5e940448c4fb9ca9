"""DELETE /api/v1/media/{id}: the media and everything stored of it."""

from typing import Annotated
from uuid import UUID

from fastapi import Path
from starlette.responses import Response

from fieldgate.db.engine import database
from fieldgate.http import Caller, create_app, entry_point, require
from fieldgate.http.described import refusals
from fieldgate.storage import originals, published, staging
from uploads import deleting
from uploads.ownership import changeable_owner

app = create_app("delete_media", limit="write")


@app.delete(
    "/api/v1/media/{id}",
    status_code=204,
    responses=refusals(
        NOT_FOUND="no such media, or another's",
    ),
)
async def delete_media(
    media_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("media:write")],
) -> Response:
    deleting.delete_media(
        database(),
        staging(),
        originals(),
        published(),
        media_id,
        actor_id=caller.user_id,
        owner_id=changeable_owner(caller),
    )
    return Response(status_code=204)


handler = entry_point(app)
