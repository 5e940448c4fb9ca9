"""POST /api/v1/auth/logout: the end of this session, or of all of the caller's."""

from typing import Annotated

from fastapi import Depends
from pydantic import StrictBool
from starlette.responses import Response

from fieldgate.db.engine import database
from fieldgate.http import Caller, RequestModel, create_app, current_caller, entry_point
from identity.signing_out import sign_out

app = create_app("logout", limit="write")


class Logout(RequestModel):
    everywhere: StrictBool = False


@app.post("/api/v1/auth/logout", status_code=204)
async def logout(
    caller: Annotated[Caller, Depends(current_caller)], body: Logout | None = None
) -> Response:
    everywhere = body is not None and body.everywhere
    sign_out(database(), caller.user_id, None if everywhere else caller.session_id)
    return Response(status_code=204)


handler = entry_point(app)
