"""The stream of events in a test's database: what fills it, and who is owed something.

stream = Stream(database)              # what the migrations recorded is dispatched
user_id = stream.add_user()
stream.connect("A1", user_id)          # ready, owed nothing
stream.add_media(user_id)
relay(database, stream.ask_for)
assert stream.told() == [("changed", "media", ..., "created")]
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, func, insert, select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import (
    change_log,
    media,
    outbox,
    realtime_broadcasts,
    realtime_connections,
    realtime_events,
    realtime_stream,
    sessions,
    user_roles,
)
from realtime import stream_store
from realtime.events import NewEvent
from realtime.fan_out_queue import Task
from tests.support.media import add_user

HOUR = timedelta(hours=1)


def new_media(owner_id: UUID) -> dict[str, Any]:
    """Return the row of a photo that was announced."""
    media_id = uuid.uuid4()
    return {
        "id": media_id,
        "owner_id": owner_id,
        "folder": "farmers",
        "filename": "leaf.jpg",
        "content_type": "image/jpeg",
        "size": 5,
        "object_key": f"farmers/{media_id}.jpg",
    }


def new_event(*audiences: str, entity_id: str = "1", **values: Any) -> NewEvent:
    """Return an event of a shipment."""
    found: dict[str, Any] = {
        "kind": "changed",
        "entity_type": "shipments",
        "entity_id": entity_id,
        "action": "updated",
        "audiences": audiences or ("all",),
        "at": datetime.now(UTC),
    }
    return NewEvent(**(found | values))


def append(database: Database, *events: NewEvent) -> None:
    """Put events into the stream past the relay; nobody is owed them."""

    def write(connection: Connection) -> None:
        stream_store.append(connection, stream_store.lock(connection), events)

    database.transact(write)


@dataclass
class Stream:
    """`asked` is what workers were asked for: the task, and the connections of one call."""

    database: Database
    asked: list[tuple[Task, tuple[str, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settle()

    def ask_for(self, task: Task, connections: Sequence[str]) -> None:
        self.asked.append((task, tuple(connections)))

    def asked_for(self, task: Task) -> set[str]:
        return {name for asked, names in self.asked if asked == task for name in names}

    # What happens

    def settle(self) -> None:
        """Take all that was recorded so far for dispatched."""
        self._execute(
            update(outbox).where(outbox.c.dispatched_at.is_(None)).values(dispatched_at=func.now())
        )

    def add_user(self, *roles: str) -> UUID:
        """Add a user with these roles, of whom nothing is told."""
        user_id = add_user(self.database)
        for role in roles:
            self._execute(insert(user_roles).values(user_id=user_id, role=role))
        self.settle()
        return user_id

    def add_media(self, owner_id: UUID) -> UUID:
        row = new_media(owner_id)
        self._execute(insert(media).values(row))
        media_id: UUID = row["id"]
        return media_id

    def change_media(self, media_id: UUID, **values: Any) -> None:
        self._execute(update(media).where(media.c.id == media_id).values(values))

    def remove_media(self, media_id: UUID) -> None:
        self._execute(media.delete().where(media.c.id == media_id))

    def broadcast(self, created_by: UUID, *audiences: str, entity_id: str = "1") -> None:
        row = {
            "entity_type": "shipments",
            "entity_id": entity_id,
            "action": "status_changed",
            "audiences": list(audiences or ["all"]),
            "created_by": created_by,
        }
        self._execute(insert(realtime_broadcasts).values(row))

    def append(self, *events: NewEvent) -> None:
        """Put events into the stream past the relay; nobody is owed them."""
        append(self.database, *events)

    def begin_session(self, user_id: UUID, **values: Any) -> UUID:
        row: dict[str, Any] = {
            "id": uuid.uuid4(),
            "user_id": user_id,
            "profile": "web",
            "current_hash": b"",
            "expires_at": func.now() + HOUR,
        }
        self._execute(insert(sessions).values(row | values))
        self.settle()
        session_id: UUID = row["id"]
        return session_id

    def connect(
        self, connection_id: str, user_id: UUID, session_id: UUID | None = None, **values: Any
    ) -> str:
        """Add a connection that is ready at the stream's head, of a new session unless told."""
        row: dict[str, Any] = {
            "id": connection_id,
            "user_id": user_id,
            "session_id": session_id or self.begin_session(user_id),
            "token_expires_at": func.now() + HOUR,
            "dialect": "signalr",
            "ready_at": func.now(),
            "sent_offset": self.head,
            "wanted_offset": self.head,
        }
        self._execute(insert(realtime_connections).values(row | values))
        return connection_id

    def connect_many(self, number: int, *user_ids: UUID) -> None:
        """Add connections that are ready and owed nothing, in turn of these users."""
        added = text("""
            INSERT INTO realtime_connections (id, user_id, session_id, token_expires_at, dialect,
                ready_at, sent_offset, wanted_offset)
            SELECT 'C' || lpad(CAST(number AS text), 6, '0'),
                (CAST(:user_ids AS uuid[]))[mod(number, :users) + 1], gen_random_uuid(),
                now() + interval '1 hour', 'signalr', now(), :head, :head
            FROM generate_series(1, :number) AS number""")
        values = {
            "user_ids": list(user_ids),
            "users": len(user_ids),
            "head": self.head,
            "number": number,
        }
        self.database.transact(lambda connection: connection.execute(added, values))

    def change(self, table: Table, **values: Any) -> None:
        """Write into every row of a table what a test needs to be there."""
        self._execute(update(table).values(values))

    # What is there

    @property
    def head(self) -> int:
        return int(self.stream_row()["head"])

    def stream_row(self) -> Mapping[str, Any]:
        return self._rows(realtime_stream)[0]

    def events(self) -> list[Mapping[str, Any]]:
        return self._rows(realtime_events)

    def told(self, after: int = 0) -> list[tuple[str, str, str, str]]:
        """Return kind, type, id and action of the events after an offset."""
        return [
            (event["kind"], event["entity_type"], event["entity_id"], event["action"])
            for event in self.events()
            if event["event_offset"] > after
        ]

    def connections(self) -> dict[str, Mapping[str, Any]]:
        return {row["id"]: row for row in self._rows(realtime_connections)}

    def owed(self) -> dict[str, int]:
        """Return how many events each connection is owed, those that are owed some."""
        due = {
            name: row["wanted_offset"] - row["sent_offset"]
            for name, row in self.connections().items()
        }
        return {name: events for name, events in due.items() if events}

    def undispatched(self) -> int:
        statement = select(func.count()).where(outbox.c.dispatched_at.is_(None))
        return self.database.read(lambda connection: connection.scalar(statement)) or 0

    def history(self, entity: str) -> list[Mapping[str, Any]]:
        """Return the change log of an entity."""
        return [row for row in self._rows(change_log) if row["entity"] == entity]

    def _rows(self, table: Table) -> list[Mapping[str, Any]]:
        statement = select(table).order_by(*table.primary_key.columns)
        return self.database.read(
            lambda connection: [dict(row) for row in connection.execute(statement).mappings()]
        )

    def _execute(self, statement: Any) -> None:
        self.database.transact(lambda connection: connection.execute(statement))
