"""POST /api/v1/uploads/presign: leave to send one photo straight to storage."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field, StrictInt

from fieldgate.db.engine import database
from fieldgate.http import (
    Caller,
    Envelope,
    RequestModel,
    create_app,
    entry_point,
    envelope,
    require,
)
from fieldgate.http.described import refusals
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from fieldgate.storage import originals
from uploads.file_rules import Folder, check_photo
from uploads.image_configuration import most_photo_bytes
from uploads.presigning import presign_photo
from uploads.request_types import Sha256
from uploads.views import PresignedUpload

app = create_app("presign_upload", limit="write")


class PhotoToUpload(RequestModel):
    folder: Folder
    filename: Annotated[str, Field(min_length=1, max_length=255)]
    content_type: Annotated[str, Field(max_length=100)]
    size: StrictInt
    sha256: Sha256 | None = None


@app.post(
    "/api/v1/uploads/presign",
    status_code=201,
    responses=refusals(
        GONE="a repeated request whose media was deleted meanwhile",
        PAYLOAD_TOO_LARGE="the photo is too large",
        UNSUPPORTED_MEDIA_TYPE="a kind of file that isn't taken",
    ),
)
async def presign_upload(
    body: PhotoToUpload,
    caller: Annotated[Caller, require("media:write")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[PresignedUpload]:
    photo = check_photo(body.filename, body.content_type, body.size, most_photo_bytes())
    return envelope(
        presign_photo(
            request, database(), originals(), caller.user_id, body.folder, photo, body.sha256
        )
    )


handler = entry_point(app)
