"""On a schedule, once a day: warns of lots that are about to expire, or have expired."""

from functools import partial
from typing import Any

from fieldgate.db.engine import database
from fieldgate.errors import Unavailable
from fieldgate.observability import observed
from fieldgate.push.notifying import wake_pushers
from fieldgate.schedules import round_alone
from stock.alerting import alert


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    work = partial(alert, wake=wake_pushers)
    done = round_alone("alert_expiring_stock", event, context, database(), work)
    if done is None:
        # The other may have been killed, and the next is a day away: Lambda is to try again.
        raise Unavailable("Another round has not ended.")
    return done
