"""What a push looks like on each platform.

(firebase.google.com/docs/reference/fcm/rest/v1/projects.messages, developer.apple.com/documentation/
usernotifications/sending-notification-requests-to-apns, RFC 8030 section 5)
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from fieldgate.push import PushMessage

# Bytes that Apple takes as the name of what replaces each other.
APNS_COLLAPSE_ID_BYTES = 64
# Of a topic of browsers' pushes: 32 characters of base64url.
TOPIC_BYTES = 24
DEFAULT_SOUND = "default"


def to_firebase(message: PushMessage) -> Any:
    """Return a message of firebase-admin, for whichever platform the app is on.

    It is shown at once, with the platform's own sound, and replaces the one of its collapse key
    that is still on its way or shown.
    """
    from firebase_admin import messaging

    built = messaging.Message(
        data=dict(message.data),
        notification=messaging.Notification(title=message.title, body=message.body),
        android=messaging.AndroidConfig(
            priority="high",
            collapse_key=message.collapse_key,
            notification=messaging.AndroidNotification(
                channel_id=message.channel, sound=DEFAULT_SOUND, tag=message.collapse_key
            ),
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-priority": "10",
                "apns-collapse-id": _apns_collapse_id(message.collapse_key),
            },
            payload=messaging.APNSPayload(
                messaging.Aps(sound=DEFAULT_SOUND, badge=message.badge),
            ),
        ),
        webpush=messaging.WebpushConfig(
            headers={"Urgency": "high", "Topic": _topic(message.collapse_key)},
            notification=messaging.WebpushNotification(tag=message.collapse_key),
        ),
    )
    # Set, not given: the SDK warns of tokens, which apps that know no installation id still have.
    setattr(built, message.address_kind, message.address)
    return built


def _apns_collapse_id(collapse_key: str) -> str:
    if len(collapse_key.encode()) <= APNS_COLLAPSE_ID_BYTES:
        return collapse_key
    return sha256(collapse_key.encode()).hexdigest()


def _topic(collapse_key: str) -> str:
    return urlsafe_b64encode(sha256(collapse_key.encode()).digest()[:TOPIC_BYTES]).decode()
