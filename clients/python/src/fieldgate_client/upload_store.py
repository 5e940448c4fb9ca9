"""What the client remembers of its uploads: every query, each change one transaction."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from fieldgate_client.database import Database
from fieldgate_client.errors import UploadCancelled, UploadPaused
from fieldgate_client.local_file import FileIdentity
from fieldgate_client.upload_record import GIVEN_UP, OVER, Chunk, UploadRecord

_COLUMNS = [field.name for field in fields(UploadRecord)]
_IS_OVER = f"state IN {OVER}"
_IS_GIVEN_UP = f"state IN {GIVEN_UP}"


class UploadStore:
    """The uploads in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: UploadRecord) -> str:
        """Keep an upload, unless the same goes on already; return its id, or that one's."""
        values = ", ".join(f":{name}" for name in _COLUMNS)
        # In one transaction: another process may be adding the same.
        with self._database.transaction() as connection:
            for other in self.unfinished(record.server, record.user_id):
                if other.state not in GIVEN_UP and other.is_the_same_as(record):
                    return other.id
            connection.execute(
                f"INSERT INTO uploads ({', '.join(_COLUMNS)}) VALUES ({values})",  # noqa: S608
                asdict(record),
            )
        return record.id

    def find(self, local_id: str) -> UploadRecord:
        """Return an upload; raises KeyError when there is none."""
        found = self._select("id = ?", [local_id])
        if not found:
            raise KeyError(local_id)
        return found[0]

    def unfinished(self, server: str, user_id: str) -> list[UploadRecord]:
        """Return a user's uploads that are not over, oldest first."""
        return self._select(f"server = ? AND user_id = ? AND NOT {_IS_OVER}", [server, user_id])

    def sent_before(self, server: str, user_id: str, path: str, folder: str) -> list[UploadRecord]:
        """Return a user's uploads of this path for this folder that have arrived, oldest first."""
        return self._select(
            "server = ? AND user_id = ? AND path = ? AND folder = ? AND state = 'completed'",
            [server, user_id, path, folder],
        )

    def chunks(self, local_id: str) -> list[Chunk]:
        rows = self._database.rows(
            "SELECT number, length, sha256, acknowledged, sent_bytes FROM chunks"
            " WHERE upload = ? ORDER BY number",
            [local_id],
        )
        return [Chunk(*row) for row in rows]

    def check(self, local_id: str) -> None:
        """Raise UploadPaused or UploadCancelled when the user, in any process, wanted that."""
        record = self.find(local_id)
        if record.state in GIVEN_UP:
            raise UploadCancelled(f"{record.path} was given up.")
        if record.paused:
            raise UploadPaused(f"{record.path} is paused.")

    def begin_run(self, local_id: str) -> UploadRecord:
        """Take an upload up: not paused any more, and what failed the last time counts for nothing.

        What was in flight when the run before ended may have gone out whole: it counts as sent.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE uploads SET paused = 0, restarts = 0 WHERE id = ?", [local_id]
            )
            connection.execute(
                "UPDATE uploads SET failures = 0, mends = 0 WHERE id = ? AND state = 'failed'",
                [local_id],
            )
            connection.execute(
                "UPDATE chunks SET in_flight = 0, sent_bytes = sent_bytes + length"
                " WHERE upload = ? AND in_flight",
                [local_id],
            )
        return self.find(local_id)

    def pause(self, local_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("UPDATE uploads SET paused = 1 WHERE id = ?", [local_id])

    def touch(self, local_id: str, identity: FileIdentity) -> None:
        """Note a new time of the file's; its bytes are as they were."""
        with self._database.transaction() as connection:
            self._move(connection, local_id, modified_ns=identity.modified_ns)

    def begin_creating(self, local_id: str) -> None:
        """Note, before it is, that the server will be asked for an upload."""
        with self._database.transaction() as connection:
            self._move(connection, local_id, state="creating")

    def created(
        self,
        local_id: str,
        upload_id: str,
        media_id: str,
        chunk_size: int,
        policy: Mapping[str, Any],
        digests: Iterable[str],
    ) -> None:
        """Keep what the server has agreed to, and the digest of each chunk."""
        record = self.find(local_id)
        with self._database.transaction() as connection:
            self._move(
                connection,
                local_id,
                state="sending",
                upload_id=upload_id,
                media_id=media_id,
                chunk_size=chunk_size,
                policy=json.dumps(policy),
            )
            connection.executemany(
                "INSERT INTO chunks (upload, number, length, sha256) VALUES (?, ?, ?, ?)",
                (
                    (local_id, number, min(chunk_size, record.size - (number - 1) * chunk_size), d)
                    for number, d in enumerate(digests, 1)
                ),
            )

    def arrived(self, local_id: str, numbers: Collection[int]) -> None:
        """Note which chunks are at the server, and only they; of an upload that is `sending`."""
        with self._database.transaction() as connection:
            self._move(connection, local_id, state="sending", failure_reason=None)
            connection.execute("UPDATE chunks SET acknowledged = 0 WHERE upload = ?", [local_id])
            connection.executemany(
                "UPDATE chunks SET acknowledged = 1 WHERE upload = ? AND number = ?",
                ((local_id, number) for number in numbers),
            )

    def chunk_leaves(self, local_id: str, number: int) -> None:
        """Note, before it is, that a chunk is sent; raises as `check` does."""
        self.check(local_id)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE chunks SET in_flight = 1 WHERE upload = ? AND number = ?",
                [local_id, number],
            )

    def chunk_sent(self, local_id: str, number: int, sent: int, *, acknowledged: bool) -> None:
        """Note how many bytes of a chunk went out, and whether storage has it."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE chunks SET in_flight = 0, sent_bytes = sent_bytes + ?,"
                " acknowledged = acknowledged OR ? WHERE upload = ? AND number = ?",
                [sent, acknowledged, local_id, number],
            )
            if acknowledged:
                connection.execute("UPDATE uploads SET failures = 0 WHERE id = ?", [local_id])

    def count_retry(self, local_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("UPDATE uploads SET retries = retries + 1 WHERE id = ?", [local_id])

    def count_failure(self, local_id: str) -> int:
        """Count a chunk that failed with all its retries; return how many did so in a row."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "UPDATE uploads SET failures = failures + 1 WHERE id = ? RETURNING failures",
                [local_id],
            ).fetchone()
        return int(row[0])

    def begin_completing(self, local_id: str) -> None:
        with self._database.transaction() as connection:
            self._move(connection, local_id, state="completing")

    def begin_mending(self, local_id: str, digests: Iterable[str]) -> list[int]:
        """Keep the digests of the file as it was read again; return the chunks that differ."""
        known = self.chunks(local_id)
        with self._database.transaction() as connection:
            connection.execute("UPDATE uploads SET mends = mends + 1 WHERE id = ?", [local_id])
            changed = [
                (digest, local_id, chunk.number)
                for chunk, digest in zip(known, digests, strict=True)
                if chunk.sha256 != digest
            ]
            connection.executemany(
                "UPDATE chunks SET sha256 = ? WHERE upload = ? AND number = ?", changed
            )
        return [number for _, _, number in changed]

    def begin_anew(self, local_id: str, idempotency_key: str) -> None:
        """Forget the server's upload, which it has forgotten as well, and all that was sent."""
        with self._database.transaction() as connection:
            self._move(
                connection,
                local_id,
                state="added",
                idempotency_key=idempotency_key,
                upload_id=None,
                media_id=None,
                failures=0,
                mends=0,
            )
            connection.execute(
                "UPDATE uploads SET restarts = restarts + 1, bytes_in_vain = bytes_in_vain +"
                " (SELECT coalesce(sum(sent_bytes), 0) FROM chunks WHERE upload = :id)"
                " WHERE id = :id",
                {"id": local_id},
            )
            connection.execute("DELETE FROM chunks WHERE upload = ?", [local_id])

    def completed(self, local_id: str) -> None:
        """Note that the file has arrived; true even if it was given up meanwhile."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE uploads SET state = 'completed', failure_reason = NULL WHERE id = ?",
                [local_id],
            )
            connection.execute("UPDATE chunks SET acknowledged = 1 WHERE upload = ?", [local_id])

    def failed(
        self, local_id: str, reason: str, *, message: str = "", for_good: bool = False
    ) -> None:
        with self._database.transaction() as connection:
            self._move(
                connection,
                local_id,
                state="refused" if for_good else "failed",
                failure_reason=reason,
                failure_message=message,
            )

    def give_up(self, local_id: str) -> str:
        """Note that the user gave an upload up; return its state now.

        What the server was never asked for is cancelled by that, and what is over stays so.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                f"UPDATE uploads SET state = CASE WHEN {_IS_OVER} THEN state"  # noqa: S608
                " WHEN state = 'added' AND upload_id IS NULL THEN 'cancelled'"
                " ELSE 'cancelling' END WHERE id = ? RETURNING state",
                [local_id],
            ).fetchone()
        return str(row[0])

    def cancelled(self, local_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("UPDATE uploads SET state = 'cancelled' WHERE id = ?", [local_id])

    def _select(self, condition: str, values: list[Any]) -> list[UploadRecord]:
        columns = ", ".join(_COLUMNS)
        rows = self._database.rows(
            f"SELECT {columns} FROM uploads WHERE {condition} ORDER BY rowid",  # noqa: S608
            values,
        )
        return [UploadRecord(*row) for row in rows]

    def _move(self, connection: sqlite3.Connection, local_id: str, **values: Any) -> None:
        """Change an upload, unless the user gave it up: then UploadCancelled is raised."""
        changes = ", ".join(f"{name} = :{name}" for name in values)
        moved = connection.execute(
            f"UPDATE uploads SET {changes} WHERE id = :id AND NOT {_IS_GIVEN_UP}",  # noqa: S608
            values | {"id": local_id},
        )
        if moved.rowcount == 0:
            raise UploadCancelled("The upload was given up.")
