"""Connections that are owed events, and the worker that posts to them, over a loopback API Gateway.

board.connect("A1", user_id)
board.announce(new_event("all"))       # in the stream, and owed to all who are ready
left = board.send("A1")                # as a message has it done; for whom it failed is in `left`
board.repeat(left)                     # as the queue would, after its pauses
assert board.offsets("A1") == [1]
"""

import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import batched
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import realtime_connections
from fieldgate.sigv4 import Credentials
from realtime import stream_store
from realtime.closing import close
from realtime.endpoint import RealtimeSettings
from realtime.events import NewEvent
from realtime.fan_out_queue import MOST_CONNECTIONS, Task, Work
from realtime.fan_out_store import LEASE
from realtime.fanning_out import send_owed
from realtime.posting import Line
from tests.support.connections_api import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    TOKEN,
    LoopbackApi,
)
from tests.support.stream import Stream

CREDENTIALS = Credentials(ACCESS_KEY, SECRET_KEY, TOKEN)

_CONNECT_MANY = """
    INSERT INTO realtime_connections (id, user_id, session_id, token_expires_at, dialect, ready_at,
        sent_offset, wanted_offset)
    SELECT 'many-' || lpad(CAST(place AS text), 5, '0') || '=', :user_id, :session_id,
        now() + interval '1 hour', CASE mod(place, 2) WHEN 0 THEN 'json' ELSE 'signalr' END, now(),
        :head, :head
    FROM generate_series(1, :number) AS place
    RETURNING id"""


def settings_for(endpoint: str) -> RealtimeSettings:
    return RealtimeSettings.model_validate({"REALTIME_ENDPOINT": endpoint, "AWS_REGION": REGION})


def line_to(endpoint: str, credentials: Credentials = CREDENTIALS) -> Line:
    return Line(settings_for(endpoint), lambda: credentials)


@dataclass
class Switchboard:
    """Those who are connected, as the database and API Gateway know them."""

    database: Database
    api: LoopbackApi
    stream: Stream

    def at(self, database: Database) -> "Switchboard":
        """Return the same by the database connection of another process."""
        return Switchboard(database, self.api, Stream(database))

    def connect(self, connection_id: str, user_id: UUID, **values: Any) -> str:
        """Connect somebody; `values` are of the row, as in `Stream.connect`."""
        self.api.connect(connection_id)
        return self.stream.connect(connection_id, user_id, **values)

    def connect_many(self, number: int, user_id: UUID) -> list[str]:
        """Connect somebody often, in one session, by both dialects; return the ids."""
        values = {
            "user_id": user_id,
            "session_id": self.stream.begin_session(user_id),
            "number": number,
            "head": self.stream.head,
        }
        names = self.database.transact(
            lambda connection: list(connection.scalars(text(_CONNECT_MANY), values))
        )
        self.api.connect(*names)
        return names

    def announce(self, *events: NewEvent) -> None:
        """Put events into the stream and owe them to whom they concern, as the relay does."""
        told = {audience for event in events for audience in event.audiences}

        def dispatch(connection: Connection) -> None:
            before = stream_store.lock(connection)
            head = stream_store.append(connection, before, events)
            stream_store.want(connection, told, before, head)

        self.database.transact(dispatch)

    def change(self, connection_id: str, **values: Any) -> None:
        """Write into a connection's row what a test needs to be there."""
        mine = realtime_connections
        statement = update(mine).where(mine.c.id == connection_id).values(values)
        self.database.transact(lambda connection: connection.execute(statement))

    def lease(self, connection_id: str, age: timedelta) -> None:
        """Let another run have leased a connection so long ago."""
        self.change(connection_id, leased_until=func.now() + LEASE - age)

    def end_leases(self) -> None:
        self.stream.change(realtime_connections, leased_until=func.now() - timedelta(seconds=1))

    def end_pauses(self) -> None:
        self.stream.change(realtime_connections, retry_at=None)

    def send(self, *connection_ids: str) -> list[Work]:
        """Do as messages have it done that name these connections, or all there are.

        Returns what they ask for, as some could not be reached.
        """
        return self._ask("send", connection_ids)

    def close(self, *connection_ids: str) -> list[Work]:
        return self._ask("close", connection_ids)

    def do(self, *messages: Work) -> list[Work]:
        """Do what messages ask for; return what they ask for in turn.

        Those that come after some tries come when their pause is over.
        """
        for work in messages:
            if work.task == "send" and work.tries:
                for name in work.connections:
                    self.change(name, tries=work.tries, retry_at=None)
        with closing(line_to(self.api.endpoint)) as line:
            return [
                left
                for work in messages
                for left in line.run(
                    partial(close if work.task == "close" else send_owed, self.database, work=work)
                )
            ]

    def repeat(self, left: list[Work]) -> int:
        """Go on until nothing is asked for any more; return how many runs that took."""
        runs = 0
        while left:
            runs += len(left)
            left = self.do(*left)
        return runs

    def rows(self) -> dict[str, Any]:
        return dict(self.stream.connections())

    def leased(self) -> list[str]:
        mine = realtime_connections
        statement = select(mine.c.id).where(mine.c.leased_until > func.now()).order_by(mine.c.id)
        return self.database.read(lambda connection: list(connection.scalars(statement)))

    def told(self, connection_id: str) -> list[dict[str, Any]]:
        """Return the messages that a connection got: invocations and all, of either dialect."""
        return messages(self.api.frames[connection_id])

    def offsets(self, connection_id: str) -> list[int]:
        """Return the offsets of the events that a connection got, in order."""
        return offsets(self.api.frames[connection_id])

    def _ask(self, task: Task, connection_ids: tuple[str, ...]) -> list[Work]:
        parts = batched(connection_ids or self.rows(), MOST_CONNECTIONS, strict=False)
        return self.do(*[Work(task=task, connections=part) for part in parts])


def messages(frames: Iterable[bytes]) -> list[dict[str, Any]]:
    return [
        json.loads(record)
        for frame in frames
        for record in frame.decode().removesuffix("\x1e").split("\x1e")
    ]


def offsets(frames: Iterable[bytes]) -> list[int]:
    found = [message.get("arguments", [message])[0] for message in messages(frames)]
    return [argument["offset"] for argument in found if "offset" in argument]
