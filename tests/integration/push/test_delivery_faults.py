"""Workers that are killed, wake-ups that come three times and shuffled, many workers at once."""

import random
from collections import Counter
from typing import Any

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.push import Outcome, PushMessage
from fieldgate.push.notifying import wake_pushers
from push import deliver_push, delivering, delivery_store
from tests.conftest import run_sql
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.pushes import SENT, Board, ScriptedPusher
from tests.support.racing import race
from tests.support.sqs import LocalSqs

MILLISECONDS = 90_000


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def worker(board: Board, monkeypatch: pytest.MonkeyPatch) -> ScriptedPusher:
    """The function, with a provider that says what a test wants."""
    monkeypatch.setattr(deliver_push, "pusher", lambda: board.pusher)
    return board.pusher


def wake(sqs: LocalSqs, event: dict[str, Any]) -> dict[str, Any] | None:
    return deliver_push.handler(event, LambdaContext(MILLISECONDS))


def test_a_worker_killed_between_sending_and_noting_is_followed_by_another(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent is sent once more, and replaces itself; nobody is left out."""
    for _ in range(3):
        board.add_person("agent")
    notification_id = board.tell()

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as context:
        context.setattr(delivery_store, "record", killed)
        with pytest.raises(Killed):
            board.deliver()
    assert len(board.pusher.messages) == 3
    assert board.deliver() == {}  # its lease lasts
    board.make_due()
    board.deliver()
    assert board.states(notification_id) == {"sent": 3}
    keys = {message.collapse_key for message in board.pusher.messages}
    assert keys == {str(notification_id)}


def test_a_worker_killed_while_sending_leaves_nobody_out(board: Board) -> None:
    for _ in range(3):
        board.add_person("agent")
    notification_id = board.tell()

    def say(_message: PushMessage) -> Outcome:
        raise Killed

    board.pusher.say = say
    with pytest.raises(Killed):
        board.deliver()
    board.pusher.say = lambda _: SENT
    board.make_due()
    board.deliver()
    assert board.states(notification_id) == {"sent": 3}


def test_who_was_too_slow_does_not_write_over_what_came_after(board: Board) -> None:
    """A lease that is over while a worker still sends: what counts is the later one's word."""
    agent = board.add_person("agent")
    notification_id = board.tell()
    second = Board(board.database)

    def say(_message: PushMessage) -> Outcome:
        board.make_due()
        second.deliver()
        return Outcome("bad_message", "invalid_argument")

    board.pusher.say = say
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["attempts"], row["sent"]) == ("sent", 2, 1)


def test_many_workers_at_once_send_each_message_once(board: Board, database_url: str) -> None:
    for _ in range(60):
        board.add_person("agent")
    notification_id = board.tell()

    def work(database: Database) -> dict[str, int]:
        one = Board(database, pusher=board.pusher)
        return one.deliver()

    race(database_url, [work] * 8)
    counted = Counter(board.pusher.addresses)
    assert len(counted) == 60
    assert set(counted.values()) == {1}
    assert board.states(notification_id) == {"sent": 60}


def test_wake_ups_that_come_three_times_and_shuffled_send_once(
    board: Board, push_queue: LocalSqs, worker: ScriptedPusher
) -> None:
    for _ in range(5):
        board.add_person("agent")
    notifications = [board.tell() for _ in range(3)]
    for _ in range(3):
        wake_pushers()
    event = push_queue.receive()
    records = event["Records"] * 3
    random.Random(7).shuffle(records)
    assert len(records) == 9
    for record in records:
        assert wake(push_queue, {"Records": [record]}) == {"batchItemFailures": []}
    assert len(worker.addresses) == 15
    for notification_id in notifications:
        assert board.states(notification_id) == {"sent": 5}


def test_the_schedule_finds_what_no_message_told(
    board: Board, push_queue: LocalSqs, worker: ScriptedPusher
) -> None:
    board.add_person("agent")
    push_queue.refusing = True
    notification_id = board.tell()
    wake_pushers()
    assert deliver_push.handler({"id": "s-1"}, LambdaContext(MILLISECONDS)) is None
    assert board.states(notification_id) == {"sent": 1}


def test_what_is_no_wake_up_is_poison(
    board: Board, push_queue: LocalSqs, worker: ScriptedPusher
) -> None:
    push_queue.send("something else")
    event = push_queue.receive()
    answer = wake(push_queue, event)
    assert answer
    assert len(answer["batchItemFailures"]) == 1
    assert push_queue.pauses() == [0]


def test_a_database_that_is_down_leaves_the_message_to_come_again(
    board: Board, push_queue: LocalSqs, worker: ScriptedPusher, environment: pytest.MonkeyPatch
) -> None:
    board.add_person("agent")
    notification_id = board.tell()
    wake_pushers()
    event = push_queue.receive()
    nowhere = Database(lambda: parse_url("postgresql://nobody:x@127.0.0.1:1/none", "the test"))
    with environment.context() as context:
        context.setattr(deliver_push, "database", lambda: nowhere)
        answer = wake(push_queue, event)
    assert answer
    assert len(answer["batchItemFailures"]) == 1
    assert wake(push_queue, event) == {"batchItemFailures": []}
    assert board.states(notification_id) == {"sent": 1}


def test_a_lost_connection_while_noting_is_said_and_made_good(
    board: Board, database_url: str
) -> None:
    board.add_person("agent")
    notification_id = board.tell()

    def say(_message: PushMessage) -> Outcome:
        run_sql(
            database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        return SENT

    board.pusher.say = say
    # Nothing had been sent of that transaction, so the second try is safe.
    board.deliver()
    assert board.states(notification_id) == {"sent": 1}


def test_without_provider_pushes_are_logged_and_a_success(
    board: Board, push_queue: LocalSqs, environment: pytest.MonkeyPatch, log: Log
) -> None:
    environment.setenv("Firebase__Enabled", "false")
    board.add_person("agent")
    notification_id = board.tell()
    wake_pushers()
    assert wake(push_queue, push_queue.receive()) == {"batchItemFailures": []}
    assert board.states(notification_id) == {"suppressed": 1}
    assert log.said("pushed")[0]["recipients"] == {"suppressed": 1}


def test_time_that_runs_out_between_batches_leaves_the_rest_to_the_next(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "BATCH", 2)
    for _ in range(6):
        board.add_person("agent")
    notification_id = board.tell()

    def say(_message: PushMessage) -> Outcome:
        if len(board.pusher.messages) >= 4:
            raise Unavailable("The time is up.")
        return SENT

    board.pusher.say = say
    with pytest.raises(Unavailable):
        board.deliver()
    assert board.states(notification_id) == {"sent": 2, "queued": 4}
    board.pusher.say = lambda _: SENT
    board.make_due()
    board.deliver()
    assert board.states(notification_id) == {"sent": 6}
