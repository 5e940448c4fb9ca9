"""The HTTP API's Lambda authorizer: from a bearer token to a caller, or why there is none."""

from typing import Any

from fieldgate import deadline
from fieldgate.authorizer import AuthorizerContext
from fieldgate.error_reports import reported
from fieldgate.observability import logger
from identity.session_check import check

# The gateway waits 10 s for an authorizer, then answers 500 outside the envelope.
CHECK_SECONDS = 5


@reported
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    authorization = (event.get("headers") or {}).get("authorization", "")
    with deadline.within(CHECK_SECONDS):
        context = AuthorizerContext.from_header(authorization, check)
    # The gateway's request id is the one thing both log lines of a request share.
    gateway_request_id = event.get("requestContext", {}).get("requestId")
    logger().info(
        "token checked",
        extra={"gateway_request_id": gateway_request_id, "refusal": context.failure},
    )
    return context.as_response()
