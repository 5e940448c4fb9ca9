"""POST /api/v1/auth/register: an account-to-be, and a code to the phone that makes it one."""

from functools import partial
from typing import Annotated

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
from fieldgate.http.described import refusals
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request
from identity.challenge_store import Registration
from identity.challenge_view import ChallengeView
from identity.challenging import open_challenge
from identity.passwords import hash_password
from identity.phone_numbers import PhoneNumber, supported_country_of
from identity.request_types import Email, Name, NewPassword
from identity.sending import open_and_wake

app = create_app("register", limit="auth", public=True)


class NewAccount(RequestModel):
    """Nothing else: whoever names roles or a status for themselves is refused (RequestModel)."""

    phone: PhoneNumber
    name: Name
    password: NewPassword
    email: Email | None = None


@app.post(
    "/api/v1/auth/register",
    status_code=202,
    responses=refusals(
        COUNTRY_NOT_SUPPORTED="no texts are sent to that country",
    ),
)
async def register(
    account: NewAccount,
    request: Request,
    once: Annotated[IdempotentRequest, Depends(idempotent_request)],
) -> Envelope[ChallengeView]:
    limit_identifier(request, account.phone)
    # Before the work of hashing, which would be in vain.
    supported_country_of(account.phone)
    # For a number that has an account as well: the time must not tell.
    password_hash = hash_password(account.password.get_secret_value())
    open_ = partial(
        open_challenge,
        phone=account.phone,
        purpose="register",
        ip=client_ip(request),
        registration=Registration(account.name, account.email, password_hash),
    )
    return envelope(
        open_and_wake(lambda work: once.transact(database(), work, ChallengeView), open_)
    )


handler = entry_point(app)
