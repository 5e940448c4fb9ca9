"""Woken when something was committed, and every minute: announces what changed."""

from functools import partial
from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.queues import consume
from fieldgate.schedules import one_round
from fieldgate.two_level_cache import renew_missed
from realtime.fan_out_queue import ask_for, fan_out_queue_url
from realtime.relaying import once_a_batch, relay
from realtime.renewal_store import marks


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]] | None:
    ask = partial(ask_for, queue_url=fan_out_queue_url())
    if "Records" not in event:
        with one_round(event, context):
            relay(database(), ask)
            renew_missed(lambda tables: database().read(partial(marks, tables=tables)))
        return None
    return consume(event, context, once_a_batch(lambda: relay(database(), ask)))
