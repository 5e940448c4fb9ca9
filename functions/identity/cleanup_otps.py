"""On a schedule: deletes codes, budgets, sessions and limits that nobody will ask about again."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import traced
from fieldgate.schedules import one_round
from identity.cleaning import clean_up


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    with one_round(event, context):
        return clean_up(database())
