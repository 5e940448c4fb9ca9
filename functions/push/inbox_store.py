"""Every query about people's inboxes.

A notification's id says when it was made, so an inbox is read by its index, newest first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, text, update

from fieldgate.db.paging import MOST_COUNTED
from fieldgate.db.tables.push import notification_recipients

_PAGE = """
    WITH page AS (
        SELECT notification_id, read_at FROM notification_recipients AS recipient
        WHERE user_id = :user_id AND {of_these}
        ORDER BY notification_id DESC LIMIT :limit OFFSET :offset
    )
    SELECT everything.total, told.id, told.kind, told.title, told.body, told.data, told.created_at,
        page.read_at
    FROM (SELECT count(*) AS total FROM (
            SELECT FROM notification_recipients WHERE user_id = :user_id AND {of_these}
            LIMIT :most_counted) AS counted) AS everything
        LEFT JOIN (page JOIN notifications AS told ON told.id = page.notification_id) ON true
    ORDER BY told.id DESC"""


@dataclass(frozen=True)
class Entry:
    """What somebody was told, and since when they have read it."""

    id: UUID
    kind: str
    title: str
    body: str
    data: Mapping[str, str]
    created_at: datetime
    read_at: datetime | None


def find_page(
    connection: Connection, user_id: UUID, limit: int, offset: int, *, unread: bool
) -> tuple[list[Entry], int]:
    """Return one page of an inbox, newest first, and how many there are: one round trip for both.

    With `unread`, of those that weren't read yet.
    """
    statement = text(_PAGE.format(of_these="read_at IS NULL" if unread else "true"))
    values = {
        "user_id": user_id,
        "limit": limit,
        "offset": offset,
        "most_counted": MOST_COUNTED,
    }
    rows = connection.execute(statement, values).mappings().all()
    # A page past the end still has the one row that carries the total.
    found = [row for row in rows if row["id"]]
    entries = [Entry(**{name: row[name] for name in Entry.__dataclass_fields__}) for row in found]
    return entries, rows[0]["total"]


def mark_read(connection: Connection, notification_id: UUID, user_id: UUID) -> datetime | None:
    """Note that it was read, unless it was; return since when. None when it isn't in their inbox.

    Also who comes second at the same moment gets the first one's time.
    """
    mine = notification_recipients.c
    read_at: datetime | None = connection.scalar(
        update(notification_recipients)
        .where(mine.notification_id == notification_id, mine.user_id == user_id)
        .values(read_at=func.coalesce(mine.read_at, func.now()))
        .returning(mine.read_at)
    )
    return read_at
