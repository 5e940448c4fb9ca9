"""GET, HEAD /generate_204: an empty answer, so that a phone can tell us from a captive portal."""

from starlette.responses import Response

from fieldgate.http import create_app, entry_point

app = create_app("generate_204", limit=None, public=True)


@app.get("/generate_204", status_code=204)
@app.head("/generate_204", status_code=204, operation_id="generate_204_head")
async def generate_204() -> Response:
    return Response(status_code=204)


handler = entry_point(app)
