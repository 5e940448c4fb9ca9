"""Deleting what nobody will ask about again, a transaction a batch."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from fieldgate import deadline, request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge, logger

BATCH = 1_000

_DELETE = """
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE {old} LIMIT :batch FOR UPDATE SKIP LOCKED))"""


def delete_old_rows(database: Database, old_rows: Mapping[str, str], actor: str) -> dict[str, int]:
    """Delete the rows that `old_rows` calls old, a condition in SQL by table, in that order.

    It ends when none are left that nobody holds, or when the time is up: the next run does the
    rest. Two at once share the work. Says how many were deleted, by table.

    Raises:
        Unavailable: the database is.

    """
    deleted = dict.fromkeys(old_rows, 0)
    for table, old in old_rows.items():
        delete = partial(delete_batch, table=table, old=old)
        while deadline.is_left():
            try:
                rows = database.transact(delete, actor=actor, request_id=request_id.current())
            except Unavailable:
                if deadline.is_left():
                    raise
                break
            deleted[table] += rows
            if rows < BATCH:
                break
        gauge("RowsCleanedUp", deleted[table], table=table)
    logger().info("cleaned up", extra={"deleted": deleted})
    return deleted


def delete_batch(connection: Connection, table: str, old: str) -> int:
    """Delete up to `BATCH` rows of `table` that `old` is true of; say how many."""
    statement = text(_DELETE.format(table=table, old=old))
    done: Any = connection.execute(statement, {"batch": BATCH})
    return int(done.rowcount)
