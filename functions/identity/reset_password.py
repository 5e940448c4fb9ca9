"""POST /api/v1/auth/password: a new password by a code, which ends every session."""

from uuid import UUID

from fastapi import Response

from fieldgate.db.engine import database
from fieldgate.http import RequestModel, create_app, entry_point
from fieldgate.http.described import refusals
from identity import verifying
from identity.request_types import Code, NewPassword
from identity.session_check import remember_ended

app = create_app("reset_password", limit="auth", public=True)


class NewPasswordByCode(RequestModel):
    challenge_id: UUID
    code: Code
    new_password: NewPassword


@app.post(
    "/api/v1/auth/password",
    status_code=204,
    response_class=Response,
    responses=refusals(
        INVALID_CREDENTIALS="the code is wrong, or for another purpose",
        ACCOUNT_NOT_ACTIVE="the account may not sign in",
        GONE="the challenge is unknown, used, expired or out of tries",
    ),
)
async def reset_password(proof: NewPasswordByCode) -> None:
    # No bucket of the challenge's: it has five tries in all, and the sixth is to be told so (410).
    ended = verifying.reset_password(
        database(), proof.challenge_id, proof.code, proof.new_password.get_secret_value()
    )
    remember_ended(ended)


handler = entry_point(app)
