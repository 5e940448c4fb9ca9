"""DELETE /api/v1/uploads/{id}: give an upload up."""

from typing import Annotated
from uuid import UUID

from fastapi import Path
from starlette.responses import Response

from fieldgate.db.engine import database
from fieldgate.http import Caller, create_app, entry_point, require
from fieldgate.http.described import refusals
from fieldgate.storage import staging
from uploads import transferring
from uploads.ownership import changeable_owner

app = create_app("abort_upload", limit="write")


@app.delete(
    "/api/v1/uploads/{id}",
    status_code=204,
    responses=refusals(
        NOT_FOUND="no such upload, or another's",
        CONFLICT="it is completed: delete the media instead",
    ),
)
async def abort_upload(
    upload_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("media:write")],
) -> Response:
    transferring.abort(
        database(),
        staging(),
        upload_id,
        actor_id=caller.user_id,
        owner_id=changeable_owner(caller),
    )
    return Response(status_code=204)


handler = entry_point(app)
