"""Notifications on a real database, and a provider that says what a test wants.

board.add_person("agent", devices=2)
notification_id = board.tell(roles=["agent"])
board.deliver()
assert board.states(notification_id) == {"sent": 1}
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, text, update

from fieldgate import deadline
from fieldgate.circuit_breaker import CircuitBreaker
from fieldgate.db.engine import Database
from fieldgate.db.tables.push import (
    devices,
    notification_preferences,
    notification_recipients,
    notifications,
)
from fieldgate.db.tables.sessions import sessions
from fieldgate.push import Outcome, PushMessage
from fieldgate.push.notifying import NewNotification, notify
from push.delivering import deliver
from push.device_tokens import encrypt_token, hash_token
from tests.support.people import Person, register

SENT = Outcome("sent")
PASSING = Outcome("passing", "unavailable")
_numbers = count(1)

type Say = Callable[[PushMessage], Outcome]


@dataclass
class ScriptedPusher:
    """`Pusher` that hands messages to nobody and says of each what `say` does."""

    say: Say = lambda _: SENT
    messages: list[PushMessage] = field(default_factory=list)
    provider: str = "scripted"
    sender: str = "a-project"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send_each(self, messages: Sequence[PushMessage], seconds: float) -> list[Outcome]:
        assert seconds > 0
        with self._lock:
            self.messages += messages
        return [self.say(message) for message in messages]

    @property
    def addresses(self) -> list[str]:
        return [message.address for message in self.messages]


def saying(**by_prefix: Outcome) -> Say:
    """Return what says of tokens by what they begin with; the others are sent."""

    def say(message: PushMessage) -> Outcome:
        prefix = message.address.partition("-")[0]
        return by_prefix.get(prefix, SENT)

    return say


@dataclass
class Board:
    """People with phones, and what they are told."""

    database: Database
    pusher: ScriptedPusher = field(default_factory=ScriptedPusher)
    wakes: list[int] = field(default_factory=list)
    breaker: CircuitBreaker = field(default_factory=lambda: CircuitBreaker(f"test-{uuid4()}"))

    def add_person(self, role: str = "agent", *, devices: int = 1, token: str = "good") -> UUID:
        """Add somebody with so many phones, whose tokens begin with `token` and a dash."""
        number = next(_numbers)
        person = Person(
            "", None, phone=f"+2547{number:08}", email=None, name=f"Person {number}", roles=(role,)
        )
        register(self.database, person)
        for place in range(devices):
            self.add_device(person.id, f"{token}-{number}-{place}")
        return person.id

    def add_device(self, user_id: UUID, address: str, **values: Any) -> UUID:
        """Add a phone, with a session of its own; `values` are of its row."""
        session = {"user_id": user_id, "profile": "mobile", "current_hash": b""}
        session |= {"expires_at": func.now() + text("interval '1 day'")}
        row = {
            "user_id": user_id,
            "token_hash": hash_token(address),
            "token": encrypt_token(address),
            "kind": "token",
            "platform": "android",
        }

        def add(connection: Any) -> UUID:
            statement = insert(sessions).values(session).returning(sessions.c.id)
            session_id = connection.execute(statement).scalar_one()
            device = insert(devices).values(row | {"session_id": session_id} | values)
            device_id: UUID = connection.execute(device.returning(devices.c.id)).scalar_one()
            return device_id

        return self.database.transact(add, actor="tests")

    def tell(self, **values: Any) -> UUID:
        """Notify, by itself everybody who has the role `agent`; returns the notification's id."""
        wanted = {"kind": "general", "title": "Rain", "body": "Bring the maize in."} | values
        if not wanted.keys() & {"user_ids", "roles", "permission"}:
            wanted["roles"] = ["agent"]
        new = NewNotification(**wanted)
        return self.database.transact(lambda connection: notify(connection, new))

    def deliver(self, *, off: bool = False, seconds: float = 30) -> dict[str, int]:
        """Do what a worker does when it is woken; return its recipients by state."""
        with deadline.within(seconds):
            done = deliver(
                self.database, None if off else self.pusher, self.breaker, self.wakes.append
            )
        return done.recipients

    def states(self, notification_id: UUID) -> dict[str, int]:
        """Count the recipients of a notification by their state."""
        return dict(Counter(row["state"] for row in self.recipients(notification_id)))

    def recipients(self, notification_id: UUID) -> list[Mapping[str, Any]]:
        mine = notification_recipients
        statement = select(mine).where(mine.c.notification_id == notification_id)
        return self._rows(statement.order_by(mine.c.user_id))

    def recipient(self, notification_id: UUID, user_id: UUID) -> Mapping[str, Any]:
        (found,) = (row for row in self.recipients(notification_id) if row["user_id"] == user_id)
        return found

    def devices_of(self, user_id: UUID) -> list[Mapping[str, Any]]:
        statement = select(devices).where(devices.c.user_id == user_id)
        return self._rows(statement.order_by(devices.c.id))

    def notifications(self) -> list[Mapping[str, Any]]:
        return self._rows(select(notifications).order_by(notifications.c.id))

    def change(self, table: Any, condition: Any, **values: Any) -> None:
        """Write into rows what a test needs to be there."""
        statement = update(table).where(condition).values(values)
        self.database.transact(lambda connection: connection.execute(statement), actor="tests")

    def make_due(self) -> None:
        """Let the pauses of everybody who is queued be over, leases too."""
        mine = notification_recipients
        self.change(mine, mine.c.state == "queued", due_at=func.now())

    def end_sessions(self, user_id: UUID) -> None:
        """Sign somebody out everywhere."""
        mine = sessions
        self.change(mine, mine.c.user_id == user_id, ended_at=func.now(), end_reason="logout")

    def prefer(self, user_id: UUID, **values: Any) -> None:
        row = {"user_id": user_id} | values
        self.database.transact(
            lambda connection: connection.execute(insert(notification_preferences).values(row))
        )

    def _rows(self, statement: Any) -> list[Mapping[str, Any]]:
        return self.database.read(
            lambda connection: [dict(row) for row in connection.execute(statement).mappings()]
        )
