"""Finding the texts that a lost message, or a killed worker, left behind."""

from fieldgate import queues
from fieldgate.db.engine import Database
from fieldgate.observability import gauge, logger
from sms import store

LIMIT = 1000


def requeue(database: Database, queue_url: str) -> None:
    """Put overdue texts on the queue again, and away those that it is too late for.

    A text that is there already comes to be there twice, which the worker doesn't mind. What the
    queue doesn't take, the next sweep tries again.

    Raises:
        Unavailable: the database or the queue is.

    """
    expired = database.transact(store.expire)
    overdue = database.read(lambda connection: store.find_overdue(connection, LIMIT))
    for message_id in overdue:
        queues.send(queue_url, str(message_id))
    if expired or overdue:
        logger().warning("texts late", extra={"expired": expired, "requeued": len(overdue)})
    gauge("SmsExpired", expired)
    gauge("SmsRequeued", len(overdue))
