"""On a schedule: deletes codes, budgets, sessions and limits that nobody will ask about again."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.schedules import round_alone
from identity.cleaning import clean_up


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int] | None:
    return round_alone("cleanup_otps", event, context, database(), clean_up)
