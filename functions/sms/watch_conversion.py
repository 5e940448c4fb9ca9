"""Woken every ten minutes: how many of the codes that were sent came back."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.schedules import round_alone
from sms.pumping import watch


@observed
def handler(event: dict[str, Any], context: Any) -> None:
    round_alone("watch_conversion", event, context, database(), watch)
