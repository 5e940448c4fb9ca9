"""POST /api/v1/uploads: begin a file that comes in chunks."""

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
from uploads import transferring
from uploads.file_rules import Folder, check_file
from uploads.request_types import Sha256
from uploads.views import NewUpload

app = create_app("create_upload", limit="write")


class FileToUpload(RequestModel):
    folder: Folder
    filename: Annotated[str, Field(min_length=1, max_length=255)]
    content_type: Annotated[str, Field(max_length=100)]
    size: StrictInt
    chunk_size: StrictInt | None = None
    sha256: Sha256 | None = None


@app.post(
    "/api/v1/uploads",
    status_code=201,
    responses=refusals(
        PAYLOAD_TOO_LARGE="the file is too large",
        UNSUPPORTED_MEDIA_TYPE="a kind of file that isn't taken",
    ),
)
async def create_upload(
    body: FileToUpload,
    caller: Annotated[Caller, require("media:write")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[NewUpload]:
    file = check_file(body.filename, body.content_type, body.size)
    chunk_size = transferring.chunk_size_for(body.chunk_size)
    return envelope(
        transferring.begin(
            request, database(), caller.user_id, body.folder, file, chunk_size, body.sha256
        )
    )


handler = entry_point(app)
