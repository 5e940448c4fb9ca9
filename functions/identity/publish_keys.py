"""GET /.well-known/jwks.json: the public keys our tokens are verified with (RFC 7517)."""

from starlette.responses import JSONResponse

from fieldgate.http import create_app, entry_point

app = create_app("publish_keys", limit=None, public=True)


@app.get("/.well-known/jwks.json")
async def publish_keys() -> JSONResponse:
    from fieldgate.tokens import public_keys

    # Verifiers may keep it for as long as we do ourselves.
    return JSONResponse(public_keys(), headers={"cache-control": "public, max-age=300"})


handler = entry_point(app)
