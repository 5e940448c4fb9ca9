"""POST /api/v1/auth/login: from phone or e-mail and password to tokens, or to a second factor."""

from typing import Annotated, Literal

from fastapi import Request
from pydantic import Field

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
from identity.challenge_view import ChallengeView
from identity.request_types import Password
from identity.sessions import NewSession, Profile
from identity.signing_in import one_spelling, sign_in
from identity.store import User
from identity.token_view import Tokens

app = create_app("login", limit="auth", public=True)


class Credentials(RequestModel):
    identifier: Annotated[str, Field(min_length=3, max_length=254)]
    password: Password
    profile: Profile = "web"


class SecondFactorRequired(ChallengeView):
    two_factor_required: Literal[True] = True


@app.post(
    "/api/v1/auth/login",
    responses=refusals(
        INVALID_CREDENTIALS="wrong identifier or password; which one isn't said",
        ACCOUNT_NOT_ACTIVE="the right password of an account that may not sign in",
        OTP_REQUIRED="the account signs in by a code only",
        SECOND_FACTOR_NEEDED="it has no phone for its second factor",
        COUNTRY_NOT_SUPPORTED="its second factor would be sent to another country",
    ),
)
async def login(
    credentials: Credentials, request: Request
) -> Envelope[Tokens] | Envelope[SecondFactorRequired]:
    identifier = one_spelling(credentials.identifier)
    limit_identifier(request, identifier)
    session = NewSession.of(credentials.profile)
    password = credentials.password.get_secret_value()
    result = sign_in(database(), identifier, password, session, ip=client_ip(request))
    if isinstance(result, User):
        return envelope(Tokens.of(result, session))
    return envelope(SecondFactorRequired.of(result))


handler = entry_point(app)
