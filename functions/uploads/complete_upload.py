"""POST /api/v1/uploads/{id}/complete: all chunks are sent; have the file put together."""

from typing import Annotated
from uuid import UUID

from fastapi import Path
from starlette.responses import Response

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from fieldgate.storage import staging
from uploads import transferring
from uploads.assembly_queue import assembly_queue_url
from uploads.ownership import changeable_owner
from uploads.views import CompletionView

app = create_app("complete_upload", limit="write")


@app.post(
    "/api/v1/uploads/{id}/complete",
    status_code=202,
    responses=refusals(
        NOT_FOUND="no such upload, or another's",
        CONFLICT="chunks are missing (`details` has their numbers), or its state forbids it",
        GONE="it has expired",
    )
    | {200: {"description": "It is put together already"}},
)
async def complete_upload(
    upload_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("media:write")],
    response: Response,
) -> Envelope[CompletionView]:
    upload = transferring.complete(
        database(),
        staging(),
        assembly_queue_url(),
        upload_id,
        actor_id=caller.user_id,
        owner_id=changeable_owner(caller),
    )
    if upload.state == "completed":
        response.status_code = 200
    return envelope(upload)


handler = entry_point(app)
