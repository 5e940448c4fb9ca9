"""The WebSocket API's $connect: whom the authorizer let by is noted, if their session still is."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fieldgate import deadline
from fieldgate.db.engine import database
from fieldgate.error_reports import reported
from fieldgate.errors import FieldgateError, Forbidden
from fieldgate.observability import logger
from realtime import connection_store
from realtime.connection_store import NewConnection

CONNECT_SECONDS = 5
# The handshake's answer. Beyond the most that somebody may have, the new one is refused and none of
# the old ones closed: a client that connects too often would close its own, each of which would
# come back.
STATUS = {"added": 200, "refused": 403, "too_many": 429}

REASONS = {"refused": "no living session", "too_many": "too many connections"}


@reported
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    connection_id = event["requestContext"]["connectionId"]
    try:
        new = _new_connection(event["requestContext"])
        with deadline.within(CONNECT_SECONDS):
            outcome = database().transact(lambda connection: connection_store.add(connection, new))
    except FieldgateError as error:
        logger().warning("not connected", exc_info=True, extra={"connection_id": connection_id})
        return {"statusCode": error.status}
    if outcome == "added":
        logger().info("connected", extra={"connection_id": connection_id})
    else:
        extra = {"connection_id": connection_id, "reason": REASONS[outcome]}
        logger().warning("refused", extra=extra)
    return {"statusCode": STATUS[outcome]}


def _new_connection(context: dict[str, Any]) -> NewConnection:
    """Read who it is from what the authorizer said, and from nothing else."""
    claims = context.get("authorizer") or {}
    try:
        expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
        return NewConnection(
            context["connectionId"], UUID(claims["sub"]), UUID(claims["sid"]), expires_at
        )
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        raise Forbidden("The authorizer names nobody.") from None
