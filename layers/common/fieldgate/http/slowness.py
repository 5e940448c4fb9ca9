"""Requests that took long: a line in the log, and metrics that alarms watch."""

from collections.abc import Mapping
from typing import Any

from fieldgate.observability import count, logger

SLOW_SECONDS = 1
VERY_SLOW_SECONDS = 3


def note_if_slow(
    event: Mapping[str, Any], status: int, seconds: float, database_waits: int
) -> None:
    """Log a request of API Gateway that was slow, by the template of its route: no id is in it.

    It was answered, so this is a warning and no error. What takes very long counts twice: as slow,
    too.
    """
    if seconds < SLOW_SECONDS:
        return
    is_very_slow = seconds >= VERY_SLOW_SECONDS
    logger().warning(
        "very slow request" if is_very_slow else "slow request",
        extra={
            "route": event.get("routeKey", "unknown"),
            "method": event.get("requestContext", {}).get("http", {}).get("method"),
            "status_code": status,
            "milliseconds": round(seconds * 1000),
            "database_waits": database_waits,
        },
    )
    count("SlowRequest")
    if is_very_slow:
        count("VerySlowRequest")
