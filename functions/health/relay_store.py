"""The one query about whether changes are announced."""

from datetime import timedelta

from sqlalchemy import Connection, func, select

from fieldgate.db.tables.change_log import outbox

# The relay looks by itself every minute.
LATE = timedelta(minutes=5)


def is_late(connection: Connection) -> bool:
    """Say whether the oldest change that waits to be announced does so for longer than `LATE`."""
    oldest = (
        select(outbox.c.created_at)
        .where(outbox.c.dispatched_at.is_(None))
        .order_by(outbox.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return bool(connection.scalar(select(func.coalesce(oldest < func.now() - LATE, False))))
