"""What is tried again and when, what is given up, and who holds up nobody."""

from datetime import timedelta

import pytest
from sqlalchemy import func

from fieldgate.db.tables.push import (
    notification_recipients,
    notifications,
)
from fieldgate.errors import Unavailable
from fieldgate.push import Outcome
from push.judging import GIVE_UP_AFTER
from tests.support.log import Log
from tests.support.pushes import PASSING, SENT, Board, saying


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
