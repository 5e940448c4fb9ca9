"""Leaving a vendor alone that fails, and finding out when it no longer does.

What all environments go by is one value in Valkey, moved by one script: how many calls failed in a
row, and until when nobody calls. Where there is no Valkey, or it is down, each process goes by what
it knows itself. (docs/decisions/0019-resilience-kit.md says why it is ours.)
"""

import re
import time
from typing import Literal

from fieldgate import cache

FAILURES = 3
OPEN_SECONDS = 60
# How long the others leave it to one to try.
PROBE_SECONDS = 10
# Beyond the end of the open time, so that it is known that a probe is due. Nobody goes by what is
# older: the cache has forgotten it, and perhaps that it was closed since.
KEPT_SECONDS = 600

type CircuitState = Literal["closed", "open", "half_open"]

_ASK, _SUCCEEDED, _FAILED = range(3)

# `ends` is 0 while it is closed. Times are milliseconds, by the clock of who asks: it is to go on
# with what the process knew, too. Returns whether one may call, and how it stands then. Said again
# in `_decide`.
_SCRIPT = """
local what, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local failures, ends = tonumber(ARGV[3]), tonumber(ARGV[4])
local most, open, probe, kept =
    tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local told, till = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+)$')
if told then
    failures, ends = tonumber(told), tonumber(till)
end
if ends > 0 and now > ends + kept then
    failures, ends = 0, 0
end
local before = failures .. ':' .. ends
local may = 1
if what == 1 then
    failures, ends = 0, 0
elseif what == 2 then
    failures = failures + 1
    if failures >= most then
        ends = now + open
    end
elseif now < ends then
    may = 0
elseif ends > 0 then
    failures, ends = most - 1, now + probe
end
if what ~= 0 or before ~= failures .. ':' .. ends then
    redis.call('SET', KEYS[1], string.format('%.0f:%.0f', failures, ends), 'PX', open + kept)
end
return {may, failures, ends}
"""
_VALUE = re.compile(r"(\d+):(\d+)")


class CircuitBreaker:
    """Opens for a minute after three failures in a row, whoever's they were.

    Then one call at a time tries again, and either closes it or opens it for another minute. One
    that is never heard of again is followed by another.
    """

    def __init__(self, name: str) -> None:
        self._key = f"circuit:{name}"
        self._failures = 0
        self._ends = 0

    def lets_through(self) -> bool:
        """Say whether the vendor may be called now; whoever is let through reports back."""
        return self._move(_ASK)

    def succeeded(self) -> None:
        """Close it, if there is anything to close: in good times this asks nobody."""
        if self._failures or self._ends:
            self._move(_SUCCEEDED)

    def failed(self) -> None:
        """Count a failure."""
        self._move(_FAILED)

    def state(self) -> CircuitState:
        """Say how it stands, for whoever only looks."""
        told = _VALUE.fullmatch(cache.get_many([self._key]).get(self._key, ""))
        ends = int(told[2]) if told else self._ends
        now = _now()
        if not ends or now > ends + KEPT_SECONDS * 1000:
            return "closed"
        return "open" if now < ends else "half_open"

    def _move(self, what: int) -> bool:
        now = _now()
        known = self._failures, self._ends
        limits = (FAILURES, OPEN_SECONDS * 1000, PROBE_SECONDS * 1000, KEPT_SECONDS * 1000)
        told = cache.evaluate(_SCRIPT, self._key, what, now, *known, *limits)
        may, self._failures, self._ends = told or _decide(what, now, *known)
        return bool(may)


def _decide(what: int, now: int, failures: int, ends: int) -> tuple[bool, int, int]:
    """Do what the script does, by what this process knows."""
    if ends and now > ends + KEPT_SECONDS * 1000:
        failures, ends = 0, 0
    if what == _SUCCEEDED:
        return True, 0, 0
    if what == _FAILED:
        failures += 1
        return True, failures, now + OPEN_SECONDS * 1000 if failures >= FAILURES else ends
    if now < ends:
        return False, failures, ends
    if ends:
        return True, FAILURES - 1, now + PROBE_SECONDS * 1000
    return True, failures, ends


def _now() -> int:
    return int(time.time() * 1000)
