"""Finding the texts that a lost message, or a killed worker, left behind."""

from itertools import batched

from fieldgate import queues
from fieldgate.db.engine import Database
from fieldgate.observability import gauge, logger
from sms import store

LIMIT = 1000


def requeue(database: Database, queue_url: str) -> None:
    """Put overdue texts on the queue again, and away those that it is too late for.

    A text that is there already comes to be there twice, which the worker doesn't mind. What the
    queue doesn't take, the next sweep tries again. What was done is measured in any case.

    Raises:
        Unavailable: the database or the queue is, or the time is up.

    """
    expired, overdue, requeued = 0, [], 0
    try:
        expired = database.transact(store.expire)
        overdue = database.read(lambda connection: store.find_overdue(connection, LIMIT))
        for batch in batched(overdue, queues.BATCH, strict=False):
            requeued += queues.send_batch(queue_url, [str(message_id) for message_id in batch])
    finally:
        if expired or overdue:
            done = {"expired": expired, "overdue": len(overdue), "requeued": requeued}
            logger().warning("texts late", extra=done)
        gauge("SmsExpired", expired)
        gauge("SmsRequeued", requeued)
