"""Telling the sending worker that a text waits, after the transaction that wrote its row."""

from uuid import UUID, uuid4

from fieldgate import queues
from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.settings import Settings, load_optional


class SmsQueueSettings(Settings):
    """Where the worker listens."""

    sms_queue_url: str


def wake_sender(message_id: UUID | None) -> None:
    """Put the id of a row of `sms_messages` on the worker's queue; at most 3 seconds, never raises.

    None does the same for a text that nobody is to get, so that the time doesn't tell: the worker
    drops an id it doesn't know. What the queue doesn't take, the sweep of every minute finds.
    """
    settings = load_optional(SmsQueueSettings, "waking the sender of texts")
    if settings is None:
        return
    try:
        queues.send(settings.sms_queue_url, str(message_id or uuid4()))
    except Unavailable:
        logger().warning("sender of texts not woken; the sweep will", exc_info=True)
