"""POST /api/v1/uploads/presign: leave to send one photo straight to storage."""

import base64
import binascii
from typing import Annotated

from fastapi import Depends
from pydantic import Field, PlainValidator, StrictInt

from fieldgate.db.engine import database
from fieldgate.http import ApiModel, Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from fieldgate.storage import originals
from uploads.file_rules import Folder, check_photo
from uploads.presigning import presign_photo
from uploads.views import PresignedUpload

app = create_app("presign_upload", limit="write")


def _sha256(value: object) -> bytes:
    """Read a SHA-256 digest written in hexadecimal, or in base64 as S3 writes it."""
    try:
        text = str(value)
        digest = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if not isinstance(value, str) or len(digest) != 32:
        raise ValueError("must be a SHA-256 digest in hexadecimal or base64")
    return digest


class PhotoToUpload(ApiModel):
    folder: Folder
    filename: Annotated[str, Field(min_length=1, max_length=255)]
    content_type: Annotated[str, Field(max_length=100)]
    size: StrictInt
    sha256: Annotated[bytes, PlainValidator(_sha256, json_schema_input_type=str)] | None = None


@app.post("/api/v1/uploads/presign", status_code=201)
async def presign_upload(
    body: PhotoToUpload,
    caller: Annotated[Caller, require("media:write")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[PresignedUpload]:
    photo = check_photo(body.filename, body.content_type, body.size)
    return envelope(
        presign_photo(
            request, database(), originals(), caller.user_id, body.folder, photo, body.sha256
        )
    )


handler = entry_point(app)
