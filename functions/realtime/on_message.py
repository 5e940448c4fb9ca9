"""The WebSocket API's $default: every frame of every client, nine in ten of them pings.

It answers always with 200, in time, and in the client's dialect, since the gateway's own error
frame would end a SignalR client (docs/decisions/0017-two-dialects-on-one-api.md). Importing it
costs next to nothing, and answering a ping nothing.
"""

from functools import cache
from typing import Any

from fieldgate.error_reports import reported
from fieldgate.observability import logger
from realtime import answering
from realtime.invocation_limits import FrameCounts

# As clients write their pings; other spellings go the long way to the same answer.
PONGS = {
    '{"type":6}\x1e': '{"type":6}\x1e',
    '{"type": 6}\x1e': '{"type":6}\x1e',
    '{"action":"ping"}': '{"type":"pong"}',
    '{"action": "ping"}': '{"type":"pong"}',
}


@reported
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    body = event.get("body") or ""
    connection_id = event["requestContext"]["connectionId"]
    too_many = _counts().count(connection_id)
    if not too_many and (pong := PONGS.get(body)):
        return {"statusCode": 200, "body": pong}
    try:
        if too_many:
            answer = answering.answer_flood(connection_id, body, too_many)
        else:
            is_binary = bool(event.get("isBase64Encoded"))
            answer = answering.answer(connection_id, body, is_binary=is_binary)
    except Exception:  # noqa: BLE001 the gateway would answer in our place
        logger().exception("frame not answered", extra={"connection_id": connection_id})
        answer = answering.failed(connection_id, body)
    return {"statusCode": 200, "body": answer} if answer else {"statusCode": 200}


@cache
def _counts() -> FrameCounts:
    return FrameCounts()
