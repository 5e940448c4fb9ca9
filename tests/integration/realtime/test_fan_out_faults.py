"""Workers that API Gateway fails, or that meet: nothing lost, nothing twice, order kept."""

import random
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from realtime import fanning_out, posting
from tests.support.connections_api import Fault
from tests.support.database import count_statements
from tests.support.fan_out import Switchboard
from tests.support.log import Log
from tests.support.racing import race
from tests.support.stream import new_event

PASSING: list[Fault] = [429, 429, 500, 502, 503, "cut"]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(posting, "LONGEST_PAUSE_SECONDS", 0.05)


def failing_at_random(seed: int, share: float) -> Callable[[str, str], Fault | None]:
    chance = random.Random(seed)

    def choose(_method: str, _connection_id: str) -> Fault | None:
        return chance.choice(PASSING) if chance.random() < share else None

    return choose


def test_of_a_thousand_connections_the_live_ones_get_each_message_once(
    board: Switchboard, grower: UUID, database_url: str
) -> None:
    names = board.connect_many(1000, grower)
    gone = set(random.Random(1).sample(names, 100))
    for name in gone:
        board.api.disconnect(name)
    board.api.choose_fault = failing_at_random(2, 0.2)
    board.announce(*[new_event() for _ in range(3)])

    def send(half: list[str], database: Database) -> None:
        board.at(database).send(*half)

    race(database_url, [partial(send, names[:500]), partial(send, names[500:])])

    assert board.rows().keys() == set(names) - gone
    assert board.stream.owed() == {}
    assert board.leased() == []
    assert board.api.frames.keys() == set(names) - gone
    assert {tuple(board.offsets(name)) for name in board.rows()} == {(1, 2, 3)}
    assert board.api.answers[429] > 50
    assert board.api.answers[410] == 100


def test_who_cannot_be_reached_is_given_back_and_holds_up_nobody(
    board: Switchboard, grower: UUID, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    monkeypatch.setattr(fanning_out, "AGAIN_SECONDS", 0.1)
    names = board.connect_many(20, grower)
    lost = set(names[:3])
    board.api.choose_fault = lambda _, name: 503 if name in lost else None
    board.announce(new_event(), new_event())

    with pytest.raises(Unavailable, match="3 connections"):
        board.send()

    assert set(board.stream.owed()) == lost
    assert board.leased() == []
    assert {tuple(board.offsets(name)) for name in names if name not in lost} == {(1, 2)}
    assert log.said("frames given back")[0]["connections"] == 3

    board.api.choose_fault = lambda _, _name: None
    board.send()

    assert {tuple(board.offsets(name)) for name in names} == {(1, 2)}


def test_who_cannot_be_reached_is_not_tried_on_and_on_for_what_comes_meanwhile(
    board: Switchboard, grower: UUID, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(fanning_out, "AGAIN_SECONDS", 0.1)
    board.connect("A=", grower)
    board.announce(new_event())

    def announce_more(_method: str, _name: str) -> Fault:
        with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
            board.at(database).announce(new_event())
        return 503

    board.api.choose_fault = announce_more
    with count_statements(board.database) as traffic, pytest.raises(Unavailable):
        board.send("A=")

    assert len(traffic.statements) == 3  # claim, events, release


def test_who_failed_in_the_middle_goes_on_from_there(
    board: Switchboard, grower: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanning_out, "AGAIN_SECONDS", 0.05)
    board.connect("A=", grower, dialect="json")
    board.announce(*[new_event() for _ in range(5)])
    board.api.choose_fault = lambda _, name: 500 if len(board.api.frames[name]) == 2 else None

    with pytest.raises(Unavailable):
        board.send()
    assert (board.offsets("A="), board.stream.owed()) == ([1, 2], {"A=": 3})

    board.api.choose_fault = lambda _, _name: None
    board.send()
    assert board.offsets("A=") == [1, 2, 3, 4, 5]


def test_who_hangs_up_while_being_posted_to_is_forgotten(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower, dialect="json")
    board.announce(new_event(), new_event())
    board.api.on_taken = lambda name, _: board.api.disconnect(name)

    board.send()

    assert board.offsets("A=") == [1]
    assert board.rows() == {}


def test_what_we_may_not_post_stays_owed(board: Switchboard, grower: UUID, log: Log) -> None:
    board.connect("A=", grower)
    board.announce(new_event())
    board.api.choose_fault = lambda _, _name: 403

    with pytest.raises(Unavailable):
        board.send()

    assert board.stream.owed() == {"A=": 1}
    assert log.said("connection not spoken to")


def test_who_comes_while_another_is_at_it_leaves_it_to_them(
    board: Switchboard, grower: UUID
) -> None:
    board.connect("A=", grower)
    board.announce(new_event())
    board.lease("A=", timedelta(seconds=1))

    board.send("A=")

    assert board.api.asked == []
    assert board.leased() == ["A="]


def test_a_worker_that_lost_its_lease_writes_nothing(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    board.announce(new_event())
    board.api.on_taken = lambda name, _: board.lease(name, timedelta(seconds=3))

    board.send("A=")

    assert board.stream.owed() == {"A=": 1}
    assert board.leased() == ["A="]


# Raced


def test_two_workers_with_the_same_message_send_nothing_twice(
    board: Switchboard, grower: UUID, database_url: str
) -> None:
    names = board.connect_many(40, grower)
    board.api.choose_latency = lambda: 0.005
    for turn in range(1, 6):
        board.announce(new_event(), new_event())
        race(database_url, [lambda database: board.at(database).send(*names)] * 2)

        assert {tuple(board.offsets(name)) for name in names} == {tuple(range(1, 2 * turn + 1))}
        assert board.stream.owed() == {}


def test_what_comes_while_a_worker_is_posting_is_sent_by_it(
    board: Switchboard, grower: UUID, database_url: str
) -> None:
    board.connect("A=", grower)
    board.connect("B=", grower)
    board.announce(new_event())
    came: list[Any] = []

    def announce_more(_name: str, _frame: bytes) -> None:
        # Its own message comes at once, and finds the mailboxes taken.
        with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
            other = board.at(database)
            other.announce(new_event())
            worker = threading.Thread(target=other.send, args=("A=", "B="))
            worker.start()
            worker.join()
        came.append(len(board.api.asked))
        board.api.on_taken = lambda _name, _frame: None

    board.api.on_taken = announce_more
    board.send("A=", "B=")

    assert came == [1]
    assert board.offsets("A=") == board.offsets("B=") == [1, 2]
    assert board.stream.owed() == {}


def test_nothing_is_stranded_however_news_and_workers_meet(
    board: Switchboard, grower: UUID, database_url: str
) -> None:
    names = [board.connect(name, grower) for name in ("A=", "B=", "C=")]
    board.api.choose_latency = lambda: 0.002
    workers, turns = 4, 20
    together = threading.Barrier(workers)
    stranded = []

    def announce_and_send(database: Database) -> None:
        other = board.at(database)
        for _ in range(turns):
            other.announce(new_event())
            other.send(*names)
            # All are done: nobody comes who would send what was left.
            together.wait(30)
            stranded.append(other.stream.owed())
            together.wait(30)

    race(database_url, [announce_and_send] * workers)

    assert stranded == [{}] * (workers * turns)
    expected = list(range(1, workers * turns + 1))
    assert {name: board.offsets(name) for name in names} == dict.fromkeys(names, expected)
    assert board.leased() == []
