"""What inboxes and phones leave behind is deleted, and nothing else."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, text

from fieldgate.db import old_rows
from fieldgate.db.tables.push import devices
from push import cleaning, cleanup_pushes
from push.cleaning import KEPT_DAYS, clean_up
from push.device_ages import PURGED_AFTER, STALE_AFTER
from tests.conftest import run_sql
from tests.support.gateway import LambdaContext
from tests.support.pushes import Board
from tests.support.racing import race

EVENT = {"id": "5f0c6a52-6b1f-4c2e-9a55-0c9b1d1f7a02"}


def tell_long_ago(board: Board, days: int) -> UUID:
    """Notify as if it were so long ago: the id says when, too."""
    notification_id = board.tell()
    values = {"old": notification_id, "age": timedelta(days=days)}
    aged = board.database.transact(
        lambda connection: connection.execute(
            text(
                "WITH new AS (INSERT INTO notifications SELECT (jsonb_populate_record(old,"
                " jsonb_build_object('id', uuidv7(-CAST(:age AS interval)),"
                " 'created_at', now() - CAST(:age AS interval)))).*"
                " FROM notifications AS old WHERE id = :old RETURNING id),"
                " moved AS (INSERT INTO notification_recipients SELECT (jsonb_populate_record(r,"
                " jsonb_build_object('notification_id', new.id))).*"
                " FROM notification_recipients AS r, new WHERE notification_id = :old)"
                " SELECT id FROM new"
            ),
            values,
        ).scalar_one(),
        actor="tests",
    )
    board.database.transact(
        lambda connection: connection.execute(
            text("DELETE FROM notifications WHERE id = :old"), values
        )
    )
    return UUID(str(aged))


def test_an_inbox_keeps_what_is_younger(board: Board) -> None:
    for _ in range(3):
        board.add_person("agent")
    old = tell_long_ago(board, KEPT_DAYS + 1)
    young = tell_long_ago(board, KEPT_DAYS - 1)
    assert len(board.recipients(old)) == 3
    deleted = cleanup_pushes.handler(EVENT, LambdaContext(60_000))
    assert deleted == {"devices": 0, "notification_recipients": 3, "notifications": 1}
    assert board.recipients(old) == []
    assert len(board.recipients(young)) == 3
    assert [row["id"] for row in board.notifications()] == [young]


def test_a_device_is_forgotten_when_nobody_saw_it_for_long(board: Board, database_url: str) -> None:
    old = board.add_person("agent")
    stale = board.add_person("agent")
    day = timedelta(days=1)
    board.change(devices, devices.c.user_id == old, last_seen_at=func.now() - PURGED_AFTER - day)
    board.change(devices, devices.c.user_id == stale, last_seen_at=func.now() - STALE_AFTER - day)
    assert clean_up(board.database)["devices"] == 1
    assert board.devices_of(old) == []
    assert len(board.devices_of(stale)) == 1
    ((actor,),) = run_sql(
        database_url,
        "SELECT actor FROM change_log WHERE entity = 'devices' AND action = 'delete'",
    )
    assert actor == cleaning.ACTOR


def test_it_goes_on_in_batches_and_two_at_once_share(
    board: Board, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_rows, "BATCH", 7)
    for _ in range(20):
        board.add_person("agent", devices=0)
    tell_long_ago(board, KEPT_DAYS + 1)
    shares = race(database_url, [clean_up] * 3)
    assert sum(share["notification_recipients"] for share in shares) == 20
    assert clean_up(board.database)["notification_recipients"] == 0
    assert board.notifications() == []
