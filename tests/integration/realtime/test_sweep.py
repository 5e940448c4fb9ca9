"""Each minute's duties: what is found, what is left alone, and what keeps nothing else from it."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, select, update

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.db.tables.all import (
    outbox,
    realtime_broadcasts,
    realtime_connections,
    realtime_events,
    sessions,
    users,
)
from fieldgate.db.url import DatabaseAddress
from fieldgate.errors import Unavailable
from realtime import sweep_store, sweeping
from realtime.fan_out_queue import MOST_CONNECTIONS
from realtime.relaying import relay
from realtime.sweeping import sweep
from tests.support.log import Log
from tests.support.ports import free_port
from tests.support.racing import race
from tests.support.severed import Killed
from tests.support.stream import Stream, append, new_event

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def stream(database: Database) -> Stream:
    return Stream(database)


def run(stream: Stream) -> dict[str, int]:
    """Make one round; return what was done of what there is to do."""
    done = sweep(stream.database, stream.ask_for)
    return {name: number for name, number in done.items() if number}


def execute(stream: Stream, statement: Any) -> None:
    stream.database.transact(lambda connection: connection.execute(statement))


def ago(age: timedelta) -> Any:
    return func.now() - age


# What is owed


def test_whoever_is_owed_something_is_asked_for_again(stream: Stream) -> None:
    stream.append(new_event())
    stream.connect("A", stream.add_user(), sent_offset=0)
    assert run(stream) == {"send": 1}
    assert stream.asked == [("send", ("A",))]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"leased_until": func.now() + MINUTE}, False),
        ({"leased_until": ago(SECOND)}, True),
        ({"ready_at": None, "dialect": None}, False),
        ({"sent_offset": 1}, False),
    ],
    ids=["a run is at it", "that run is gone", "not ready", "owed nothing"],
)
def test_whom_a_run_is_at_or_nothing_is_due_to_is_left_alone(
    stream: Stream, values: dict[str, Any], found: bool
) -> None:
    stream.append(new_event())
    stream.connect("A", stream.add_user(), **({"sent_offset": 0} | values))
    assert run(stream) == ({"send": 1} if found else {})


def test_many_are_asked_for_in_as_few_calls_as_there_may_be(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweeping.ASKED_AT_ONCE == 10 * MOST_CONNECTIONS
    monkeypatch.setattr(sweeping, "ASKED_AT_ONCE", 2)
    stream.append(new_event())
    user_id = stream.add_user()
    for name in "EDCBA":
        stream.connect(name, user_id, sent_offset=0)
    assert run(stream) == {"send": 5}
    assert stream.asked == [("send", ("A", "B")), ("send", ("C", "D")), ("send", ("E",))]


def test_a_round_does_not_go_on_for_ever(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "ASKED_AT_ONCE", 1)
    monkeypatch.setattr(sweeping, "ROWS", 1)
    monkeypatch.setattr(sweeping, "MOST_BATCHES", 2)
    monkeypatch.setattr(sweep_store, "HISTORY_EVENTS", 0)
    stream.append(*(new_event() for _ in range(5)))
    user_id = stream.add_user()
    for name in "ABC":
        stream.connect(name, user_id, sent_offset=0)
    assert run(stream) == {"send": 2, "trim": 2}


# What is over


def end_session(stream: Stream) -> None:
    stream.change(sessions, ended_at=func.now(), end_reason="logout")


OVER: dict[str, Any] = {
    "session ended": end_session,
    "session gone": lambda stream: execute(stream, sessions.delete()),
    "session expired": lambda stream: stream.change(sessions, expires_at=ago(SECOND)),
    "somebody else's session": lambda stream: stream.change(sessions, user_id=stream.add_user()),
    "user blocked": lambda stream: stream.change(users, status="blocked"),
    "token expired": lambda stream: stream.change(
        realtime_connections, token_expires_at=ago(SECOND)
    ),
    "never ready": lambda stream: stream.change(
        realtime_connections, ready_at=None, dialect=None, connected_at=ago(61 * SECOND)
    ),
}


@pytest.mark.parametrize("why", OVER)
def test_what_is_over_is_closed(stream: Stream, why: str) -> None:
    stream.connect("A", stream.add_user())
    assert run(stream) == {}
    OVER[why](stream)
    assert run(stream) == {"close": 1}
    assert stream.asked == [("close", ("A",))]
    # Whoever closes it deletes the row; until then it is asked for.
    assert run(stream) == {"close": 1}


def test_one_that_is_about_to_speak_is_left_alone(stream: Stream) -> None:
    values = {"ready_at": None, "dialect": None, "connected_at": ago(59 * SECOND)}
    stream.connect("A", stream.add_user(), **values)
    assert run(stream) == {}


def test_what_the_gateway_cannot_have_any_more_is_forgotten(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "ROWS", 2)
    user_id = stream.add_user()
    for number in range(5):
        stream.connect(f"old{number}", user_id, connected_at=ago(2 * HOUR + 11 * MINUTE))
    stream.connect("young", user_id, connected_at=ago(2 * HOUR + 9 * MINUTE))
    assert run(stream) == {"forget_connections": 5}
    assert stream.connections().keys() == {"young"}


# History


def kept(stream: Stream) -> tuple[int, list[int]]:
    """Return up to where is forgotten, and the offsets of what is there."""
    row = stream.stream_row()
    return row["trimmed"], [event["event_offset"] for event in stream.events()]


def let_age(stream: Stream, last: int, age: timedelta) -> None:
    events = realtime_events
    change = update(events).where(events.c.event_offset <= last)
    execute(stream, change.values(dispatched_at=ago(age)))


@pytest.mark.parametrize("rows", [1, 2, 3, 1000])
def test_what_is_older_than_two_hours_is_forgotten(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(sweeping, "ROWS", rows)
    stream.append(*(new_event() for _ in range(6)))
    let_age(stream, 5, 2 * HOUR - MINUTE)
    assert run(stream) == {}
    let_age(stream, 4, 2 * HOUR + MINUTE)
    assert run(stream) == {"trim": 4}
    assert kept(stream) == (4, [5, 6])
    let_age(stream, 6, 2 * HOUR + MINUTE)
    run(stream)
    assert kept(stream) == (6, [])
    stream.append(new_event())
    run(stream)
    assert kept(stream) == (6, [7])


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_no_more_than_so_many_events_are_kept(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    assert sweep_store.HISTORY_EVENTS == 10_000
    monkeypatch.setattr(sweep_store, "HISTORY_EVENTS", 3)
    monkeypatch.setattr(sweeping, "ROWS", rows)
    stream.append(new_event(), new_event())
    assert run(stream) == {}
    stream.append(*(new_event() for _ in range(6)))
    assert run(stream) == {"trim": 5}
    assert kept(stream) == (5, [6, 7, 8])
    assert run(stream) == {}


def test_sweeps_and_relays_at_once_keep_the_stream_whole(
    stream: Stream, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_store, "HISTORY_EVENTS", 10)
    monkeypatch.setattr(sweeping, "ROWS", 3)

    def write(database: Database) -> None:
        for _ in range(20):
            append(database, new_event())

    def trim(database: Database) -> None:
        for _ in range(20):
            database.transact(lambda connection: sweep_store.trim(connection, 3))

    race(database_url, [write, write, trim, trim, trim])
    run(stream)
    assert kept(stream) == (30, list(range(31, 41)))


def test_broadcasts_of_a_day_ago_are_deleted_and_stay_on_record(stream: Stream) -> None:
    user_id = stream.add_user()
    stream.broadcast(user_id)
    stream.change(realtime_broadcasts, created_at=ago(25 * HOUR))
    stream.broadcast(user_id)
    relay(stream.database, stream.ask_for)
    told = stream.head
    assert run(stream) == {"forget_broadcasts": 1}
    relay(stream.database, stream.ask_for)
    assert stream.head == told, "that it is gone is no news"
    assert [row["action"] for row in stream.history("realtime_broadcasts")].count("insert") == 2
    assert run(stream) == {}


def test_rows_that_were_announced_a_day_ago_are_deleted(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "ROWS", 4)
    stream.change(outbox, dispatched_at=ago(25 * HOUR))
    old = count(stream, outbox)
    assert old > 8
    user_id = stream.add_user()  # announced just now
    stream.broadcast(user_id)  # not yet
    there = count(stream, outbox)
    assert run(stream) == {"forget_announced": old}
    assert count(stream, outbox) == there - old
    assert stream.undispatched() == 1
    assert run(stream) == {}


def count(stream: Stream, table: Table) -> int:
    statement = select(func.count()).select_from(table)
    return stream.database.read(lambda connection: connection.scalar(statement)) or 0


# When something fails


def test_what_fails_keeps_nothing_else_from_being_done(stream: Stream, log: Log) -> None:
    user_id = stream.add_user()
    stream.append(new_event())
    let_age(stream, 1, 3 * HOUR)
    stream.connect("due", user_id, sent_offset=0)
    stream.connect("over", user_id, token_expires_at=ago(SECOND))
    stream.connect("old", user_id, connected_at=ago(3 * HOUR))

    def refuse(task: str, connections: Sequence[str]) -> None:
        raise Unavailable("on purpose")

    with pytest.raises(Unavailable, match="send, close"):
        sweep(stream.database, refuse)
    assert stream.connections().keys() == {"due", "over"}
    assert kept(stream) == (1, [])
    assert [line["duty"] for line in log.said("not done")] == ["send", "close"]
    assert run(stream) == {"send": 1, "close": 1}


def test_a_database_that_is_down_is_said_to_be(log: Log) -> None:
    address = DatabaseAddress("127.0.0.1", free_port(), "fieldgate", "nobody", "")
    with pytest.raises(Unavailable):
        sweep(Database(lambda: address), lambda *_: None)
    assert len(log.said("not done")) == 6
    assert len(log.said("connections not counted")) == 1


def test_without_time_nothing_is_begun_and_nothing_fails(stream: Stream) -> None:
    stream.append(new_event())
    stream.connect("A", stream.add_user(), sent_offset=0)
    with deadline.within(0):
        assert set(sweep(stream.database, stream.ask_for).values()) == {0}
    assert stream.asked == []


def test_a_sweep_that_is_killed_is_made_up_for_by_the_next(stream: Stream) -> None:
    stream.append(new_event())
    stream.connect("A", stream.add_user(), sent_offset=0)

    def die(task: str, connections: Sequence[str]) -> None:
        raise Killed

    with pytest.raises(Killed):
        sweep(stream.database, die)
    assert run(stream) == {"send": 1}


def test_it_says_how_many_are_connected(stream: Stream, capsys: pytest.CaptureFixture[str]) -> None:
    user_id = stream.add_user()
    stream.connect(str(uuid.uuid4()), user_id)
    stream.connect(str(uuid.uuid4()), user_id, ready_at=None, dialect=None)
    done = sweep(stream.database, stream.ask_for)
    said = capsys.readouterr().out.replace(" ", "")
    assert '"RealtimeConnections":[2.0]' in said
    assert "count" not in done
    assert '"duty":"count"' not in said


def test_not_to_know_how_many_are_connected_keeps_nothing_from_being_done(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_connection: object) -> int:
        raise Unavailable("on purpose")

    monkeypatch.setattr(sweep_store, "connected", refuse)
    stream.append(new_event())
    stream.connect("A", stream.add_user(), sent_offset=0)
    assert run(stream) == {"send": 1}
    assert "RealtimeConnections" not in capsys.readouterr().out
