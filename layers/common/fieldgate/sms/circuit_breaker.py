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
# Beyond the end of the open time, so that it is known that a probe is due. Nobody goes by what is
# older: the cache has forgotten it, and perhaps that it was closed since.
KEPT_SECONDS = 600
_CLOSED = 0.0


class CircuitBreaker:
    """Opens for a minute after three failures in a row; then one call at a time tries again.

    Failures are counted in this process. That it opened or closed is told to the others through
    the cache, when there is one, and what the cache says goes: a process may have slept since it
    knew. Two of them may come to try at the very same moment.
    """

    def __init__(self, name: str) -> None:
        self._key = f"circuit:{name}"
        self._failures = 0
        self._until = _CLOSED

    def lets_through(self) -> bool:
        """Say whether the provider may be called now; whoever is let through reports back."""
        told = cache.get_many([self._key]).get(self._key)
        until = self._until if told is None else float(told)
        now = time.time()
        if until == _CLOSED or now > until + KEPT_SECONDS:
            if self._until:
                self._failures, self._until = 0, _CLOSED
            return True
        if now < until:
            return False
        self._failures = FAILURES - 1
        self._tell(now + PROBE_SECONDS)
        return True

    def succeeded(self) -> None:
        """Close it."""
        self._failures = 0
        if self._until:
            self._tell(_CLOSED)

    def failed(self) -> None:
        """Count a failure."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._tell(time.time() + OPEN_SECONDS)

    def _tell(self, until: float) -> None:
        self._until = until
        cache.set_many({self._key: str(until)}, OPEN_SECONDS + KEPT_SECONDS)
