"""On a schedule: deletes devices not seen for long, and what inboxes have kept long enough."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.schedules import round_alone
from push.cleaning import clean_up


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int] | None:
    return round_alone("cleanup_pushes", event, context, database(), clean_up)
