"""How phones, inboxes and what is to be pushed find their rows."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.old_rows import delete_batch
from fieldgate.push.notifying import NewNotification, expand, notify
from push import (
    delivery_store,
    device_store,
    inbox_store,
    notification_store,
    preference_store,
)
from push.cleaning import OLD_ROWS
from push.delivering import BATCH
from push.preference_store import Stored
from tests.support.hot_queries import Hot, faults, page_of
from tests.support.million import ROWS, SESSIONS, person, session

PHONES = f"""
    INSERT INTO devices (id, user_id, session_id, token_hash, token, kind, platform, created_at,
        last_seen_at, disabled_at, disabled_reason)
    SELECT made(n, at), person(n), session(n), sha256(int8send(n)), 'token', 'token',
        'android', at, at,
        CASE WHEN mod(n, 20) = 3 THEN at END, CASE WHEN mod(n, 20) = 3 THEN 'unregistered' END
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 272, now()) AS at) AS made"""
# Of three months and a little more: all but the last thousand were sent. The last but one is for
# everybody, and only begun with.
TOLD = (
    f"""INSERT INTO notifications (id, kind, title, body, collapse_key, roles, created_at,
        expanded_to, expanded_at)
    SELECT made(n, at), 'general', 'T', 'B', 'general',
        CASE WHEN n = {ROWS - 2} THEN ARRAY['farmer'] ELSE '{{}}' END, at,
        CASE WHEN n = {ROWS - 2} THEN person(500000) END, CASE WHEN n <> {ROWS - 2} THEN at END
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 91, now()) AS at) AS made""",
    f"""INSERT INTO notification_recipients (notification_id, user_id, state, due_at, sent,
        created_at, finished_at, read_at)
    SELECT made(n, at), person(whose(n)), CASE WHEN is_due THEN 'queued' ELSE 'sent' END, at, 1, at,
        CASE WHEN NOT is_due THEN at END, CASE WHEN mod(n, 7) > 0 THEN at END
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 91, now()) AS at,
        n >= {ROWS - 1000} AS is_due) AS made""",
    f"""INSERT INTO notification_preferences (user_id, quiet_from, quiet_to, time_zone)
    SELECT person(n), '21:00', '06:00', 'Africa/Nairobi'
    FROM generate_series(0, {ROWS - 1}) AS n""",
)
TABLES = (SESSIONS, PHONES, *TOLD)

DEVICE = {
    "user_id": person(7),
    "session_id": session(7),
    "token_hash": b"hash",
    "token": b"token",
    "kind": "token",
    "platform": "android",
    "app_version": "1.0",
}
UNREAD: Any = {
    "most_rows": 60_000,
    "why": "counts what each of 500 people has not read yet, up to 999; one in twenty has so many",
}


def latest(use: Callable[[Connection, UUID], object]) -> Callable[[Connection], object]:
    query = text("SELECT id FROM notifications ORDER BY id DESC LIMIT 1")
    return lambda connection: use(connection, connection.execute(query).scalar_one())


def for_everybody(use: Callable[[Connection, UUID], object]) -> Callable[[Connection], object]:
    query = text("SELECT id FROM notifications WHERE expanded_at IS NULL")
    return lambda connection: use(connection, connection.execute(query).scalar_one())


def tell(**to: object) -> Hot:
    new = NewNotification("general", "T", "B", **to)  # type: ignore[arg-type]
    return Hot(
        lambda c: notify(c, new),
        most_rows=20_000,
        why="writes down 5,000 people, and looks at as many of each role",
    )


def a_device(use: Callable[[Connection, UUID], object]) -> Callable[[Connection], object]:
    query = text("SELECT id FROM devices WHERE user_id = :user_id")

    def run(connection: Connection) -> object:
        found = connection.execute(query, {"user_id": person(7)}).scalars().first()
        assert found is not None
        return use(connection, found)

    return run


def take_and_record(connection: Connection) -> None:
    taken = delivery_store.take(connection, BATCH)
    outcomes: list[dict[str, Any]] = [
        {
            "notification_id": one.notification_id,
            "user_id": one.user_id,
            "attempts": one.attempts,
            "state": "sent",
            "reason": None,
            "done_devices": [],
            "newly_sent": 1,
            "counts": True,
            "due_at": None,
            "pause": 0,
        }
        for one in taken
    ]
    gone = [
        {"id": device.id, "user_id": one.user_id, "taken_at": datetime.now(UTC), "reason": "x"}
        for one in taken
        for device in one.devices[:1]
    ]
    assert len(outcomes) == BATCH
    assert gone
    delivery_store.record(connection, outcomes, gone)


def inbox(user_id: UUID, *, unread: bool) -> Hot:
    return page_of(lambda c: inbox_store.find_page(c, user_id, 20, 0, unread=unread))


QUERIES: dict[str, Hot] = {
    "push.device_store.register": Hot(lambda c: device_store.register(c, DEVICE)),
    "push.device_store.remove_surplus": Hot(
        a_device(lambda c, device: device_store.remove_surplus(c, person(7), device))
    ),
    "push.device_store.find_page": Hot(lambda c: device_store.find_page(c, person(7), 20, 0)),
    "push.device_store.remove": Hot(
        a_device(lambda c, device: device_store.remove(c, device, person(7)))
    ),
    "push.inbox_store.find_page": inbox(person(7), unread=False),
    "push.inbox_store.find_page, of who has many": inbox(person(0), unread=False),
    "push.inbox_store.find_page, unread": inbox(person(7), unread=True),
    "push.inbox_store.find_page, unread, of who has many": inbox(person(0), unread=True),
    "push.inbox_store.mark_read": Hot(
        latest(lambda c, told: inbox_store.mark_read(c, told, person(ROWS - 1)))
    ),
    "push.notification_store.find_progress": Hot(latest(notification_store.find_progress)),
    "push.preference_store.find": Hot(lambda c: preference_store.find(c, person(7))),
    "push.preference_store.replace": Hot(
        lambda c: preference_store.replace(c, person(7), Stored())
    ),
    "push.delivery_store.find_waiting": Hot(lambda c: delivery_store.find_waiting(c, 100)),
    "push.delivery_store.take": Hot(lambda c: delivery_store.take(c, BATCH), **UNREAD),
    "push.delivery_store.record": Hot(take_and_record, **UNREAD),
    **{
        f"push.cleaning.{table}": Hot(
            partial(delete_batch, table=table, old=old),
            most_rows=15_000,
            why="passes over notifications whose recipients are to go first, of a day here",
        )
        for table, old in OLD_ROWS.items()
    },
    "fieldgate.push.notifying, somebody": tell(user_ids=[person(7)]),
    "fieldgate.push.notifying, a role": tell(roles=["warehouse_manager"]),
    "fieldgate.push.notifying, everybody": tell(roles=["farmer", "agent"]),
    "fieldgate.push.notifying, who has a permission": tell(permission="stock:approve"),
    "fieldgate.push.notifying, the next page": Hot(
        for_everybody(expand), most_rows=20_000, why="writes down 5,000 people"
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_its_rows_among_a_million(full: Database, name: str) -> None:
    assert faults(full, QUERIES[name]) == []
