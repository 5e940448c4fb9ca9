"""Every query about what people want to hear when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from fieldgate.db.tables.push import notification_preferences, notification_recipients


@dataclass(frozen=True)
class Stored:
    """A user's preferences as they are stored: all three of the quiet hours, or none."""

    quiet_from: time | None = None
    quiet_to: time | None = None
    time_zone: str | None = None
    muted: Sequence[str] = ()


def find(connection: Connection, user_id: UUID) -> Stored:
    """Return a user's preferences; of who has set none, those that ask for nothing."""
    mine = notification_preferences.c
    columns = [mine[name] for name in Stored.__dataclass_fields__]
    row = connection.execute(select(*columns).where(mine.user_id == user_id)).mappings()
    found = row.one_or_none()
    return Stored(**found) if found else Stored()


def replace(connection: Connection, user_id: UUID, stored: Stored) -> None:
    """Store a user's preferences instead of those they had; breaks a constraint without a user."""
    values: dict[str, Any] = vars(stored) | {"muted": list(stored.muted)}
    connection.execute(
        insert(notification_preferences)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["user_id"], set_=values)
    )
    # What the quiet hours before held back is looked at anew.
    mine = notification_recipients.c
    connection.execute(
        update(notification_recipients)
        .where(mine.user_id == user_id, mine.state == "queued", mine.reason == "quiet_hours")
        .values(due_at=func.now())
    )
