"""POST /api/v1/auth/login: from phone or e-mail and password to tokens."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from fieldgate.db.engine import database
from fieldgate.http import ApiModel, Envelope, create_app, entry_point, envelope
from identity.signing_in import sign_in
from identity.views import Tokens

app = create_app("login", public=True)


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


@app.post("/api/v1/auth/login")
async def login(credentials: Credentials) -> Envelope[Tokens]:
    user = sign_in(database(), credentials.identifier, credentials.password.get_secret_value())
    return envelope(Tokens.for_user(user))


handler = entry_point(app)
