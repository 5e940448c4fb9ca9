"""POST /api/v1/otp/send: a code to sign in, for a new password, or to a new phone."""

from functools import partial
from typing import Annotated, Literal

from fastapi import Depends, Request

from fieldgate.db.engine import database
from fieldgate.http import (
    Envelope,
    RequestModel,
    client_ip,
    create_app,
    entry_point,
    envelope,
    limit_identifier,
)
from fieldgate.http.caller import caller_of
from fieldgate.http.described import refusals
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from identity.challenge_view import ChallengeView
from identity.challenging import open_challenge
from identity.phone_numbers import PhoneNumber
from identity.sending import open_and_wake

app = create_app("send_otp", limit="auth", public=True)


class Wish(RequestModel):
    phone: PhoneNumber
    purpose: Literal["login", "password_reset", "phone_change"]


@app.post(
    "/api/v1/otp/send",
    status_code=202,
    responses=refusals(
        UNAUTHORIZED="a phone_change needs a token",
        COUNTRY_NOT_SUPPORTED="no texts are sent to that country",
    ),
)
async def send_otp(
    wish: Wish,
    request: Request,
    once: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[ChallengeView]:
    # The only purpose that is somebody's; who asks for the others with a token may.
    caller_id = caller_of(request).user_id if wish.purpose == "phone_change" else None
    limit_identifier(request, wish.phone)
    open_ = partial(
        open_challenge,
        phone=wish.phone,
        purpose=wish.purpose,
        ip=client_ip(request),
        user_id=caller_id,
    )
    actor = str(caller_id) if caller_id else None
    return envelope(
        open_and_wake(
            lambda work: once.transact(database(), work, ChallengeView, actor=actor), open_
        )
    )


handler = entry_point(app)
