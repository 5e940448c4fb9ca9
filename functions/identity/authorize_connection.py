"""The WebSocket API's Lambda authorizer: whoever has no good token gets no connection.

SignalR's clients in a browser can't set headers: they give the token in the address.
"""

from typing import Any

from fieldgate import deadline
from fieldgate.authorizer import AuthorizerContext, bearer_token
from fieldgate.error_reports import reported
from fieldgate.errors import Unauthorized
from fieldgate.observability import logger
from identity.session_check import check

# The gateway waits 10 s for an authorizer.
CHECK_SECONDS = 5


@reported
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    connection_id = event.get("requestContext", {}).get("connectionId")
    try:
        with deadline.within(CHECK_SECONDS):
            context = AuthorizerContext.from_token(_token(event), check)
    except Exception:  # noqa: BLE001 the gateway would answer 500, and the client come back at once
        logger().exception("token not checked", extra={"connection_id": connection_id})
        context = AuthorizerContext(failure=Unauthorized.default_code)
    # Neither the address nor the headers are logged: both may hold the token.
    logger().info(
        "token checked", extra={"connection_id": connection_id, "refusal": context.failure}
    )
    return context.as_policy(event.get("methodArn", "*"))


def _token(event: dict[str, Any]) -> str:
    """Return the one token that was given, or "": by header, in the address, or the same in both.

    Of two that differ, somebody in between may have looked at the other one.
    """
    headers = _values(event, "multiValueHeaders", "headers", "authorization")
    query = _values(event, "multiValueQueryStringParameters", "queryStringParameters")
    if len(headers) > 1 or len(query) > 1:
        return ""
    given = {*map(bearer_token, headers), *query}
    return given.pop() if len(given) == 1 else ""


def _values(
    event: dict[str, Any], all_of: str, last_of: str, wanted: str = "access_token"
) -> list[str]:
    found = event.get(all_of) or {
        name: [value] for name, value in (event.get(last_of) or {}).items()
    }
    return [value for name, values in found.items() if name.lower() == wanted for value in values]
