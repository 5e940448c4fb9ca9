"""How many requests: a token bucket per caller, or per identifier and network address.

A bucket is one moment, "full again at" (GCRA: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm).
A request moves it by the time that one token takes to come back, unless that would be further ahead
than a whole bucket. Valkey decides by its own clock, in one script; where it is missing or down
PostgreSQL does, in one statement; and when both are, the request goes on.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Literal

from fastapi import Request

from fieldgate import cache, deadline
from fieldgate.config import warn_feature_off
from fieldgate.errors import ConfigurationError, RateLimited, Unavailable
from fieldgate.http.caller import caller_of
from fieldgate.observability import logger

type LimitClass = Literal["auth", "read", "write", "bulk", "search"]

# Requests a minute, and how many at once (API contract, "Conventions").
RATES: Mapping[str, tuple[int, int]] = {
    "auth": (5, 10),
    "read": (60, 100),
    "write": (30, 50),
    "bulk": (10, 20),
    "search": (30, 50),
}
# Carriers put thousands of phones behind one address.
ADDRESS_FACTOR = 50

# The longest a request waits for PostgreSQL to say whether it may go on.
DATABASE_SECONDS = 2

_MINUTE = 60_000_000
_BUCKET = "fieldgate.bucket"

# Times in microseconds. Returns whether there was a token, and the time until the bucket is full.
_SPEND_IN_VALKEY = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.min(tonumber(redis.call('GET', KEYS[1]) or 0), now + capacity)
if full_at + interval > now + capacity then
    return {0, full_at - now}
end
full_at = math.max(full_at, now) + interval
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return {1, full_at - now}
"""

# The same. A refusal leaves `full_at` where it is; there, too, never further than a whole bucket.
_SPEND_IN_POSTGRESQL = """
INSERT INTO rate_limits AS bucket (key, full_at) VALUES (:key, now() + CAST(:interval AS interval))
ON CONFLICT (key) DO UPDATE SET full_at = CASE
    WHEN bucket.full_at + CAST(:interval AS interval) <= now() + CAST(:capacity AS interval)
    THEN greatest(bucket.full_at, now()) + CAST(:interval AS interval)
    ELSE least(bucket.full_at, now() + CAST(:capacity AS interval)) END
RETURNING old.full_at IS NULL OR new.full_at > old.full_at,
    CAST(extract(epoch FROM new.full_at - now()) * 1000000 AS bigint)
"""


@dataclass(frozen=True)
class Bucket:
    """`rate` tokens come back a minute; it holds `burst`. Times are in microseconds."""

    rate: int
    burst: int

    @property
    def interval(self) -> int:
        return _MINUTE // self.rate

    @property
    def capacity(self) -> int:
        return self.burst * self.interval


@dataclass(frozen=True)
class Standing:
    """How a bucket stands after a request: `full_in` microseconds it is full again."""

    bucket: Bucket
    spent: bool
    full_in: int

    @property
    def remaining(self) -> int:
        """How many more requests may come at once."""
        return max(0, (self.bucket.capacity - self.full_in) // self.bucket.interval)

    @property
    def reset_seconds(self) -> int:
        """In how many seconds, rounded up, it will be one more."""
        at_next = (self.bucket.burst - self.remaining - 1) * self.bucket.interval
        return max(1, -(-(self.full_in - at_next) // 1_000_000))

    def headers(self) -> dict[str, str]:
        """Return the header fields of draft-ietf-httpapi-ratelimit-headers-06.

        Later drafts put all of it into one structured field, which hardly any client reads yet.
        """
        rate, burst = self.bucket.rate, self.bucket.burst
        return {
            "RateLimit-Limit": str(burst),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
            "RateLimit-Policy": f"{rate};w=60;burst={burst}",
        }


def limit_request(request: Request, limit: LimitClass | None, *, public: bool) -> None:
    """Spend from the bucket of who sends `request`: of the network address where that is anybody.

    Raises:
        RateLimited: the bucket is empty.
        Unauthorized, TokenExpired, Unavailable: as `caller_of`, of which no bucket is asked.

    """
    subject = f"address {client_ip(request)}" if public else f"caller {caller_of(request).user_id}"
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


def client_ip(request: Request) -> str:
    """Return the address that API Gateway saw, IPv6 as the /64 that one customer is given.

    Never what a header says, which is the client's to write.
    """
    http = request.scope.get("aws.event", {}).get("requestContext", {}).get("http", {})
    try:
        address = ip_address(http.get("sourceIp", ""))
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def _spend(request: Request, limit: LimitClass, subject: str, factor: int) -> None:
    rate, burst = RATES[limit]
    bucket = Bucket(rate * factor, burst * factor)
    # Half of a surrogate pair can come in JSON.
    name = f"{limit} {subject}".encode(errors="surrogatepass")
    standing = _take(f"limit:{hashlib.sha256(name).hexdigest()}", bucket)
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


def _take(key: str, bucket: Bucket) -> Standing | None:
    """Take a token from the bucket if there is one; None when nobody can tell."""
    answer = cache.evaluate(_SPEND_IN_VALKEY, key, bucket.interval, bucket.capacity)
    if answer is None:
        answer = _ask_postgresql(key, bucket)
    return Standing(bucket, bool(answer[0]), int(answer[1])) if answer else None


def _ask_postgresql(key: str, bucket: Bucket) -> tuple[bool, int] | None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from fieldgate.db.engine import database

    values = {
        "key": key,
        "interval": timedelta(microseconds=bucket.interval),
        "capacity": timedelta(microseconds=bucket.capacity),
    }
    try:
        with deadline.within(min(DATABASE_SECONDS, deadline.seconds_left())):
            spent, full_in = database().transact(
                lambda connection: connection.execute(text(_SPEND_IN_POSTGRESQL), values).one()
            )
    except ConfigurationError as error:
        warn_feature_off("rate limits", str(error))
    except (Unavailable, DBAPIError):
        logger().warning("rate limits can't be looked at; going on", exc_info=True)
    else:
        return spent, full_in
    return None
