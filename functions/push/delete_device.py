"""DELETE /api/v1/devices/{id}: nothing is pushed to a device of the caller's any more."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path
from starlette.responses import Response

from fieldgate.db.engine import database
from fieldgate.http import Caller, create_app, current_caller, entry_point
from fieldgate.http.described import refusals
from push import devices

app = create_app("delete_device", limit="write")


@app.delete(
    "/api/v1/devices/{id}",
    status_code=204,
    responses=refusals(
        NOT_FOUND="no such device, or another's",
    ),
)
async def delete_device(
    device_id: Annotated[UUID, Path(alias="id")],
    caller: Annotated[Caller, Depends(current_caller)],
) -> Response:
    devices.remove(database(), caller.user_id, device_id)
    return Response(status_code=204)


handler = entry_point(app)
