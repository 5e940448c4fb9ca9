"""POST /api/v1/uploads/{id}/resume: a failed upload goes on."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from fieldgate.storage import staging
from uploads import transferring
from uploads.ownership import changeable_owner
from uploads.views import UploadView

app = create_app("resume_upload", limit="write")


@app.post(
    "/api/v1/uploads/{id}/resume",
    responses=refusals(
        NOT_FOUND="no such upload, or another's",
        CONFLICT="its file was refused, or its state takes no chunks any more",
        GONE="it has expired",
    ),
)
async def resume_upload(
    upload_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("media:write")],
) -> Envelope[UploadView]:
    return envelope(
        transferring.resume(
            database(),
            staging(),
            upload_id,
            actor_id=caller.user_id,
            owner_id=changeable_owner(caller),
        )
    )


handler = entry_point(app)
