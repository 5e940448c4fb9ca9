"""How many requests: a token bucket per caller, or per identifier and network address.

When nobody can tell how the bucket stands (see token_bucket.py), the request goes on.
"""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Request

from fieldgate.errors import RateLimited
from fieldgate.http.address import client_ip
from fieldgate.http.caller import caller_of
from fieldgate.token_bucket import Bucket, Standing, take

type LimitClass = Literal["auth", "read", "write", "bulk", "search"]
# "by_method" is read for GET and HEAD, and write for others; None is no limit.
type Limit = LimitClass | Literal["by_method"] | None

# Requests a minute, and how many at once (docs/api.md).
RATES: Mapping[str, tuple[int, int]] = {
    "auth": (5, 10),
    "read": (60, 100),
    "write": (30, 50),
    "bulk": (10, 20),
    "search": (30, 50),
}
# Carriers put thousands of phones behind one address.
ADDRESS_FACTOR = 50

_BUCKET = "fieldgate.bucket"
_READING_METHODS = ("GET", "HEAD")


def limit_request(request: Request, limit: Limit, *, public: bool) -> None:
    """Spend from the bucket of who sends `request`: of the network address where that is anybody.

    Raises:
        RateLimited: the bucket is empty.
        Unauthorized, TokenExpired, Unavailable: as `caller_of`, of which no bucket is asked.

    """
    subject = f"address {client_ip(request)}" if public else f"caller {caller_of(request).user_id}"
    if limit == "by_method":
        limit = "read" if request.method in _READING_METHODS else "write"
    if limit is not None:
        request.scope["fieldgate.limit"] = limit
        _spend(request, limit, subject, ADDRESS_FACTOR if public else 1)


def limit_identifier(request: Request, identifier: str) -> None:
    """Spend from the bucket of a phone, address or id that a public route's body names.

    `identifier` is what is one for us, whichever way it was written: a phone in E.164. It has a
    bucket for each route, so that who guesses a stranger's password keeps no codes from them.

    Raises:
        RateLimited: the bucket is empty.

    """
    limit: LimitClass = request.scope["fieldgate.limit"]
    route = request.scope.get("aws.event", {}).get("routeKey")
    _spend(request, limit, f"identifier {route} {identifier.strip().casefold()}", 1)


def limit_headers(scope: Mapping[str, Any], retry_after: str | None) -> dict[str, str]:
    """Return the headers that tell of the bucket of this request that is emptier, if any.

    A refusal for another reason than a bucket says the same in them as in its `retry_after`.
    """
    standing: Standing | None = scope.get(_BUCKET)
    if standing is None:
        return {}
    refused = {"RateLimit-Remaining": "0", "RateLimit-Reset": retry_after} if retry_after else {}
    return standing.headers() | refused


def _spend(request: Request, limit: LimitClass, subject: str, factor: int) -> None:
    rate, burst = RATES[limit]
    bucket = Bucket(rate * factor, burst * factor)
    standing = take(f"{limit} {subject}", bucket)
    if standing is None:
        return
    before: Standing | None = request.scope.get(_BUCKET)
    if before is None or standing.remaining <= before.remaining:
        request.scope[_BUCKET] = standing
    if not standing.spent:
        raise RateLimited(
            f"Too many requests. Please try again in {standing.reset_seconds} s.",
            headers={"Retry-After": str(standing.reset_seconds)},
        )
