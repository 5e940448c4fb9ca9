"""Woken by the queue of what is due: posts to connections what they are owed, or closes them.

Those whom that fails with get a message of their own, so that nobody waits for them.
"""

from typing import Any

from fieldgate import deadline
from fieldgate.credentials import role_credentials
from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.queues import consume
from fieldgate.settings import load, once
from realtime import fan_out_queue
from realtime.closing import close
from realtime.endpoint import RealtimeSettings
from realtime.fanning_out import RELEASE_SECONDS, send_owed
from realtime.posting import Line


@observed
def handler(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    return consume(event, context, _fan_out)


def _fan_out(message: str) -> None:
    work = fan_out_queue.read(message)
    queue_url = fan_out_queue.fan_out_queue_url()
    do = close if work.task == "close" else send_owed
    left = line().run(lambda poster: do(database(), poster, work))
    with deadline.within(RELEASE_SECONDS):
        for rest in left:
            fan_out_queue.ask_for(rest.task, rest.connections, queue_url, tries=rest.tries)


@once
def line() -> Line:
    """The environment's way to connections."""
    return Line(load(RealtimeSettings), role_credentials)
