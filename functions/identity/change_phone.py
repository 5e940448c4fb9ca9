"""PUT /api/v1/auth/phone: a new phone, once a code sent to it is typed."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.http import (
    ApiModel,
    Caller,
    Envelope,
    create_app,
    current_caller,
    entry_point,
    envelope,
)
from identity import verifying
from identity.request_types import Code
from identity.views import Profile

app = create_app("change_phone", limit="auth")


class Proof(ApiModel):
    challenge_id: UUID
    code: Code


@app.put("/api/v1/auth/phone")
async def change_phone(
    proof: Proof, caller: Annotated[Caller, Depends(current_caller)]
) -> Envelope[Profile]:
    user = verifying.change_phone(
        database(), caller.user_id, caller.session_id, proof.challenge_id, proof.code
    )
    return envelope(Profile.of(user))


handler = entry_point(app)
