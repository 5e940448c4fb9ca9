"""Relays that are killed, cut off, raced or kept waiting: nothing lost, nothing twice, in order."""

import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import media, realtime_stream
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from realtime import relaying, sweep_store
from realtime.connection_store import make_ready
from realtime.relaying import relay
from tests.support.racing import race, waiting
from tests.support.severed import How, Killed, When, severed
from tests.support.stream import Stream, new_media

WRITERS = 12


@pytest.fixture
def stream(database: Database) -> Stream:
    return Stream(database)


def connect_again(url: str) -> Database:
    return Database(lambda: parse_url(url, "the test"))


@contextmanager
def holding(url: str) -> Iterator[Connection]:
    """A transaction of another run, which the test ends when it likes."""
    with closing(connect_again(url)) as database, database.engine.connect() as connection:
        yield connection


def assert_all_told(stream: Stream, before: int, expected: list[tuple[str, str]]) -> None:
    """Exactly these things and actions after an offset, without a gap, and owed to `A`."""
    assert [(thing, action) for _, _, thing, action in stream.told(before)] == expected
    offsets = [event["event_offset"] for event in stream.events()]
    assert offsets == list(range(1, stream.head + 1))
    assert stream.undispatched() == 0
    assert stream.connections()["A"]["wanted_offset"] == stream.head


# Killed


@pytest.mark.parametrize("how", ["killed", "dropped"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_relay_that_dies_at_any_statement_loses_and_doubles_nothing(
    stream: Stream,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    how: How,
    when: When,
) -> None:
    monkeypatch.setattr(relaying, "BATCH", 2)
    owner = stream.add_user()
    stream.connect("A", owner)
    seen = []
    for step in count():
        before = stream.head
        things = [str(stream.add_media(owner)) for _ in range(3)]
        stream.change_media(UUID(things[0]), size=9)
        with (
            closing(connect_again(database_url)) as database,
            severed(step, how, when) as severing,
            suppress(Killed, Unavailable),
        ):
            relay(database, stream.ask_for)
        seen.append(severing.statement.split(maxsplit=1)[0] if severing.statement else "")
        relay(stream.database, stream.ask_for)
        # In batches of two: the change of the first thing comes in another than its creation.
        expected = [(thing, "created") for thing in things] + [(things[0], "updated")]
        assert_all_told(stream, before, expected)
        if not severing.happened:
            break
    # Two batches of six, and the empty one that says that there are no more.
    batch = ["SELECT", "SELECT", "UPDATE", "WITH", "WITH", "commit"]
    assert seen == [*batch, *batch, "SELECT", "SELECT", "commit", ""]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_relay_that_dies_as_it_asks_leaves_what_the_sweep_finds(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, when: When
) -> None:
    monkeypatch.setattr(relaying, "BATCH", 1)
    owner = stream.add_user()
    stream.connect("A", owner)
    for step in range(3):
        before, asked = stream.head, count()

        def die(
            task: Any, connections: Sequence[str], step: int = step, asked: Any = asked
        ) -> None:
            is_it = next(asked) == step
            if is_it and when == "before":
                raise Killed
            stream.ask_for(task, connections)
            if is_it:
                raise Killed

        things = [str(stream.add_media(owner)) for _ in range(3)]
        with pytest.raises(Killed):
            relay(stream.database, die)
        unsent = stream.database.read(lambda c: sweep_store.unsent(c, "", 10))
        assert unsent == ["A"]
        relay(stream.database, stream.ask_for)
        assert_all_told(stream, before, [(thing, "created") for thing in things])


# Raced


def write_at_random(database: Database, seed: int, shared: list[UUID], owner: UUID) -> list[str]:
    """Make transactions of which a third is rolled back; return the new things that stay."""
    chance = random.Random(seed)
    committed = []
    for _ in range(25):
        row = new_media(owner)
        turn = chance.random()

        def change(connection: Connection, row: Any = row, turn: float = turn) -> None:
            connection.execute(insert(media).values(row))
            if turn < 0.5:
                change = update(media).where(media.c.id == chance.choice(shared))
                connection.execute(change.values(size=chance.randrange(1, 10**9)))
            if turn < 0.36:
                raise LookupError

        with suppress(LookupError):
            database.transact(change)
            committed.append(str(row["id"]))
    return committed


def test_of_twelve_writers_exactly_what_was_committed_is_announced_by_two_relays(
    stream: Stream, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "BATCH", 7)
    owner = stream.add_user()
    stream.connect("A", owner)
    shared = [stream.add_media(owner) for _ in range(5)]
    stream.settle()
    writing = threading.Semaphore(0)

    def write(seed: int) -> Any:
        def work(database: Database) -> list[str]:
            try:
                return write_at_random(database, seed, shared, owner)
            finally:
                writing.release()

        return work

    def announce(database: Database) -> list[str]:
        for _ in range(WRITERS // 2):
            while not writing.acquire(blocking=False):
                relay(database, stream.ask_for)
        return []

    committed = race(database_url, [*map(write, range(WRITERS)), announce, announce])
    relay(stream.database, stream.ask_for)

    new = [thing for things in committed for thing in things]
    told = [(thing, action) for _, _, thing, action in stream.told()]
    assert len(new) > 100
    assert sorted(thing for thing, action in told if action == "created") == sorted(new)
    assert {thing for thing, action in told if action == "updated"} <= set(map(str, shared))
    assert stream.undispatched() == 0
    assert [event["event_offset"] for event in stream.events()] == list(range(1, stream.head + 1))
    assert stream.connections()["A"]["wanted_offset"] == stream.head
    assert_in_order_of_commit(stream, set(map(str, shared)))


def assert_in_order_of_commit(stream: Stream, shared: set[str]) -> None:
    """Of each thing that many changed: its events as its changes came, the last one told."""
    entries: dict[str, list[Any]] = defaultdict(list)
    for entry in stream.history("media"):
        entries[entry["entity_id"]].append(entry["at"])
    told: dict[str, list[Any]] = defaultdict(list)
    for event in stream.events():
        told[event["entity_id"]].append(event["at"])
    for thing in shared & told.keys():
        places = [entries[thing].index(at) for at in told[thing]]
        assert places == sorted(places)
        assert places[-1] == len(entries[thing]) - 1


def test_a_relay_waits_for_another_and_takes_what_came_meanwhile(
    stream: Stream, database_url: str
) -> None:
    """One that skipped would leave a change for a minute whose wake-up it was."""
    owner = stream.add_user()
    with holding(database_url) as other, ThreadPoolExecutor(1) as thread:
        assert relaying.dispatch(other).rows == 0
        stream.add_media(owner)
        work = waiting(thread.submit(relay, stream.database, stream.ask_for), other)
        other.commit()
        assert work.result(30) == 1


def test_who_becomes_ready_while_an_event_comes_misses_nothing(
    stream: Stream, database_url: str
) -> None:
    """Each event after the place where a connection began is owed to it."""
    user_id = stream.add_user()
    session_id = stream.begin_session(user_id)
    names = [f"C{number:02}" for number in range(60)]
    for name in names:
        stream.connect(name, user_id, session_id, ready_at=None, dialect=None)
    gate = threading.Barrier(2)
    places = []

    def become_ready(database: Database) -> None:
        for name in names:
            gate.wait(30)
            assert database.transact(partial(make_ready, connection_id=name, dialect="signalr"))
            gate.wait(30)

    def announce(database: Database) -> None:
        for number, name in enumerate(names, start=1):
            stream.broadcast(user_id)
            gate.wait(30)
            relay(database, stream.ask_for)
            gate.wait(30)
            row = stream.connections()[name]
            assert row["wanted_offset"] == number, row
            places.append(number - row["sent_offset"])

    race(database_url, [become_ready, announce])
    assert set(places) <= {0, 1}


def test_who_becomes_ready_waits_for_the_batch_in_flight(stream: Stream, database_url: str) -> None:
    user_id = stream.add_user()
    stream.connect("new", user_id, ready_at=None, dialect=None)
    stream.broadcast(user_id)
    ready = partial(make_ready, connection_id="new", dialect="signalr")
    with holding(database_url) as batch, ThreadPoolExecutor(1) as thread:
        assert relaying.dispatch(batch).events == 1
        work = waiting(thread.submit(stream.database.transact, ready), batch)
        batch.commit()
        assert work.result(30)
    row = stream.connections()["new"]
    assert (row["sent_offset"], row["wanted_offset"]) == (1, 1)


def test_a_batch_waits_for_who_is_becoming_ready(stream: Stream, database_url: str) -> None:
    user_id = stream.add_user()
    stream.connect("new", user_id, ready_at=None, dialect=None)
    stream.broadcast(user_id)
    with holding(database_url) as becoming, ThreadPoolExecutor(1) as thread:
        assert make_ready(becoming, "new", "signalr")
        work = waiting(thread.submit(relay, stream.database, stream.ask_for), becoming)
        becoming.commit()
        assert work.result(30) == 1
    assert stream.owed() == {"new": 1}


def test_a_change_of_the_epoch_keeps_offsets_going_up(stream: Stream) -> None:
    stream.add_media(stream.add_user())
    relay(stream.database, stream.ask_for)
    stream.change(realtime_stream, epoch=uuid.uuid4())
    stream.add_media(stream.add_user())
    relay(stream.database, stream.ask_for)
    assert [event["event_offset"] for event in stream.events()] == [1, 2]
