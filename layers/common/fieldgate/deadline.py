"""Until when the work in hand may still begin something that has to be waited for.

Each thing that is waited for has a time-out of its own; what they can't see is each other. A
request that finds the database slow, then storage, then the database again, would add them up until
the gateway or Lambda ends it without a word. So nothing is begun after the deadline, and a database
call never waits beyond it.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fieldgate.errors import Unavailable

_ends: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the work inside wait for things for so long in all."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def seconds_left() -> float:
    """Return the seconds left, infinite outside any work.

    Raises:
        Unavailable: none are.

    """
    seconds = _ends.get() - time.monotonic()
    if seconds <= 0:
        raise Unavailable("This took too long. Please try again shortly.")
    return seconds


def is_left(seconds: float = 0) -> bool:
    """Say whether there is time to begin something else, that takes so long."""
    return _ends.get() > time.monotonic() + seconds
