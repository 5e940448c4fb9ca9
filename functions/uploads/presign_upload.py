"""POST /api/v1/uploads/presign: leave to send one photo straight to storage."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

from pydantic import Field, PlainValidator, StrictInt

from fieldgate.db.engine import database
from fieldgate.http import ApiModel, Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.envelope import UtcTime
from fieldgate.storage import originals
from uploads.file_rules import Folder, check_photo
from uploads.presigning import presign_photo

app = create_app("presign_upload")


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


class PresignedUpload(ApiModel):
    """The request to make: exactly this method, URL and headers, before `expires_at`."""

    media_id: UUID
    method: str
    url: str
    headers: dict[str, str]
    expires_at: UtcTime


@app.post("/api/v1/uploads/presign", status_code=201)
async def presign_upload(
    body: PhotoToUpload, caller: Annotated[Caller, require("media:write")]
) -> Envelope[PresignedUpload]:
    photo = check_photo(body.filename, body.content_type, body.size)
    media, presigned = presign_photo(
        database(), originals(), caller.user_id, body.folder, photo, body.sha256
    )
    return envelope(
        PresignedUpload(
            media_id=media.id,
            method=presigned.method,
            url=presigned.url,
            headers=presigned.headers,
            expires_at=presigned.expires_at,
        )
    )


handler = entry_point(app)
