"""What Firebase's and Google's answers mean for a message.

(firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode)
"""

import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from fieldgate.push import Outcome, Verdict

SENT = Outcome("sent")
NOT_TRIED = Outcome("not_tried")
# Of what was begun, and nobody said what became of it.
UNANSWERED = Outcome("passing", "not_answered")
# It came with a 2xx, so perhaps it was sent.
NOT_UNDERSTOOD = Outcome("passing", "answer_not_understood")

# By the SDK's classes of errors, of which the nearest one counts.
VERDICTS: dict[str, tuple[Verdict, str]] = {
    "UnregisteredError": ("unregistered", "unregistered"),
    "SenderIdMismatchError": ("sender_mismatch", "sender_mismatch"),
    "InvalidArgumentError": ("bad_message", "invalid_argument"),
    # Apple's certificate or the browsers' key: the others' messages are sent.
    "ThirdPartyAuthError": ("misconfigured", "third_party_authentication"),
    "UnauthenticatedError": ("misconfigured", "authentication"),
    "PermissionDeniedError": ("misconfigured", "permission"),
    # No word of an app that isn't there: it is the project that isn't.
    "NotFoundError": ("misconfigured", "project"),
    "ResourceExhaustedError": ("passing", "too_many"),
    "InternalError": ("passing", "internal"),
    "UnavailableError": ("passing", "unavailable"),
    "DeadlineExceededError": ("passing", "not_answered"),
    "FirebaseError": ("passing", "unknown"),
}
# What new credentials may mend.
OF_CREDENTIALS = frozenset({"authentication", "permission", "project", "access_token_refused"})

# What FCM asks for where its answer to too many names no time.
TOO_MANY_SECONDS = 60.0
# Whatever is asked for, somebody waits for the message.
LONGEST_SECONDS = 3600.0

_DETAIL = "@type"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def outcome_of(error: Exception) -> Outcome:
    """Say what a message came to whose sending raised `error`."""
    for kind in type(error).__mro__:
        if kind.__name__ in VERDICTS:
            verdict, reason = VERDICTS[kind.__name__]
            break
    else:
        return NOT_UNDERSTOOD  # the SDK stumbled over it
    response = getattr(error, "http_response", None)
    if verdict == "bad_message" and _is_about_the_address(response):
        reason = "invalid_address"
    if verdict != "passing":
        return Outcome(verdict, reason)
    wait = _retry_after(response)
    if wait is None and reason == "too_many":
        wait = TOO_MANY_SECONDS
    return Outcome(verdict, reason, wait)


def outcome_of_refusal(status: int, headers: Any) -> Outcome:
    """Say what all messages come to for which Google gave no access token."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }:
        wait = seconds_of(headers.get("Retry-After", ""))
        return Outcome("passing", "access_token_unavailable", wait)
    return Outcome("misconfigured", "access_token_refused")


def seconds_of(retry_after: str) -> float | None:
    """Read a header Retry-After, seconds or a date (RFC 9110, section 10.2.3); None: neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_SECONDS)


def _retry_after(response: Any) -> float | None:
    return None if response is None else seconds_of(response.headers.get("Retry-After", ""))


def _is_about_the_address(response: Any) -> bool:
    """Tell an address that FCM can't read from a message that it can't.

    Only of the message it says more than its own word: what field is wrong.
    (firebase.google.com/docs/cloud-messaging/error-codes, the two examples)
    """
    try:
        details = response.json()["error"]["details"]
        return [detail[_DETAIL] for detail in details] == [_FCM_ERROR]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
