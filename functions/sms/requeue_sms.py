"""Woken every minute: texts that nobody sends are put on the queue again."""

from functools import partial
from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.schedules import round_alone
from fieldgate.settings import load
from fieldgate.sms.waking import SmsQueueSettings
from sms.requeueing import requeue


@observed
def handler(event: dict[str, Any], context: Any) -> None:
    work = partial(requeue, queue_url=load(SmsQueueSettings).sms_queue_url)
    round_alone("requeue_sms", event, context, database(), work)
