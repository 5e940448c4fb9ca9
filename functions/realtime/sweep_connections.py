"""Woken every minute: finds what lost messages left behind, and forgets what is old."""

from functools import partial
from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.schedules import round_alone
from realtime.fan_out_queue import ask_for, fan_out_queue_url
from realtime.sweeping import sweep


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int] | None:
    work = partial(sweep, ask_for=partial(ask_for, queue_url=fan_out_queue_url()))
    return round_alone("sweep_connections", event, context, database(), work)
