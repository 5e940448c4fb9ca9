"""On a schedule: deletes one-time codes, budgets and limits that nobody will ask about again."""

from typing import Any

from fieldgate import deadline, request_id
from fieldgate.db.engine import database
from fieldgate.observability import traced
from identity.cleaning import clean_up

# Kept of the function's time for the batch begun last, which the database gives up after 9 s.
RESERVE_SECONDS = 12


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    request_id.adopt(event.get("id"))
    with deadline.within(context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS):
        return clean_up(database())
