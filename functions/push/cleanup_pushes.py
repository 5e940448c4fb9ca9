"""On a schedule: deletes devices not seen for long, and what inboxes have kept long enough."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import traced
from fieldgate.schedules import one_round
from push.cleaning import clean_up


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    with one_round(event, context):
        return clean_up(database())
