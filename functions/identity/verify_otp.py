"""POST /api/v1/otp/verify: from a right code to tokens."""

from uuid import UUID

from fieldgate.db.engine import database
from fieldgate.http import Envelope, RequestModel, create_app, entry_point, envelope
from fieldgate.http.described import refusals
from identity.request_types import Code
from identity.sessions import NewSession, Profile
from identity.token_view import Tokens
from identity.verifying import sign_in_by_code

app = create_app("verify_otp", limit="auth", public=True)


class Proof(RequestModel):
    challenge_id: UUID
    code: Code
    profile: Profile | None = None


@app.post(
    "/api/v1/otp/verify",
    responses=refusals(
        INVALID_CREDENTIALS="the code is wrong, or for another purpose",
        ACCOUNT_NOT_ACTIVE="the account may not sign in",
        CONFLICT="the number got an account meanwhile",
        GONE="the challenge is unknown, used, expired or out of tries",
    ),
)
async def verify_otp(proof: Proof) -> Envelope[Tokens]:
    # No bucket of the challenge's: it has five tries in all, and the sixth is to be told so (410).
    session = NewSession.of(proof.profile)
    user = sign_in_by_code(database(), proof.challenge_id, proof.code, session)
    return envelope(Tokens.of(user, session))


handler = entry_point(app)
