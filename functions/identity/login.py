"""POST /api/v1/auth/login: from phone or e-mail and password to tokens, or to a second factor."""

from typing import Annotated, Literal

from fastapi import Request
from pydantic import AfterValidator, Field, SecretStr

from fieldgate.db.engine import database
from fieldgate.http import (
    ApiModel,
    Envelope,
    client_ip,
    create_app,
    entry_point,
    envelope,
    limit_identifier,
)
from identity.challenge_view import ChallengeView
from identity.sessions import NewSession, Profile
from identity.signing_in import one_spelling, sign_in
from identity.store import User
from identity.views import Tokens

app = create_app("login", limit="auth", public=True)


def _encodable(password: SecretStr) -> SecretStr:
    """Refuse half of a surrogate pair, which JSON can write and UTF-8 can't."""
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("is not text") from None
    return password


class Credentials(ApiModel):
    identifier: Annotated[str, Field(min_length=3, max_length=254)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=1024), AfterValidator(_encodable)]
    profile: Profile = "web"


class SecondFactorRequired(ChallengeView):
    two_factor_required: Literal[True] = True


@app.post("/api/v1/auth/login")
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
