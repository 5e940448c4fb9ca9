"""What Firebase Cloud Messaging says when it doesn't take a message.

(firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode)
"""

from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

type FcmErrorCode = Literal[
    "UNREGISTERED",
    "SENDER_ID_MISMATCH",
    "QUOTA_EXCEEDED",
    "INVALID_ARGUMENT",
    "UNAVAILABLE",
    "INTERNAL",
    "THIRD_PARTY_AUTH_ERROR",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
]

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True)
class FcmError:
    """An error's HTTP status, Google's name of it, its sentence, and what stands beside those.

    `reason` is for what any of Google's services may say, before FCM has a word.
    """

    status: int
    name: str
    message: str
    reason: str = ""


ERRORS: dict[str, FcmError] = {
    "UNREGISTERED": FcmError(404, "NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": FcmError(403, "PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": FcmError(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric."),
    "INVALID_ARGUMENT": FcmError(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "UNAVAILABLE": FcmError(503, "UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": FcmError(500, "INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": FcmError(
        401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"
    ),
    "UNAUTHENTICATED": FcmError(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token.",
        reason="ACCESS_TOKEN_EXPIRED",
    ),
    "PERMISSION_DENIED": FcmError(
        403,
        "PERMISSION_DENIED",
        "Permission 'cloudmessaging.messages.create' denied on resource.",
        reason="IAM_PERMISSION_DENIED",
    ),
    "NOT_FOUND": FcmError(404, "NOT_FOUND", "Requested entity was not found.", reason="NOT_FOUND"),
}


def error_answer(code: str, message: str = "", retry_after: float | None = None) -> web.Response:
    """Return the answer that says `code`, one of `ERRORS`."""
    error = ERRORS[code]
    detail: dict[str, Any] = {"@type": FCM_ERROR, "errorCode": code}
    if error.reason:
        detail = {"@type": ERROR_INFO, "reason": error.reason, "domain": "googleapis.com"}
    body = {
        "code": error.status,
        "message": message or error.message,
        "status": error.name,
        "details": [detail],
    }
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return web.json_response({"error": body}, status=error.status, headers=headers)
