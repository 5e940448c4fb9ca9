"""What Firebase Cloud Messaging means: the one table of its errors.

(firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode)
"""

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from fieldgate.push import Outcome, Verdict

if TYPE_CHECKING:
    from firebase_admin.exceptions import FirebaseError

# What FCM asks for where it says that it is too much, and not until when.
QUOTA_SECONDS = 60.0
# Whatever is asked for, somebody waits for the message.
LONGEST_PAUSE_SECONDS = 3600.0

# By the name of the SDK's error, of which the nearest one counts.
VERDICTS: dict[str, tuple[Verdict, str]] = {
    "UnregisteredError": ("unregistered", "unregistered"),
    "SenderIdMismatchError": ("sender_mismatch", "sender_mismatch"),
    # It may be the token as well that is malformed, but then nothing tells for certain.
    "InvalidArgumentError": ("bad_message", "invalid_argument"),
    # The keys by which Firebase speaks to Apple or to browsers: the others' messages are sent.
    "ThirdPartyAuthError": ("misconfigured", "third_party_auth"),
    "UnauthenticatedError": ("misconfigured", "unauthenticated"),
    "PermissionDeniedError": ("misconfigured", "permission_denied"),
    # No word of an app that isn't there: it is the project that isn't, or the API is off.
    "NotFoundError": ("misconfigured", "not_found"),
    "ResourceExhaustedError": ("passing", "quota_exceeded"),
    "InternalError": ("passing", "internal"),
    "UnavailableError": ("passing", "unavailable"),
}
# Reasons after which the key of our service account is to be read anew.
BY_CREDENTIALS = frozenset(
    {"unauthenticated", "permission_denied", "not_found", "token_refused", "credentials"}
)
SENT = Outcome("sent")
NOT_TRIED = Outcome("not_tried", "no_time")
BAD_MESSAGE = Outcome("bad_message", "malformed")
TIME_OUT = Outcome("passing", "time_out")
NOT_REACHED = Outcome("passing", "not_reached")
# Reasons of outcomes where nobody said anything at all.
NO_ANSWER = frozenset({TIME_OUT.reason, NOT_REACHED.reason})
NOT_UNDERSTOOD = Outcome("passing", "answer_not_understood")


def verdict_of(error: "FirebaseError") -> Outcome:
    """Return what became of a message that the SDK raised `error` for."""
    if error.http_response is None:
        return _without_answer(error)
    names = (kind.__name__ for kind in type(error).__mro__)
    verdict, reason = next(
        (VERDICTS[name] for name in names if name in VERDICTS), ("passing", "unknown_status")
    )
    if verdict != "passing":
        return Outcome(verdict, reason)
    pause = seconds_to_wait(error.http_response.headers.get("Retry-After", ""))
    if pause is None and reason == "quota_exceeded":
        pause = QUOTA_SECONDS
    return Outcome(verdict, reason, pause)


def verdict_of_refusal(status: int, retry_after: str) -> Outcome:
    """Return what becomes of all messages when Google gives no access token."""
    if status in {408, 429} or status >= 500:
        return Outcome("passing", "token_unavailable", seconds_to_wait(retry_after))
    return Outcome("misconfigured", "token_refused")


def seconds_to_wait(text: str) -> float | None:
    """Read a Retry-After (RFC 9110, 10.2.3): seconds, or a date; None for what is neither."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)


def _without_answer(error: "FirebaseError") -> Outcome:
    from requests import JSONDecodeError, Timeout

    if isinstance(error.cause, Timeout):
        return TIME_OUT
    return NOT_UNDERSTOOD if isinstance(error.cause, JSONDecodeError) else NOT_REACHED
