"""Workers that meet: nothing lost, nothing twice, order kept."""

import threading
from contextlib import closing
from typing import Any
from uuid import UUID

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from tests.support.fan_out import Switchboard
from tests.support.racing import race
from tests.support.stream import new_event


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
