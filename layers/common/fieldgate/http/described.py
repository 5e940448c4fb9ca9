"""What a route's description says that its code doesn't. Only docs/openapi.json reads it.

    @app.post("/api/v1/things/{id}/close", responses=refusals(CONFLICT="it is closed already"))

What follows from how a route is made is added there and not listed: 400, 401, 403 for its
permission, 409 for a repeated key, 413, 429, 500, 503 (tools/openapi.py). Nothing here is looked at
before somebody asks for the description: a shape is a TypedDict, which costs nothing to define.
"""

from typing import Any

# Every code of the API, and the status that it comes with.
STATUS_OF = {
    "VALIDATION_ERROR": 400,
    "UNAUTHORIZED": 401,
    "TOKEN_EXPIRED": 401,
    "INVALID_CREDENTIALS": 401,
    "FORBIDDEN": 403,
    "ACCOUNT_NOT_ACTIVE": 403,
    "OTP_REQUIRED": 403,
    "SECOND_FACTOR_NEEDED": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "IDEMPOTENCY_KEY_REUSED": 409,
    "GONE": 410,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "BUSINESS_RULE": 422,
    "COUNTRY_NOT_SUPPORTED": 422,
    "PHONE_NEEDED": 422,
    "LAST_ADMIN": 422,
    "INSUFFICIENT_STOCK": 422,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "UNAVAILABLE": 503,
}
# Where a status of FastAPI's `responses` has its codes, and where its shape.
CODES = "x-codes"
SHAPE = "x-shape"

type Responses = dict[int | str, dict[str, Any]]


def refusals(**when: str) -> Responses:
    """Return FastAPI's `responses` for a route that refuses with these codes; each says when."""
    responses: Responses = {}
    for code, reason in when.items():
        responses.setdefault(STATUS_OF[code], {CODES: {}})[CODES][code] = reason
    return responses


def shape(of: type, *statuses: int) -> Responses:
    """Return FastAPI's `responses` for a route that answers with this shape, made by hand.

    In an envelope it is that of `data`.
    """
    return {status: {SHAPE: of} for status in statuses}
