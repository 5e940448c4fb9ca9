"""POST /api/v1/uploads/{id}/failures: a chunk didn't get through in spite of all retries."""

from typing import Annotated
from uuid import UUID

from fastapi import Path
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
from fieldgate.storage import staging
from uploads import transferring
from uploads.ownership import changeable_owner
from uploads.views import FailuresView

app = create_app("report_failure", limit="write")


class Failure(RequestModel):
    number: StrictInt
    reason: Annotated[str, Field(min_length=1, max_length=200)]


@app.post(
    "/api/v1/uploads/{id}/failures",
    responses=refusals(
        NOT_FOUND="no such upload, or another's",
        CONFLICT="its state takes no chunks",
        GONE="it has expired",
    ),
)
async def report_failure(
    upload_id: Annotated[UUID, Path(alias="id")],
    body: Failure,
    caller: Annotated[Caller, require("media:write")],
) -> Envelope[FailuresView]:
    return envelope(
        transferring.report_failure(
            database(),
            staging(),
            upload_id,
            body.number,
            body.reason,
            actor_id=caller.user_id,
            owner_id=changeable_owner(caller),
        )
    )


handler = entry_point(app)
