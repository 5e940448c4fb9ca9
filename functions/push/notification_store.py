"""Every query about notifications as whoever sent them sees them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select, true

from fieldgate.db.tables.push import notification_recipients, notifications

STATES = ("queued", "sent", "suppressed", "failed")

_recipients = notification_recipients.c


@dataclass(frozen=True)
class Progress:
    """How far a notification is: its recipients by state, and whether all are written down."""

    id: UUID
    kind: str
    title: str
    created_at: datetime
    is_expanded: bool
    counts: dict[str, int]


def find_progress(connection: Connection, notification_id: UUID) -> Progress | None:
    """Return how far a notification is: one round trip."""
    counts = [func.count().filter(_recipients.state == state).label(state) for state in STATES]
    counted = (
        select(*counts).where(_recipients.notification_id == notification_id).subquery("counted")
    )
    row = (
        connection.execute(
            select(
                notifications.c.id,
                notifications.c.kind,
                notifications.c.title,
                notifications.c.created_at,
                notifications.c.expanded_at.is_not(None).label("is_expanded"),
                *counted.c,
            )
            .select_from(notifications.join(counted, true()))
            .where(notifications.c.id == notification_id)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    own = {name: row[name] for name in Progress.__dataclass_fields__ if name in row}
    return Progress(**own, counts={state: row[state] for state in STATES})
