"""Woken every minute: texts that nobody sends are put on the queue again."""

from typing import Any

from fieldgate.config import load
from fieldgate.db.engine import database
from fieldgate.observability import traced
from fieldgate.schedules import one_round
from fieldgate.sms.waking import SmsQueueSettings
from sms.requeueing import requeue


@traced
def handler(event: dict[str, Any], context: Any) -> None:
    with one_round(event, context):
        requeue(database(), load(SmsQueueSettings).sms_queue_url)
