"""Woken every ten minutes: how many of the codes that were sent came back."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import traced
from fieldgate.schedules import round_alone
from sms.pumping import watch


@traced
def handler(event: dict[str, Any], context: Any) -> None:
    round_alone("watch_conversion", event, context, database(), watch)
