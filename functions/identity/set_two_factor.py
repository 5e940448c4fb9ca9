"""PUT /api/v1/auth/two-factor: whether signing in takes a code besides the password."""

from typing import Annotated

from fastapi import Depends
from pydantic import StrictBool

from fieldgate.db.engine import database
from fieldgate.http import (
    Caller,
    Envelope,
    RequestModel,
    create_app,
    current_caller,
    entry_point,
    envelope,
)
from fieldgate.http.described import refusals
from identity.two_factor import choose
from identity.views import Profile

app = create_app("set_two_factor", limit="write")


class TwoFactor(RequestModel):
    enabled: StrictBool


@app.put(
    "/api/v1/auth/two-factor",
    responses=refusals(
        PHONE_NEEDED="a second factor needs a phone",
    ),
)
async def set_two_factor(
    body: TwoFactor, caller: Annotated[Caller, Depends(current_caller)]
) -> Envelope[Profile]:
    user = choose(database(), caller.user_id, caller.session_id, enabled=body.enabled)
    return envelope(Profile.of(user))


handler = entry_point(app)
