"""What waits to be sent, on the disk: every query of the offline queue, each change a transaction.

waiting -> (sent: the row is deleted)
waiting -> set_aside -> waiting             refused; somebody has it tried again
either  -> (dropped: the row is deleted, and those that depend on it)
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row

from fieldgate_client.database import Database


@dataclass(frozen=True)
class Entry:
    """Something that is to be sent: an upload, or a request whose `body` is JSON.

    `reason` is the last error, or why it was set aside. `after` is the entry to be sent before.
    `first_sent_at` is when it may have been done, for all that is known.
    """

    id: int
    upload: str | None
    method: str | None
    path: str
    body: str | None
    idempotency_key: str
    after: int | None
    created_at: datetime
    first_sent_at: datetime | None
    attempts: int
    reason: str | None
    set_aside: bool

    @property
    def title(self) -> str:
        return self.path if self.method is None else f"{self.method} {self.path}"


@dataclass(frozen=True)
class Owner:
    """Whose entries: phones are handed on, and an app may know several servers."""

    server: str
    user_id: str


class Outbox:
    """The entries in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_request(
        self,
        owner: Owner,
        method: str,
        path: str,
        body: str | None,
        after: int | None,
        created_at: datetime,
    ) -> int:
        """Keep a request, with a key of its own, and return its id."""
        return self._insert(
            "INSERT INTO outbox (server, user_id, kind, method, path, body, idempotency_key, after,"
            " created_at) VALUES (?, ?, 'request', ?, ?, ?, ?, ?, ?)",
            [
                owner.server,
                owner.user_id,
                method,
                path,
                body,
                str(uuid.uuid4()),
                after,
                created_at.isoformat(),
            ],
        )

    def add_upload(self, upload: str, created_at: datetime) -> int:
        """Keep an upload, whose key is its own, and return the entry's id."""
        return self._insert(
            "INSERT INTO outbox (server, user_id, kind, path, upload, idempotency_key, created_at)"
            " SELECT server, user_id, 'upload', path, id, idempotency_key, ? FROM uploads"
            " WHERE id = ?",
            [created_at.isoformat(), upload],
        )

    def of_upload(self, upload: str) -> int | None:
        """Return the id of an upload's entry."""
        row = self._database.row("SELECT id FROM outbox WHERE upload = ?", [upload])
        return None if row is None else int(row["id"])

    def entries(self, owner: Owner) -> list[Entry]:
        """List what waits and what was set aside, in order."""
        return [
            _entry(row)
            for row in self._database.rows(
                "SELECT * FROM outbox WHERE server = ? AND user_id = ? ORDER BY id",
                [owner.server, owner.user_id],
            )
        ]

    def next(self, owner: Owner, behind: int) -> Entry | None:
        """Return the first entry behind that id that may be sent.

        One whose predecessor is still there may not, nor an upload that the user has paused.
        """
        row = self._database.row(
            "SELECT outbox.* FROM outbox LEFT JOIN uploads ON uploads.id = outbox.upload"
            " WHERE outbox.server = ? AND outbox.user_id = ? AND outbox.state = 'waiting'"
            " AND outbox.after IS NULL AND NOT coalesce(uploads.paused, 0) AND outbox.id > ?"
            " ORDER BY outbox.id LIMIT 1",
            [owner.server, owner.user_id, behind],
        )
        return None if row is None else _entry(row)

    def begin(self, entry: int, at: datetime) -> None:
        """Note, before it is, that an entry is sent."""
        self._change(
            "UPDATE outbox SET attempts = attempts + 1, first_sent_at = coalesce(first_sent_at, ?)"
            " WHERE id = ?",
            [at.isoformat(), entry],
        )

    def stopped(self, entry: int, error: str, *, may_be_done: bool) -> None:
        """Note what stopped an entry that goes on waiting."""
        self._change(
            "UPDATE outbox SET last_error = ?,"
            " first_sent_at = CASE WHEN ? THEN first_sent_at END WHERE id = ?",
            [error, may_be_done, entry],
        )

    def set_aside(self, entry: int, reason: str) -> None:
        """Keep an entry from being sent until somebody looked at it."""
        self._change(
            "UPDATE outbox SET state = 'set_aside', last_error = ?, first_sent_at = NULL"
            " WHERE id = ?",
            [reason, entry],
        )

    def retry(self, owner: Owner, entry: int) -> bool:
        """Let an entry that was set aside wait again, in its old place; False: no such entry."""
        changed = self._change(
            "UPDATE outbox SET state = 'waiting'"
            " WHERE id = ? AND state = 'set_aside' AND server = ? AND user_id = ?",
            [entry, owner.server, owner.user_id],
        )
        return changed > 0

    def sent(self, entry: int) -> None:
        """Delete an entry that is done; what came after it is free (the table's ON DELETE)."""
        self._change("DELETE FROM outbox WHERE id = ?", [entry])

    def drop(self, entry: int) -> None:
        """Delete an entry that won't be done, and all that depend on it."""
        self._change(
            "WITH RECURSIVE dropped (id) AS (VALUES (?) UNION SELECT outbox.id FROM outbox"
            " JOIN dropped ON outbox.after = dropped.id)"
            " DELETE FROM outbox WHERE id IN (SELECT id FROM dropped)",
            [entry],
        )

    def _insert(self, statement: str, values: Sequence[object]) -> int:
        with self._database.transaction() as connection:
            added = connection.execute(statement, values).lastrowid
        assert added is not None
        return added

    def _change(self, statement: str, values: Sequence[object]) -> int:
        with self._database.transaction() as connection:
            return connection.execute(statement, values).rowcount


def _entry(row: Row) -> Entry:
    sent = row["first_sent_at"]
    return Entry(
        id=row["id"],
        upload=row["upload"],
        method=row["method"],
        path=row["path"],
        body=row["body"],
        idempotency_key=row["idempotency_key"],
        after=row["after"],
        created_at=datetime.fromisoformat(row["created_at"]),
        first_sent_at=datetime.fromisoformat(sent) if sent else None,
        attempts=row["attempts"],
        reason=row["last_error"],
        set_aside=row["state"] == "set_aside",
    )
