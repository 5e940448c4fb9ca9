"""The events that a subscription of CloudWatch Logs makes of log lines."""

import base64
import gzip
import json
from typing import Any

GROUP = "/fieldgate/staging/uploads"
STREAM = "2026/11/28/fieldgate-staging-GetMedia[$LATEST]0a1b2c3d"


def delivered(*lines: tuple[str, int, str], message_type: str = "DATA_MESSAGE") -> dict[str, Any]:
    """Pack lines (id, milliseconds since 1970, text) as Lambda gets them."""
    said = {
        "messageType": message_type,
        "owner": "111122223333",
        "logGroup": GROUP,
        "logStream": STREAM,
        "subscriptionFilters": ["errors"],
        "logEvents": [
            {"id": id_, "timestamp": timestamp, "message": message}
            for id_, timestamp, message in lines
        ],
    }
    packed = gzip.compress(json.dumps(said).encode())
    return {"awslogs": {"data": base64.b64encode(packed).decode()}}


def unpacked(event: dict[str, Any]) -> dict[str, Any]:
    """Read what `delivered` and CloudWatch pack."""
    said: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    return said
