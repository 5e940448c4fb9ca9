"""Leaving a provider alone that fails, and finding out when it no longer does.

Powertools has a circuit breaker too. Its store is DynamoDB, or one of our own with a conditional
write, and a text that is refused while it probes would leave it half open for a whole minute.
"""

import time

from fieldgate import cache

FAILURES = 3
OPEN_SECONDS = 60
# How long the others leave it to one to try; a text takes no longer.
PROBE_SECONDS = 10
# Beyond the end of the open time, so that it is known that a probe is due.
KEPT_SECONDS = 600


class CircuitBreaker:
    """Opens for a minute after three failures in a row; then one call at a time tries again.

    Failures are counted in this process. That it is open is told to the others through the cache,
    when there is one; two of them may come to try at the very same moment.
    """

    def __init__(self, name: str) -> None:
        self._key = f"circuit:{name}"
        self._failures = 0
        self._until = 0.0

    def lets_through(self) -> bool:
        """Say whether the provider may be called now; whoever is let through reports back."""
        until = max(self._until, float(cache.get_many([self._key]).get(self._key, 0)))
        if not until:
            return True
        if time.time() < until:
            return False
        self._failures = FAILURES - 1
        self._hold(PROBE_SECONDS)
        return True

    def succeeded(self) -> None:
        """Close it."""
        self._failures = 0
        if self._until:
            self._until = 0.0
            cache.delete(self._key)

    def failed(self) -> None:
        """Count a failure."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._hold(OPEN_SECONDS)

    def _hold(self, seconds: int) -> None:
        self._until = time.time() + seconds
        cache.set_many({self._key: str(self._until)}, seconds + KEPT_SECONDS)
