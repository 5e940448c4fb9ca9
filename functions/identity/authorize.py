"""The HTTP API's Lambda authorizer: from a bearer token to a caller, or why there is none."""

from typing import Any

from fieldgate.authorizer import AuthorizerContext
from fieldgate.observability import logger


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    context = AuthorizerContext.from_header((event.get("headers") or {}).get("authorization", ""))
    # The gateway's request id is the one thing both log lines of a request share.
    gateway_request_id = event.get("requestContext", {}).get("requestId")
    logger().info(
        "token checked",
        extra={"gateway_request_id": gateway_request_id, "refusal": context.failure},
    )
    return context.as_response()
