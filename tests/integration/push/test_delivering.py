"""From what is due to what phones get, and what is noted of it."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func

from fieldgate.circuit_breaker import OPEN_SECONDS
from fieldgate.db.tables.push import (
    devices,
    notification_preferences,
    notification_recipients,
)
from fieldgate.push import Outcome
from push.device_ages import STALE_AFTER
from push.preference_store import Stored, replace
from tests.conftest import run_sql
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.pushes import PASSING, Board, saying


def test_each_phone_gets_it_with_what_an_app_needs(board: Board) -> None:
    agent = board.add_person("agent", devices=2)
    board.add_device(agent, "installed-1", kind="fid", platform="ios")
    notification_id = board.tell(
        kind="stock_expiry", title="T", body="B", data={"lotId": "7"}, collapse_key="lot:7"
    )
    assert board.deliver() == {"sent": 1}
    assert [message.address_kind for message in board.pusher.messages] == ["token", "token", "fid"]
    message = board.pusher.messages[0]
    assert (message.title, message.body, message.channel) == ("T", "B", "stock_expiry")
    assert (message.collapse_key, message.badge) == ("lot:7", 1)
    assert message.data == {
        "lotId": "7",
        "notificationId": str(notification_id),
        "kind": "stock_expiry",
    }
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["sent"], row["attempts"]) == ("sent", 3, 1)
    assert row["finished_at"] is not None
    assert board.deliver() == {}


def test_people_and_messages_are_counted_each_by_itself(
    board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered", "unregistered"))
    board.add_person("agent", devices=2)
    board.add_person("agent", token="gone")
    board.tell()
    board.deliver()
    measured = {
        (name, line.get("outcome")): line[name]
        for line in map(json.loads, capsys.readouterr().out.splitlines())
        for name in line
        if name.startswith("Push")
    }
    assert measured == {
        ("Pushes", "sent"): [1],
        ("Pushes", "failed"): [1],
        ("PushMessages", "sent"): [2],
        ("PushMessages", "unregistered"): [1],
        # Without a dimension, as an alarm needs them.
        ("PushMessagesTried", None): [3],
        ("PushMessagesSent", None): [2],
    }


def test_the_badge_is_the_number_of_unread_ones(board: Board) -> None:
    agent = board.add_person("agent")
    first = board.tell()
    board.tell()
    mine = notification_recipients
    board.change(mine, mine.c.notification_id == first, read_at=func.now(), state="sent")
    board.tell()
    board.deliver()
    assert [message.badge for message in board.pusher.messages] == [2, 2]
    assert board.recipient(first, agent)["state"] == "sent"


@pytest.mark.parametrize("reason", ["no_device", "disabled", "stale", "signed_out", "muted"])
def test_it_stays_in_the_inbox_where_no_phone_is_to_have_it(board: Board, reason: str) -> None:
    agent = board.add_person("agent", devices=0 if reason == "no_device" else 1)
    mine = devices.c.user_id == agent
    match reason:
        case "disabled":
            board.change(devices, mine, disabled_at=func.now(), disabled_reason="unregistered")
        case "stale":
            board.change(devices, mine, last_seen_at=func.now() - STALE_AFTER)
        case "signed_out":
            board.end_sessions(agent)
        case "muted":
            board.prefer(agent, muted=["general", "stock_expiry"])
    notification_id = board.tell()
    assert board.deliver() == {"suppressed": 1}
    row = board.recipient(notification_id, agent)
    assert row["reason"] == ("muted" if reason == "muted" else "no_device")
    assert board.pusher.messages == []


def test_another_kind_than_the_muted_one_is_pushed(board: Board) -> None:
    board.prefer(board.add_person("agent"), muted=["stock_expiry"])
    board.tell()
    assert board.deliver()["sent"]


def test_while_pushing_is_off_all_of_it_is_suppressed(board: Board) -> None:
    board.add_person("agent")
    notification_id = board.tell()
    assert board.deliver(off=True) == {"suppressed": 1}
    (row,) = board.recipients(notification_id)
    assert row["reason"] == "push_off"


def test_quiet_hours_hold_it_back_until_they_are_over(board: Board, database_url: str) -> None:
    agent = board.add_person("agent")
    ((begin, end),) = run_sql(
        database_url,
        "SELECT (now() AT TIME ZONE 'UTC' - interval '1 hour')::time,"
        " (now() AT TIME ZONE 'UTC' + interval '1 hour')::time",
    )
    board.prefer(agent, quiet_from=begin, quiet_to=end, time_zone="UTC")
    notification_id = board.tell()
    assert board.deliver() == {"queued": 1}
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["reason"], row["attempts"]) == ("queued", "quiet_hours", 0)
    wait = row["due_at"] - row["created_at"]
    assert timedelta(minutes=59) < wait < timedelta(minutes=61)
    assert board.wakes == []  # the look of each minute finds it
    assert board.deliver() == {}

    mine = notification_preferences
    board.change(mine, mine.c.user_id == agent, quiet_from=None, quiet_to=None, time_zone=None)
    board.make_due()
    assert board.deliver() == {"sent": 1}


def test_quiet_hours_that_are_taken_away_hold_nothing_back(board: Board, database_url: str) -> None:
    agent = board.add_person("agent")
    ((begin, end),) = run_sql(
        database_url,
        "SELECT (now() AT TIME ZONE 'UTC' - interval '1 hour')::time,"
        " (now() AT TIME ZONE 'UTC' + interval '1 hour')::time",
    )
    board.prefer(agent, quiet_from=begin, quiet_to=end, time_zone="UTC")
    board.tell()
    assert board.deliver() == {"queued": 1}
    board.database.transact(lambda connection: replace(connection, agent, Stored()))
    assert board.deliver() == {"sent": 1}


def test_one_persons_phones_are_one_failure(board: Board) -> None:
    board.pusher.say = lambda _: PASSING
    board.add_person("agent", devices=5)
    board.tell()
    board.deliver()
    assert board.breaker.lets_through()
    assert OPEN_SECONDS + 1 in board.wakes


def test_what_was_read_meanwhile_is_not_pushed(board: Board) -> None:
    board.add_person("agent")
    notification_id = board.tell()
    mine = notification_recipients
    board.change(mine, mine.c.notification_id == notification_id, read_at=func.now())
    assert board.deliver() == {"suppressed": 1}
    assert board.pusher.messages == []


def test_a_batch_costs_five_round_trips(board: Board) -> None:
    """To look for what is to be written down; to take, commit; to record, commit."""
    for _ in range(20):
        board.add_person("agent")
    board.tell()
    with count_statements(board.database) as traffic:
        board.deliver()
    assert traffic.round_trips == 5


def test_no_token_is_in_the_log(board: Board, log: Log) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered"), bad=PASSING)
    for token in ("gone", "bad", "good"):
        board.add_person("agent", token=token)
    board.tell(title="SECRET", body="SECRET")
    board.deliver()
    assert log.said("pushed")
    for secret in ("gone-", "bad-", "good-", "SECRET"):
        assert secret not in log.text


def test_a_notification_for_nobody_there_is(board: Board) -> None:
    notification_id = board.tell(user_ids=[uuid4()])
    assert board.deliver() == {}
    assert board.states(notification_id) == {}


def test_whoever_is_left_out_is_not_told(board: Board) -> None:
    people = [board.add_person("warehouse_manager") for _ in range(3)]
    notification_id = board.tell(permission="stock:approve", except_user_id=people[0])
    told: set[UUID] = {row["user_id"] for row in board.recipients(notification_id)}
    assert told == set(people[1:])
