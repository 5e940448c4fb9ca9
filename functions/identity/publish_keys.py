"""GET /.well-known/jwks.json: the public keys our tokens are verified with (RFC 7517)."""

from typing import Literal, TypedDict

from starlette.responses import JSONResponse

from fieldgate.http import create_app, entry_point
from fieldgate.http.described import shape

app = create_app("publish_keys", limit=None, public=True)


class PublicKey(TypedDict):
    """Of RS256, as RFC 7517 and 7518 write it."""

    kty: Literal["RSA"]
    use: Literal["sig"]
    alg: Literal["RS256"]
    kid: str
    n: str
    e: str


class PublicKeys(TypedDict):
    keys: list[PublicKey]


@app.get("/.well-known/jwks.json", responses=shape(PublicKeys, 200))
async def publish_keys() -> JSONResponse:
    from fieldgate.tokens import public_keys

    # Verifiers may keep it for as long as we do ourselves.
    return JSONResponse(public_keys(), headers={"cache-control": "public, max-age=300"})


handler = entry_point(app)
