"""How much a connection may ask: calls by a bucket that all environments share, frames by a count.

Frames are counted in this process, pings among them, as that costs nothing. A connection's frames
come to one environment or to a few, so the count may be lower than what was sent.
"""

import time

from fieldgate.errors import RateLimited

CALLS_A_MINUTE, CALLS_AT_ONCE = 120, 60
# A client that is well sends a ping each 15 s, and some calls after it connected.
MAX_FRAMES = 300
WINDOW_SECONDS = 10.0
# Counted at the same time; who comes beyond begins anew with the others.
MAX_COUNTED = 10_000


class FrameCounts:
    """The frames of each connection in a window of time."""

    def __init__(self) -> None:
        self._until = 0.0
        self._counts: dict[str, int] = {}

    def count(self, connection_id: str) -> int:
        """Count one frame more; return by how many they are too many now."""
        now = time.monotonic()
        if now >= self._until or len(self._counts) >= MAX_COUNTED:
            self._until = now + WINDOW_SECONDS
            self._counts.clear()
        number = self._counts.get(connection_id, 0) + 1
        self._counts[connection_id] = number
        return max(0, number - MAX_FRAMES)


def spend(connection_id: str, calls: int) -> None:
    """Take what so many calls cost, together, from the bucket of a connection.

    When nobody can tell how that stands they go on.

    Raises:
        RateLimited: it is not enough; none of them is to be answered.

    """
    from fieldgate.token_bucket import Bucket, take

    bucket = Bucket(CALLS_A_MINUTE, CALLS_AT_ONCE)
    standing = take(f"realtime {connection_id}", bucket, calls)
    if standing is not None and not standing.spent:
        raise RateLimited(f"Too many calls. Please try again in {standing.reset_seconds} s.")
