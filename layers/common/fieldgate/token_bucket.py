"""Token buckets: how often something may be done, whoever counts.

A bucket is one moment, "full again at" (GCRA: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm).
Whatever takes from it moves it by the time that this takes to come back, unless that would be
further ahead than a whole bucket. Valkey decides by its own clock, in one script; where it is
missing or down PostgreSQL does, in one statement; and when both are, nobody can tell.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from fieldgate import cache, deadline
from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.observability import logger
from fieldgate.settings import warn_feature_off

# The longest that PostgreSQL is waited for.
DATABASE_SECONDS = 2

_MINUTE = 60_000_000

# Times in microseconds; `interval` is what the tokens take to come back. Returns whether they were
# there, and the time until the bucket is full.
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


def take(name: str, bucket: Bucket, tokens: int = 1) -> Standing | None:
    """Take `tokens` from the bucket of that name, all or none; None when nobody can tell.

    They are no more than the bucket holds. The name is kept as a hash only.
    """
    # Half of a surrogate pair can come in JSON.
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    key, interval = f"limit:{digest}", bucket.interval * tokens
    answer = cache.evaluate(_SPEND_IN_VALKEY, key, interval, bucket.capacity)
    if answer is None:
        answer = _ask_postgresql(key, interval, bucket.capacity)
    return Standing(bucket, bool(answer[0]), int(answer[1])) if answer else None


def _ask_postgresql(key: str, interval: int, capacity: int) -> tuple[bool, int] | None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from fieldgate.db.engine import database

    values = {
        "key": key,
        "interval": timedelta(microseconds=interval),
        "capacity": timedelta(microseconds=capacity),
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
