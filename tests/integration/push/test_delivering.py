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
    notifications,
)
from fieldgate.errors import Unavailable
from fieldgate.push import Outcome
from push.device_ages import STALE_AFTER
from push.judging import GIVE_UP_AFTER
from push.preference_store import Stored, replace
from tests.conftest import run_sql
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.pushes import SENT, Board, saying

PASSING = Outcome("passing", "unavailable")


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


def test_an_app_that_is_no_more_is_not_asked_again(board: Board) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered", "unregistered"))
    agent = board.add_person("agent", token="gone")
    good = board.add_device(agent, "good-1")
    notification_id = board.tell()
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["sent"], len(row["done_devices"])) == ("sent", 1, 2)
    gone, kept = board.devices_of(agent)
    assert (gone["disabled_reason"], kept["disabled_at"]) == ("unregistered", None)
    assert kept["id"] == good
    board.tell()
    board.deliver()
    assert len([one for one in board.pusher.addresses if one.startswith("gone")]) == 1


def test_who_has_only_such_apps_is_failed(board: Board) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered", "unregistered"))
    agent = board.add_person("agent", token="gone")
    notification_id = board.tell()
    assert board.deliver() == {"failed": 1}
    assert board.recipient(notification_id, agent)["reason"] == "unregistered"


def test_an_app_that_registered_again_meanwhile_is_kept(board: Board) -> None:
    agent = board.add_person("agent", token="gone")

    def say(_message: object) -> Outcome:
        board.change(devices, devices.c.user_id == agent, last_seen_at=func.clock_timestamp())
        return Outcome("unregistered", "unregistered")

    board.pusher.say = say
    board.tell()
    board.deliver()
    (row,) = board.devices_of(agent)
    assert row["disabled_at"] is None


def test_a_message_that_nobody_takes_costs_no_phone(board: Board) -> None:
    board.pusher.say = lambda _: Outcome("bad_message", "invalid_argument")
    agent = board.add_person("agent")
    notification_id = board.tell()
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["reason"]) == ("failed", "bad_message")
    assert board.devices_of(agent)[0]["disabled_at"] is None


def test_a_token_that_cannot_be_read_any_more_is_disabled(board: Board) -> None:
    agent = board.add_person("agent", devices=0)
    board.add_device(agent, "good-1", token=b"of another pepper")
    notification_id = board.tell()
    board.deliver()
    assert board.recipient(notification_id, agent)["state"] == "failed"
    assert board.devices_of(agent)[0]["disabled_reason"] == "unregistered"
    assert board.pusher.messages == []


def test_a_token_of_another_project_is_disabled_where_ours_is_right(board: Board) -> None:
    board.pusher.say = saying(other=Outcome("sender_mismatch", "sender_mismatch"))
    stranger = board.add_person("agent", token="other")
    board.add_person("agent")
    board.tell()
    board.deliver()
    assert board.devices_of(stranger)[0]["disabled_reason"] == "sender_mismatch"
    # Also later, when nothing else is sent at the same time.
    late = board.add_person("farmer", token="other")
    board.tell(user_ids=[late])
    board.deliver()
    assert board.devices_of(late)[0]["disabled_reason"] == "sender_mismatch"


def test_where_every_token_is_of_another_project_it_is_ours_that_is_wrong(
    board: Board, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    board.pusher.say = lambda _: Outcome("sender_mismatch", "sender_mismatch")
    people = [board.add_person("agent") for _ in range(4)]
    notification_id = board.tell()
    board.deliver()
    assert board.states(notification_id) == {"queued": 4}
    assert all(board.devices_of(one)[0]["disabled_at"] is None for one in people)
    assert log.said("pushes need somebody to act")[0]["reasons"] == ["sender_mismatch"]
    assert '"PushAlarm":[1.0]' in capsys.readouterr().out


def test_what_failed_for_now_comes_back_after_its_pause_and_only_that(board: Board) -> None:
    answers = {"bad-1": PASSING}
    board.pusher.say = lambda message: answers.get(message.address, SENT)
    agent = board.add_person("agent")
    board.add_device(agent, "bad-1")
    notification_id = board.tell()
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["sent"], row["reason"]) == ("queued", 1, "unavailable")
    assert timedelta(seconds=9) < row["due_at"] - row["created_at"] < timedelta(seconds=20)
    (wake,) = board.wakes
    assert 10 <= wake <= 13
    assert board.deliver() == {}

    answers.clear()
    board.make_due()
    assert board.deliver() == {"sent": 1}
    assert board.pusher.addresses.count("bad-1") == 2
    assert len(board.pusher.addresses) == 3
    assert board.recipient(notification_id, agent)["sent"] == 2


def test_what_the_provider_asks_for_is_heeded(board: Board) -> None:
    board.pusher.say = saying(slow=Outcome("passing", "quota_exceeded", retry_after=600))
    agent = board.add_person("agent", token="slow")
    board.add_person("agent")
    notification_id = board.tell()
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert timedelta(seconds=600) <= row["due_at"] - row["created_at"] < timedelta(seconds=800)


def test_it_is_given_up_after_days(board: Board) -> None:
    board.pusher.say = lambda _: PASSING
    agent = board.add_person("agent")
    notification_id = board.tell()
    mine = notification_recipients
    board.change(
        mine,
        mine.c.notification_id == notification_id,
        created_at=func.now() - GIVE_UP_AFTER,
    )
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["reason"]) == ("failed", "too_late")


def test_a_provider_that_answers_nothing_is_left_alone(board: Board) -> None:
    board.pusher.say = lambda _: PASSING
    for _ in range(5):
        board.add_person("agent")
    notification_id = board.tell()
    board.deliver()
    assert not board.breaker.lets_through()
    board.make_due()
    assert board.deliver() == {}
    assert len(board.pusher.messages) == 5
    assert board.states(notification_id) == {"queued": 5}


def test_a_batch_without_anybody_to_push_to_costs_no_chance_to_try_the_provider(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the circuit is open one call in a while is let through: by one that calls."""
    monkeypatch.setattr("push.delivering.BATCH", 1)
    board.add_person("agent", devices=0)
    first = board.tell()
    board.add_person("agent")
    mine = notification_recipients.c
    board.change(notification_recipients, mine.notification_id == first, due_at=func.now())
    second = board.tell()
    asked = iter([True, False])
    monkeypatch.setattr(board.breaker, "lets_through", lambda: next(asked))
    board.deliver()
    assert board.states(first) == {"suppressed": 1}
    assert board.states(second)["sent"] == 1


def test_one_answer_shows_that_the_provider_is_there(board: Board) -> None:
    board.pusher.say = saying(bad=PASSING)
    for _ in range(5):
        board.add_person("agent", token="bad")
    board.add_person("agent")
    board.tell()
    board.deliver()
    assert board.breaker.lets_through()


def test_what_there_was_no_time_for_is_next(board: Board) -> None:
    board.pusher.say = saying(late=Outcome("not_tried"))
    late = board.add_person("agent", token="late")
    board.add_person("agent")
    notification_id = board.tell()
    board.deliver()
    row = board.recipient(notification_id, late)
    assert (row["state"], row["attempts"]) == ("queued", 0)
    assert board.wakes == [1]


def test_a_full_batch_calls_for_another_worker(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("push.delivering.BATCH", 3)
    for _ in range(7):
        board.add_person("agent")
    notification_id = board.tell()
    board.deliver()
    assert board.states(notification_id) == {"sent": 7}
    assert board.wakes == [0, 0]


def test_without_time_nothing_is_taken(board: Board) -> None:
    board.add_person("agent")
    notification_id = board.tell()
    with pytest.raises(Unavailable):
        board.deliver(seconds=0)
    assert board.recipients(notification_id)[0]["attempts"] == 0


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


def test_what_disabled_a_device_is_on_record(board: Board, database_url: str) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered"))
    agent = board.add_person("agent", token="gone")
    board.tell()
    board.deliver()
    device_id = board.devices_of(agent)[0]["id"]
    ((actor, changed, token),) = run_sql(
        database_url,
        "SELECT actor, changed, after ->> 'token' FROM change_log"
        f" WHERE entity = 'devices' AND action = 'update' AND entity_id = '{device_id}'",
    )
    assert actor == "system:deliver_push"
    assert set(changed) == {"disabled_at", "disabled_reason"}  # type: ignore[call-overload]
    assert token == "***"


def test_a_notification_for_nobody_there_is(board: Board) -> None:
    notification_id = board.tell(user_ids=[uuid4()])
    assert board.deliver() == {}
    assert board.states(notification_id) == {}


def test_whoever_is_left_out_is_not_told(board: Board) -> None:
    people = [board.add_person("warehouse_manager") for _ in range(3)]
    notification_id = board.tell(permission="stock:approve", except_user_id=people[0])
    told: set[UUID] = {row["user_id"] for row in board.recipients(notification_id)}
    assert told == set(people[1:])


def test_a_project_that_takes_messages_is_no_proof_for_another(board: Board) -> None:
    """A deployment with another project's key must not cost everybody their phone."""
    people = [board.add_person("agent") for _ in range(3)]
    board.tell()
    board.deliver()
    board.pusher.sender = "another-project"
    board.pusher.say = lambda _: Outcome("sender_mismatch", "sender_mismatch")
    notification_id = board.tell()
    board.deliver()
    assert board.states(notification_id) == {"queued": 3}
    assert all(board.devices_of(one)[0]["disabled_at"] is None for one in people)


def test_what_apple_says_of_our_key_keeps_nobody_else_from_their_pushes(board: Board) -> None:
    board.pusher.say = saying(ios=Outcome("misconfigured", "third_party_auth"))
    for _ in range(4):
        board.add_person("agent", token="ios")
    board.tell()
    board.deliver()
    assert board.breaker.lets_through()


def test_a_notification_that_cannot_be_written_down_holds_up_no_other(
    board: Board, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    board.add_person("agent")
    notification_id = board.tell()
    board.change(notifications, notifications.c.id == board.tell(), expanded_at=None)

    def fail(*_: object) -> int:
        raise Unavailable("Too slow.")

    monkeypatch.setattr("push.delivering.expand", fail)
    assert board.deliver()["not_written_down"] == 1
    assert board.states(notification_id) == {"sent": 1}
    assert log.said("recipients not written down")


def test_time_that_is_over_once_a_batch_is_taken_costs_nobody_a_try(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = board.add_person("agent")
    notification_id = board.tell()
    monkeypatch.setattr("push.delivering.deadline.is_left", lambda seconds=0: seconds > 0)
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["attempts"]) == ("queued", 0)
    assert board.pusher.messages == []
