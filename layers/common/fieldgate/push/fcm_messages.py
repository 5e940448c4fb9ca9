"""What a message is for Firebase Cloud Messaging.

(firebase.google.com/docs/reference/fcm/rest/v1/projects.messages)
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from fieldgate.push import PushMessage

if TYPE_CHECKING:
    from firebase_admin.messaging import Message

# developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
MAX_COLLAPSE_ID_BYTES = 64
# Of RFC 8030's 32 characters of base64url.
TOPIC_BYTES = 24
# Shown at once, also on a phone that sleeps.
APNS_NOW = "10"


def build(message: PushMessage) -> "Message":
    """Return it as the SDK takes it.

    Messages of one collapse key replace each other while they wait for a phone, and on it.

    Raises:
        ValueError: the SDK finds something wrong with it.

    """
    from firebase_admin import messaging

    key = message.collapse_key
    built = messaging.Message(
        notification=messaging.Notification(message.title, message.body),
        data=dict(message.data),
        android=messaging.AndroidConfig(
            priority="high",
            collapse_key=key,
            notification=messaging.AndroidNotification(
                channel_id=message.channel, sound="default", tag=key
            ),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": APNS_NOW, "apns-collapse-id": _collapse_id(key)},
            payload=messaging.APNSPayload(messaging.Aps(badge=message.badge, sound="default")),
        ),
        webpush=messaging.WebpushConfig(
            headers={"Urgency": "high", "Topic": _topic(key)},
            notification=messaging.WebpushNotification(tag=key),
        ),
    )
    # Set afterwards: given to the SDK, a token is warned of, since ids are to take its place.
    setattr(built, message.address_kind, message.address)
    str(built)  # Which is when the SDK looks at it.
    return built


def _collapse_id(key: str) -> str:
    is_short = len(key.encode()) <= MAX_COLLAPSE_ID_BYTES
    return key if is_short else sha256(key.encode()).hexdigest()


def _topic(key: str) -> str:
    return urlsafe_b64encode(sha256(key.encode()).digest()[:TOPIC_BYTES]).decode()
