"""POST /api/v1/uploads/{id}/urls: leave to send chunks of an upload straight to storage."""

from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import Field, StrictInt, field_validator

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
from fieldgate.storage import staging
from uploads import transferring
from uploads.ownership import changeable_owner
from uploads.request_types import Sha256
from uploads.transferring import Chunk
from uploads.views import SignedChunks

app = create_app("sign_chunks", limit="read")


class ChunkToSend(RequestModel):
    number: StrictInt
    sha256: Sha256


class ChunksToSend(RequestModel):
    chunks: Annotated[list[ChunkToSend], Field(min_length=1, max_length=32)]

    @field_validator("chunks")
    @classmethod
    def _each_once(cls, chunks: list[ChunkToSend]) -> list[ChunkToSend]:
        if len({chunk.number for chunk in chunks}) < len(chunks):
            raise ValueError("must not name a chunk twice")
        return chunks


@app.post(
    "/api/v1/uploads/{id}/urls",
    responses=refusals(
        NOT_FOUND="no such upload, or another's",
        CONFLICT="its state takes no chunks",
        GONE="it has expired",
    ),
)
async def sign_chunks(
    upload_id: Annotated[UUID, Path(alias="id")],
    body: ChunksToSend,
    caller: Annotated[Caller, require("media:write")],
) -> Envelope[SignedChunks]:
    urls = transferring.sign(
        database(),
        staging(),
        upload_id,
        [Chunk(chunk.number, chunk.sha256) for chunk in body.chunks],
        actor_id=caller.user_id,
        owner_id=changeable_owner(caller),
    )
    return envelope(SignedChunks(urls=urls))


handler = entry_point(app)
