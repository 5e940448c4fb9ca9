"""Deleting what sessions, one-time codes, limits and repeated requests left behind."""

from functools import partial

from fieldgate import deadline, request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge, logger
from identity import cleaning_store

BATCH = 1_000
ACTOR = "system:cleanup_otps"


def clean_up(database: Database) -> dict[str, int]:
    """Delete old rows, a transaction a batch, until none are left or the time is up.

    Two at once share the work. Says how many were deleted, by table; the next run does the rest.
    """
    deleted = dict.fromkeys(cleaning_store.OLD_ROWS, 0)
    for table in deleted:
        while deadline.is_left():
            delete_batch = partial(cleaning_store.delete_old, table=table, batch=BATCH)
            try:
                rows = database.transact(delete_batch, actor=ACTOR, request_id=request_id.current())
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
