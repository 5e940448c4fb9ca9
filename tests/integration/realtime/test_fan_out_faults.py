"""Workers that API Gateway fails: nothing lost, nothing twice, order kept."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from itertools import count, cycle
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from realtime.fan_out_queue import LAST_TRY, Work
from realtime.fanning_out import send_owed
from tests.support.connections_api import Fault
from tests.support.database import count_statements
from tests.support.fan_out import Switchboard, line_to
from tests.support.log import Log
from tests.support.racing import race
from tests.support.stream import new_event

PASSING: list[Fault] = [429, 429, 500, 502, 503, "cut"]


def left_for(tries: int, *names: str) -> list[Work]:
    return [Work(task="send", connections=names, tries=tries)]


def failing_at_random(seed: int, share: float) -> Callable[[str, str], Fault | None]:
    """Fail so many requests, but nobody's so often in a row that they would be put out."""
    chance = random.Random(seed)
    in_a_row: Counter[str] = Counter()

    def choose(_method: str, connection_id: str) -> Fault | None:
        if chance.random() < share and in_a_row[connection_id] < LAST_TRY:
            in_a_row[connection_id] += 1
            return chance.choice(PASSING)
        in_a_row[connection_id] = 0
        return None

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
        other = board.at(database)
        other.repeat(other.send(*half))

    race(database_url, [partial(send, names[:500]), partial(send, names[500:])])

    assert board.rows().keys() == set(names) - gone
    assert board.stream.owed() == {}
    assert board.leased() == []
    assert board.api.frames.keys() == set(names) - gone
    assert {tuple(board.offsets(name)) for name in board.rows()} == {(1, 2, 3)}
    assert board.api.answers[429] > 50
    assert board.api.answers[410] == 100


def test_who_cannot_be_reached_is_asked_for_alone_and_holds_up_nobody(
    board: Switchboard, grower: UUID, log: Log
) -> None:
    names = board.connect_many(20, grower)
    lost = names[:3]
    board.api.choose_fault = lambda _, name: 503 if name in lost else None
    board.announce(new_event(), new_event())

    left = board.send()

    assert [(work.tries, set(work.connections)) for work in left] == [(1, set(lost))]
    assert board.stream.owed().keys() == set(lost)
    assert board.leased() == []
    assert {tuple(board.offsets(name)) for name in names if name not in lost} == {(1, 2)}
    assert log.said("frames given back")[0]["connections"] == 3

    board.api.choose_fault = lambda _, _name: None
    assert board.do(*left) == []

    assert {tuple(board.offsets(name)) for name in names} == {(1, 2)}


@pytest.mark.parametrize("fault", [429, 503, "cut"])
def test_who_reads_nothing_delays_nobody_and_is_put_out_in_the_end(
    board: Switchboard, grower: UUID, fault: Fault
) -> None:
    names = board.connect_many(50, grower)
    stuck, *others = names
    board.api.choose_fault = lambda method, name: (
        fault if (method, name) == ("POST", stuck) else None
    )
    board.announce(new_event())

    left = board.send()
    assert board.api.asked.count(("POST", stuck)) == 1
    assert {tuple(board.offsets(name)) for name in others} == {(1,)}

    tries = []
    for number in count(1):
        if not left:
            break
        assert left == left_for(number, stuck)
        tries.append(number)
        # Whatever comes meanwhile, the others have it at once.
        board.announce(new_event())
        board.send(*others)
        assert board.stream.owed().keys() == {stuck}
        left = board.do(*left)

    assert tries == list(range(1, LAST_TRY + 1))
    assert board.api.asked.count(("POST", stuck)) == LAST_TRY + 1
    assert board.api.deleted == [stuck]
    assert board.rows().keys() == set(others)
    assert board.offsets(stuck) == []
    expected = tuple(range(1, LAST_TRY + 2))
    assert {tuple(board.offsets(name)) for name in others} == {expected}
    assert (board.leased(), board.stream.owed()) == ([], {})


def test_who_takes_a_little_each_time_is_not_put_out(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower, dialect="json")
    board.announce(*[new_event() for _ in range(5)])
    turns = cycle([None, 429])
    board.api.choose_fault = lambda _method, _name: next(turns)

    left = board.do(*left_for(LAST_TRY, "A="))
    assert (left, board.offsets("A=")) == (left_for(1, "A="), [1])

    board.repeat(left)
    assert board.offsets("A=") == [1, 2, 3, 4, 5]
    assert board.api.deleted == []


def test_what_comes_while_the_last_try_is_taken_has_tries_of_its_own(
    board: Switchboard, grower: UUID, database_url: str
) -> None:
    board.connect("A=", grower)
    board.announce(new_event())

    def announce_more(_name: str, _frame: bytes) -> None:
        with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
            board.at(database).announce(new_event())
        board.api.choose_fault = lambda _method, _name: 429

    board.api.on_taken = announce_more

    assert board.do(*left_for(LAST_TRY, "A=")) == left_for(1, "A=")
    assert board.api.deleted == []


def test_who_took_something_since_is_not_put_out_by_a_late_message(
    board: Switchboard, grower: UUID
) -> None:
    board.connect("A=", grower)
    board.announce(new_event())
    board.change("A=", tries=LAST_TRY)
    assert board.send("A=") == []
    board.announce(new_event())
    board.api.choose_fault = lambda method, _name: 429 if method == "POST" else None

    # What counts is what stands with the connection, and not what a message says.
    late = Work(task="send", connections=("A=",), tries=LAST_TRY)
    with closing(line_to(board.api.endpoint)) as line:
        left = line.run(partial(send_owed, board.database, work=late))

    assert left == left_for(1, "A=")
    assert board.api.deleted == []


def test_in_its_pause_a_connection_is_left_alone_and_gets_no_second_chain(
    board: Switchboard, grower: UUID
) -> None:
    board.connect("A=", grower)
    board.announce(new_event())
    board.api.choose_fault = lambda _method, _name: 429
    left = board.send("A=")
    assert left == left_for(1, "A=")

    for _ in range(5):
        board.announce(new_event())
        assert board.send("A=") == []

    assert board.api.asked.count(("POST", "A=")) == 1
    board.api.choose_fault = lambda _method, _name: None
    assert board.do(*left) == []
    assert board.offsets("A=") == [1, 2, 3, 4, 5, 6]


def test_who_is_owed_much_holds_up_nobody(
    board: Switchboard, grower: UUID, database_url: str
) -> None:
    other = board.stream.add_user()
    board.connect("A=", grower, dialect="json")
    board.connect("B=", other)
    board.announce(new_event(), *[new_event(f"user:{grower}") for _ in range(100)])
    sent_to_the_other: list[int] = []  # and how many A= had got by then

    def announce_once(name: str, _frame: bytes) -> None:
        got = len(board.api.frames["A="])
        if name == "B=":
            sent_to_the_other.append(got)
        elif got == 1:
            with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
                board.at(database).announce(new_event(f"user:{other}"))

    board.api.on_taken = announce_once

    assert board.send() == []

    assert board.offsets("A=") == list(range(1, 102))
    assert board.offsets("B=") == [1, 102]
    assert sent_to_the_other[1] < 101


@pytest.mark.parametrize("fault", [429, 503, 403])
def test_where_all_is_throttled_nobody_is_put_out(
    board: Switchboard, grower: UUID, fault: int
) -> None:
    names = board.connect_many(10, grower)
    board.announce(new_event())
    board.api.choose_fault = lambda method, _name: 429 if method == "POST" else fault

    runs = board.repeat(board.send())

    assert runs == LAST_TRY
    assert board.stream.owed() == dict.fromkeys(names, 1)
    assert board.leased() == []
    # Then the sweep asks for them.
    board.end_pauses()
    board.api.choose_fault = lambda _method, _name: None
    assert board.send() == []
    assert {tuple(board.offsets(name)) for name in names} == {(1,)}


def test_who_is_gone_when_put_out_is_forgotten(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    board.announce(new_event())
    board.api.choose_fault = lambda method, _name: 429 if method == "POST" else 410

    assert board.do(*left_for(LAST_TRY, "A=")) == []

    assert board.rows() == {}


def test_who_cannot_be_reached_is_not_tried_on_and_on_for_what_comes_meanwhile(
    board: Switchboard, grower: UUID, database_url: str
) -> None:
    board.connect("A=", grower)
    board.announce(new_event())

    def announce_more(_method: str, _name: str) -> Fault:
        with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
            board.at(database).announce(new_event())
        return 503

    board.api.choose_fault = announce_more
    with count_statements(board.database) as traffic:
        assert board.send("A=") == left_for(1, "A=")

    assert len(traffic.statements) == 3  # claim, events, release


def test_who_failed_in_the_middle_goes_on_from_there(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower, dialect="json")
    board.announce(*[new_event() for _ in range(5)])
    board.api.choose_fault = lambda _, name: 500 if len(board.api.frames[name]) == 2 else None

    left = board.send()
    assert (board.offsets("A="), board.stream.owed()) == ([1, 2], {"A=": 3})

    # Somebody else's message may be there first.
    board.api.choose_fault = lambda _, _name: None
    board.announce(new_event())
    board.send()
    assert board.do(*left) == []
    assert board.offsets("A=") == [1, 2, 3, 4, 5, 6]


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

    # The sweep asks again, each minute.
    assert board.send() == board.do(*left_for(LAST_TRY, "A=")) == []

    assert board.stream.owed() == {"A=": 1}
    assert board.api.asked == [("POST", "A=")] * 2
    assert log.said("connection not spoken to")
    assert log.said("frames given back")


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
