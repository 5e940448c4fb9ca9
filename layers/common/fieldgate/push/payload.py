"""What fits into a push.

(firebase.google.com/docs/cloud-messaging/customize-messages/set-message-type)

A message may have 4,096 bytes, for APNs with all that stands around its text. So what comes from
the outside is measured before it is taken: nobody hears later that it was too long.
"""

import json
from collections.abc import Mapping

MAX_BYTES = 4096
# What our own data (kind, notificationId), badge, sound and channel take, and a margin.
RESERVED_BYTES = 320


def size(title: str, body: str, data: Mapping[str, str]) -> int:
    """Return the bytes (UTF-8) of a message's text and data as JSON."""
    message = {"notification": {"title": title, "body": body}, "data": dict(data)}
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def fits(title: str, body: str, data: Mapping[str, str]) -> bool:
    """Say whether it can be pushed to any phone."""
    return size(title, body, data) <= MAX_BYTES - RESERVED_BYTES


def with_own(data: Mapping[str, str], notification_id: object, kind: str) -> dict[str, str]:
    """Return the data that a phone gets: what the app is to know of where it comes from, too."""
    return {**data, "notificationId": str(notification_id), "kind": kind}
