"""POST /api/v1/auth/refresh: from a refresh token to the next pair of tokens."""

from typing import Annotated

from fastapi import Request
from pydantic import Field, SecretStr

from fieldgate.db.engine import database
from fieldgate.http import (
    Envelope,
    RequestModel,
    create_app,
    entry_point,
    envelope,
    limit_identifier,
)
from fieldgate.http.described import refusals
from identity.refreshing import refresh
from identity.sessions import RefreshToken
from identity.token_view import Tokens

# Of class `write`: a client that sends ten requests at once may find ten tokens expired, and
# refresh ten times; a token can't be guessed, so there is no guessing to slow down.
app = create_app("refresh_tokens", limit="write", public=True)


class RefreshRequest(RequestModel):
    refresh_token: Annotated[SecretStr, Field(min_length=1, max_length=1024)]


@app.post(
    "/api/v1/auth/refresh",
    responses=refusals(
        UNAUTHORIZED="no token of ours, or its session has ended: sign in again",
    ),
)
async def refresh_tokens(body: RefreshRequest, request: Request) -> Envelope[Tokens]:
    token = RefreshToken.parse(body.refresh_token.get_secret_value())
    limit_identifier(request, f"session:{token.session_id}")
    return envelope(Tokens.with_refresh_token(*refresh(database(), token)))


handler = entry_point(app)
