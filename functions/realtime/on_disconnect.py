"""The WebSocket API's $disconnect, which comes mostly: what it misses, the sweep finds."""

from typing import Any

from fieldgate import deadline
from fieldgate.error_reports import reported
from fieldgate.observability import logger
from realtime.speaking import forget

DISCONNECT_SECONDS = 5


@reported
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    context = event["requestContext"]
    with deadline.within(DISCONNECT_SECONDS):
        forgotten = forget(context["connectionId"])
    logger().info(
        "disconnected",
        extra={
            "connection_id": context["connectionId"],
            "reason": context.get("disconnectReason"),
            "forgotten": forgotten,
        },
    )
    return {"statusCode": 200}
