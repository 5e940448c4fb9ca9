"""How long a device that is not heard of counts.

(Source: firebase.google.com/docs/cloud-messaging/manage-tokens.) An app registers each time it
starts, so a device that was not seen for a month is seldom one that anybody looks at, and FCM drops
an Android phone's token after 270 days.
"""

from datetime import timedelta

# Nothing is pushed to it any more, until it is seen again.
STALE_AFTER = timedelta(days=30)
# It is deleted.
PURGED_AFTER = timedelta(days=270)
