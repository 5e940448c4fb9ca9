"""POST /api/v1/otp/delivery-reports/{secret}: what became of a text, from Africa's Talking."""

from fastapi import Request
from starlette.responses import Response

from fieldgate.db.engine import database
from fieldgate.http import create_app, entry_point
from fieldgate.http.described import refusals
from sms.delivery_reports import FORM, DeliveryReport, check_secret, record

# No rate limit: the reports of all our texts come from few addresses, and what was refused is not
# reported again. Who doesn't know the secret gets no further than a comparison.
app = create_app("on_delivery_report", public=True, limit=None, max_body_bytes=8 * 1024)


@app.post(
    "/api/v1/otp/delivery-reports/{secret}",
    status_code=204,
    openapi_extra=FORM,
    responses=refusals(
        VALIDATION_ERROR="this is no delivery report",
        NOT_FOUND="that is not the secret",
        PAYLOAD_TOO_LARGE="more than 8 KiB",
    ),
)
async def on_delivery_report(secret: str, request: Request) -> Response:
    check_secret(secret)
    record(database(), DeliveryReport.read(await request.body()))
    return Response(status_code=204)


handler = entry_point(app)
