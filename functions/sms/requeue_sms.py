"""Woken every minute: texts that nobody sends are put on the queue again."""

from typing import Any

from fieldgate import deadline, request_id
from fieldgate.config import load
from fieldgate.db.engine import database
from fieldgate.observability import logger, traced
from fieldgate.sms.waking import SmsQueueSettings
from sms.requeueing import requeue

# Of the function's time-out; what is not done by then, the next minute's run does.
SECONDS = 15


@traced
def handler(event: dict[str, Any], _context: object) -> None:
    logger().append_keys(request_id=request_id.adopt(event.get("id")))
    with deadline.within(SECONDS):
        requeue(database(), load(SmsQueueSettings).sms_queue_url)
