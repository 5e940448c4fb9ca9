"""When somebody wants no pushes, by the clock of where they are."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fieldgate.observability import logger


def quiet_until(now: datetime, begin: time, end: time, zone_name: str) -> datetime | None:
    """Return when the quiet hours that `now` is in are over (UTC); None when it is in none.

    They begin at `begin` and are over at `end`, the next day where that is not later. A time that a
    change of clocks skips is taken for the one as long after midnight as it would have been.
    """
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError):
        # Better a push at night than none, and than a worker that stumbles over it each minute.
        logger().warning("no such time zone", extra={"zone": zone_name})
        return None
    local = now.astimezone(zone)
    for day in (local.date() - timedelta(days=1), local.date()):
        begins = datetime.combine(day, begin, zone)
        ends = datetime.combine(day if begin < end else day + timedelta(days=1), end, zone)
        # Compared in UTC: of two times in one zone Python compares what the clocks show.
        if begins.astimezone(UTC) <= now < ends.astimezone(UTC):
            return ends.astimezone(UTC)
    return None
