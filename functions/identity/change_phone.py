"""PUT /api/v1/auth/phone: a new phone, once a code sent to it is typed."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

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
from identity import verifying
from identity.request_types import Code
from identity.views import Profile

app = create_app("change_phone", limit="auth")


class Proof(RequestModel):
    challenge_id: UUID
    code: Code


@app.put(
    "/api/v1/auth/phone",
    responses=refusals(
        INVALID_CREDENTIALS="the code is wrong, or for another purpose",
        CONFLICT="another account has that phone",
        GONE="the challenge is unknown, used, expired or out of tries",
    ),
)
async def change_phone(
    proof: Proof, caller: Annotated[Caller, Depends(current_caller)]
) -> Envelope[Profile]:
    user = verifying.change_phone(
        database(), caller.user_id, caller.session_id, proof.challenge_id, proof.code
    )
    return envelope(Profile.of(user))


handler = entry_point(app)
