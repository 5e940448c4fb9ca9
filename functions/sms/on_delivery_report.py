"""POST /api/v1/otp/delivery-reports/{secret}: what became of a text, from Africa's Talking."""

from fastapi import Request
from starlette.responses import Response

from fieldgate.db.engine import database
from fieldgate.http import create_app, entry_point
from sms.delivery_reports import DeliveryReport, check_secret, record

# No rate limit: the reports of all our texts come from few addresses, and what was refused is not
# reported again. Who doesn't know the secret gets no further than a comparison.
app = create_app("on_delivery_report", public=True, limit=None, max_body_bytes=8 * 1024)


@app.post("/api/v1/otp/delivery-reports/{secret}", status_code=204)
async def on_delivery_report(secret: str, request: Request) -> Response:
    check_secret(secret)
    record(database(), DeliveryReport.read(await request.body()))
    return Response(status_code=204)


handler = entry_point(app)
