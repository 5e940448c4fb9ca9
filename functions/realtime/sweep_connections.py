"""Woken every minute: finds what lost messages left behind, and forgets what is old."""

from functools import partial
from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import traced
from fieldgate.schedules import one_round
from realtime.fan_out_queue import ask_for, fan_out_queue_url
from realtime.sweeping import sweep


@traced
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    with one_round(event, context):
        return sweep(database(), partial(ask_for, queue_url=fan_out_queue_url()))
