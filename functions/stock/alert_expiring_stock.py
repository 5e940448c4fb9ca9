"""On a schedule, once a day: warns of lots that are about to expire, or have expired."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import traced
from fieldgate.push.notifying import wake_pushers
from fieldgate.schedules import one_round
from stock.alerting import alert


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    with one_round(event, context):
        return alert(database(), wake_pushers)
