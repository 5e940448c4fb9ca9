"""POST /api/v1/otp/resend: the same code again, for a text that didn't arrive."""

from uuid import UUID

from fastapi import Request

from fieldgate import request_id
from fieldgate.db.engine import database
from fieldgate.http import Envelope, RequestModel, client_ip, create_app, entry_point, envelope
from fieldgate.http.described import refusals
from identity.challenge_view import ChallengeView
from identity.challenging import send_again
from identity.sending import open_and_wake

app = create_app("resend_otp", limit="auth", public=True)


class Missing(RequestModel):
    challenge_id: UUID


@app.post(
    "/api/v1/otp/resend",
    status_code=202,
    responses=refusals(
        GONE="the challenge is unknown, used, expired, or out of tries or texts",
        COUNTRY_NOT_SUPPORTED="no texts are sent to that country any more",
    ),
)
async def resend_otp(missing: Missing, request: Request) -> Envelope[ChallengeView]:
    # No bucket of the challenge's: the phone's pause between two texts is longer than one's.
    ip = client_ip(request)
    return envelope(
        open_and_wake(
            lambda work: database().transact(work, request_id=request_id.current()),
            lambda connection: send_again(connection, missing.challenge_id, ip=ip),
        )
    )


handler = entry_point(app)
