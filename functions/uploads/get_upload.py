"""GET /api/v1/uploads/{id}: how far an upload is, and which chunks are missing."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from fieldgate.storage import staging
from uploads import transferring
from uploads.ownership import visible_owner
from uploads.views import UploadView

app = create_app("get_upload", limit="read")


@app.get("/api/v1/uploads/{id}", responses=refusals(NOT_FOUND="no such upload, or another's"))
async def get_upload(
    upload_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, require("media:read")],
) -> Envelope[UploadView]:
    return envelope(
        transferring.look(database(), staging(), upload_id, owner_id=visible_owner(caller))
    )


handler = entry_point(app)
