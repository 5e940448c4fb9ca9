"""Deleting what inboxes and phones left behind."""

from fieldgate.db.engine import Database
from fieldgate.db.old_rows import delete_old_rows
from fieldgate.push.device_ages import PURGED_AFTER

ACTOR = "system:cleanup_pushes"
# How long an inbox keeps what it was told.
KEPT_DAYS = 90

# A notification's id says when it was made, so its old recipients are a range of the key.
OLD_ROWS = {
    "devices": f"last_seen_at < now() - interval '{PURGED_AFTER.days} days'",
    "notification_recipients": f"notification_id < uuidv7(interval '-{KEPT_DAYS} days')",
    "notifications": f"""created_at < now() - interval '{KEPT_DAYS} days' AND NOT EXISTS (
        SELECT FROM notification_recipients WHERE notification_id = notifications.id)""",
}


def clean_up(database: Database) -> dict[str, int]:
    """Delete old rows until none are left or the time is up; say how many, by table."""
    return delete_old_rows(database, OLD_ROWS, ACTOR)
