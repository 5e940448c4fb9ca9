"""Deleting what inboxes and phones left behind."""

from fieldgate.db.engine import Database
from fieldgate.db.old_rows import delete_old_rows
from push.device_ages import PURGED_AFTER

ACTOR = "system:cleanup_pushes"
# How long an inbox keeps what it was told.
KEPT_DAYS = 90

# A notification's id (uuid7) begins with when it was made, in milliseconds, so its old recipients
# are a range of the key. Not `uuidv7(interval)`, which is another value for each row: the whole
# table would be read.
_KEPT_SINCE = f"""CAST(rpad(lpad(to_hex(CAST(
    extract(epoch FROM now() - interval '{KEPT_DAYS} days') * 1000 AS bigint)), 12, '0'), 32, '0')
    AS uuid)"""

# Notifications go once their recipients are gone: asked one by one, as NOT EXISTS might read all.
OLD_ROWS = {
    "devices": f"last_seen_at < now() - interval '{PURGED_AFTER.days} days'",
    "notification_recipients": f"notification_id < {_KEPT_SINCE}",
    "notifications": f"""created_at < now() - interval '{KEPT_DAYS} days' AND (
        SELECT true FROM notification_recipients WHERE notification_id = notifications.id LIMIT 1
    ) IS NULL""",  # noqa: S608 made of constants
}


def clean_up(database: Database) -> dict[str, int]:
    """Delete old rows until none are left or the time is up; say how many, by table."""
    return delete_old_rows(database, OLD_ROWS, ACTOR)
