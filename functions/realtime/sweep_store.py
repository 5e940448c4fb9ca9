"""Every query about what connections and the stream leave behind."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Column, Connection, Delete, any_, delete, func, select, text

from fieldgate.db.tables.change_log import outbox
from fieldgate.db.tables.realtime import realtime_broadcasts, realtime_connections
from realtime.membership import IS_DUE, IS_OVER

# API Gateway keeps no connection for longer than two hours.
LONGEST_LIFE = timedelta(hours=2, minutes=10)
# The history from which is replayed what somebody missed.
HISTORY_TIME = timedelta(hours=2)
HISTORY_EVENTS = 10_000
# Until then one can see when a change was announced, and broadcasts not told yet are still there.
ANNOUNCED_TIME = timedelta(days=1)

# Offsets rise with time and have no gaps, so that what is forgotten is always the beginning, and a
# batch of it is counted in offsets.
_TRIM = """
    WITH bound AS (
        SELECT greatest(
            least(trimmed + :batch, head - :history_events),
            (SELECT max(event_offset) FROM realtime_events
             WHERE event_offset <= trimmed + :batch
                AND dispatched_at < now() - CAST(:history_time AS interval))) AS last
        FROM realtime_stream
    ),
    forgotten AS (
        DELETE FROM realtime_events WHERE event_offset <= (SELECT last FROM bound)
    )
    UPDATE realtime_stream SET trimmed = last FROM bound WHERE last > trimmed
    RETURNING new.trimmed - old.trimmed"""


def unsent(connection: Connection, after: str, batch: int) -> list[str]:
    """Return connections that are owed something, and that no run is posting to."""
    return _next(connection, IS_DUE, after, batch)


def over(connection: Connection, after: str, batch: int) -> list[str]:
    """Return connections that are to be closed.

    Their session has ended or is gone, the user may not come in, the token has expired, or the
    client never began to speak.
    """
    return _next(connection, IS_OVER, after, batch)


def forget_connections(connection: Connection, batch: int) -> int:
    """Delete up to `batch` connections that API Gateway can't have any more."""
    mine = realtime_connections
    outlived = (
        select(mine.c.id)
        .where(mine.c.connected_at < func.now() - LONGEST_LIFE)
        .order_by(mine.c.connected_at)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    chosen = func.array(outlived.scalar_subquery())
    return _rows(connection.execute(delete(mine).where(mine.c.id == any_(chosen))))


def trim(connection: Connection, batch: int) -> int:
    """Forget up to `batch` events that are too old or too many, and say how many that were.

    It waits for the stream's lock. Who has not got them yet is told to fetch anew what they show.
    """
    parameters = {
        "batch": batch,
        "history_events": HISTORY_EVENTS,
        "history_time": HISTORY_TIME,
    }
    return connection.scalar(text(_TRIM), parameters) or 0


def forget_broadcasts(connection: Connection, batch: int) -> int:
    """Delete broadcasts that were made long ago, of the `batch` oldest; the log tells who did."""
    old = delete(realtime_broadcasts)
    return _forget_oldest(connection, old, realtime_broadcasts.c.created_at, batch)


def forget_announced(connection: Connection, batch: int) -> int:
    """Delete rows of the outbox that were dispatched long ago, of the `batch` oldest there are."""
    return _forget_oldest(connection, delete(outbox), outbox.c.dispatched_at, batch)


def connected(connection: Connection) -> int:
    """Say how many connections there are."""
    return connection.scalar(select(func.count()).select_from(realtime_connections)) or 0


def _forget_oldest(connection: Connection, forget: Delete, since: Column[Any], batch: int) -> int:
    """Delete, of the `batch` first rows by id, those of longer ago than `ANNOUNCED_TIME`."""
    table = since.table
    oldest = select(table.c.id, since.label("since")).order_by(table.c.id).limit(batch).cte()
    old = select(oldest.c.id).where(oldest.c.since < func.now() - ANNOUNCED_TIME)
    chosen = func.array(old.scalar_subquery())
    return _rows(connection.execute(forget.where(table.c.id == any_(chosen))))


def _next(connection: Connection, condition: str, after: str, batch: int) -> list[str]:
    mine = realtime_connections.c.id
    page = select(mine).where(mine > after, text(condition)).order_by(mine).limit(batch)
    return list(connection.scalars(page))


def _rows(changed: Any) -> int:
    return int(changed.rowcount)
