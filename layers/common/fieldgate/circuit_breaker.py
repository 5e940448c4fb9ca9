"""Leaving a vendor alone that fails, and finding out when it no longer does.

What all environments go by is one value in Valkey, moved by one script: how many calls failed in a
row, until when nobody calls, and when one failed last. Where there is no Valkey, or it is down,
each process goes by what it knows itself. (docs/decisions/0019-resilience-kit.md says why it is
ours.)
"""

import re
import time
from typing import Literal

from fieldgate import cache

FAILURES = 3
OPEN_SECONDS = 60
# How long the others leave it to one to try, which may be a batch of pushes: 15 s to be answered,
# and what is read and written around that.
PROBE_SECONDS = 30
# Beyond the end of the open time, so that it is known that a probe is due, and beyond the last
# failure. Nobody goes by what is older: the cache has forgotten it, and perhaps that it was closed
# since.
KEPT_SECONDS = 600

type CircuitState = Literal["closed", "open", "half_open"]

_ASK, _SUCCEEDED, _FAILED = range(3)

# `ends` is 0 while it is closed. Times are milliseconds, by the clock of who asks: it is to go on
# with what the process knew, too. A clock that was ahead keeps nobody away for longer than any
# other: what it left is cut. Returns whether one may call, and how it stands then. Said again in
# `_decide`.
_SCRIPT = """
local what, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local failures, ends, last = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most, open, probe, kept =
    tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local told, till, at = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+):(%d+)$')
if told then
    failures, ends, last = tonumber(told), tonumber(till), tonumber(at)
end
local before = failures .. ':' .. ends .. ':' .. last
ends, last = math.min(ends, now + open), math.min(last, now)
if now > math.max(ends, last) + kept then
    failures, ends, last = 0, 0, 0
end
local may = 1
if what == 1 then
    failures, ends, last = 0, 0, 0
elseif what == 2 then
    failures, last = failures + 1, now
    if failures >= most then
        ends = now + open
    end
elseif now < ends then
    may = 0
elseif ends > 0 then
    failures, ends = most - 1, now + probe
end
if what ~= 0 or before ~= failures .. ':' .. ends .. ':' .. last then
    local value = string.format('%.0f:%.0f:%.0f', failures, ends, last)
    redis.call('SET', KEYS[1], value, 'PX', open + kept)
end
return {may, failures, ends, last}
"""
_VALUE = re.compile(r"(\d+):(\d+):(\d+)")

# Failures in a row, `ends`, and when the last one was.
type _Standing = tuple[int, int, int]
_GOOD: _Standing = 0, 0, 0


class CircuitBreaker:
    """Opens for a minute after three failures in a row, whoever's they were.

    Then one call at a time tries again, and either closes it or opens it for another minute. One
    that is never heard of again is followed by another.
    """

    def __init__(self, name: str) -> None:
        self._key = f"circuit:{name}"
        self._known = _GOOD

    def lets_through(self) -> bool:
        """Say whether the vendor may be called now; whoever is let through reports back."""
        return self._move(_ASK)

    def succeeded(self) -> None:
        """Close it, if there is anything to close: in good times this asks nobody."""
        if self._known != _GOOD:
            self._move(_SUCCEEDED)

    def failed(self) -> None:
        """Count a failure."""
        self._move(_FAILED)

    def state(self) -> CircuitState:
        """Say how it stands, for whoever only looks."""
        told = _VALUE.fullmatch(cache.get_many([self._key]).get(self._key, ""))
        known = (int(told[1]), int(told[2]), int(told[3])) if told else self._known
        failures, ends, _ = _still_true(_now(), known)
        if not ends:
            return "closed"
        # A probe begins with one failure to go.
        return "open" if _now() < ends and failures >= FAILURES else "half_open"

    def _move(self, what: int) -> bool:
        now = _now()
        limits = (FAILURES, OPEN_SECONDS * 1000, PROBE_SECONDS * 1000, KEPT_SECONDS * 1000)
        told = cache.evaluate(_SCRIPT, self._key, what, now, *self._known, *limits)
        if told:
            may, failures, ends, last = told
            self._known = failures, ends, last
        else:
            may, self._known = _decide(what, now, self._known)
        return bool(may)


def _still_true(now: int, known: _Standing) -> _Standing:
    failures, ends, last = known
    ends, last = min(ends, now + OPEN_SECONDS * 1000), min(last, now)
    return _GOOD if now > max(ends, last) + KEPT_SECONDS * 1000 else (failures, ends, last)


def _decide(what: int, now: int, known: _Standing) -> tuple[bool, _Standing]:
    """Do what the script does, by what this process knows."""
    failures, ends, last = _still_true(now, known)
    if what == _SUCCEEDED:
        return True, _GOOD
    if what == _FAILED:
        failures += 1
        ends = now + OPEN_SECONDS * 1000 if failures >= FAILURES else ends
        return True, (failures, ends, now)
    if now < ends:
        return False, (failures, ends, last)
    if ends:
        return True, (FAILURES - 1, now + PROBE_SECONDS * 1000, last)
    return True, (failures, ends, last)


def _now() -> int:
    return int(time.time() * 1000)
