"""Deleting what sessions, one-time codes, limits and repeated requests left behind."""

from fieldgate.db.engine import Database
from fieldgate.db.old_rows import delete_old_rows

ACTOR = "system:cleanup_otps"

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


def clean_up(database: Database) -> dict[str, int]:
    """Delete old rows until none are left or the time is up; say how many, by table."""
    return delete_old_rows(database, OLD_ROWS, ACTOR)
