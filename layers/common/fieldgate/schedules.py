"""The rounds that functions make when a schedule wakes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fieldgate import deadline, request_id
from fieldgate.observability import logger

# Kept of a function's time for what was begun last: a secret is given up after 6 s, a queue after
# 3; the database waits no longer than the deadline by itself.
RESERVE_SECONDS = 8
# Where rounds go to storage, which is given up after 17 s at worst.
STORAGE_RESERVE_SECONDS = 20


@contextmanager
def one_round(
    event: dict[str, Any], context: Any, reserve_seconds: float = RESERVE_SECONDS
) -> Iterator[None]:
    """Work under the event's id, with the function's time less a reserve as deadline.

    What there is no time left for, the next round does.
    """
    logger().append_keys(request_id=request_id.adopt(event.get("id")))
    with deadline.within(context.get_remaining_time_in_millis() / 1000 - reserve_seconds):
        yield
