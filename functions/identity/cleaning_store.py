"""Every query about deleting what nobody will ask about again."""

from typing import Any

from sqlalchemy import Connection, text

# What is old, by table. Whatever else there is of a challenge goes with it: also its text.
OLD_ROWS = {
    # Name, e-mail and hash of people who may never have proved their number.
    "registrations": """EXISTS (
        SELECT FROM otp_challenges WHERE id = challenge_id
            AND expires_at < now() - interval '1 hour')""",
    "otp_challenges": "created_at < now() - interval '7 days'",
    "otp_phones": "updated_at < now() - interval '2 days'",
    "otp_counters": "window_start < now() - interval '2 days'",
    "sessions": "expires_at < now() - interval '7 days'",
    "idempotency_keys": "created_at < now() - interval '1 day'",
    "rate_limits": "full_at < now() - interval '1 hour'",
}
_DELETE = """
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE {old} LIMIT :batch FOR UPDATE SKIP LOCKED))"""


def delete_old(connection: Connection, table: str, batch: int) -> int:
    """Delete up to `batch` rows that `OLD_ROWS` calls old, none that others hold; say how many."""
    statement = _DELETE.format(table=table, old=OLD_ROWS[table])
    deleted: Any = connection.execute(text(statement), {"batch": batch})
    return int(deleted.rowcount)
