"""Whoever wrote something that is recorded hears of it after the commit, and nobody else does."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import (
    idempotency_keys,
    media,
    outbox,
    realtime_connections,
    realtime_stream,
    user_roles,
    users,
)
from fieldgate.db.url import parse_url
from realtime.relaying import relay
from tests.support.database import count_statements
from tests.support.racing import race
from tests.support.stream import Stream, new_event, new_media


class Writer:
    """A `Database` as the functions have it; `heard` counts what it was told of."""

    def __init__(self, url: str) -> None:
        self.heard = 0
        self.database = Database(lambda: parse_url(url, "the test"), on_recorded=self._hear)

    def _hear(self) -> None:
        self.heard += 1

    def write(self, *statements: Any) -> None:
        def work(connection: Connection) -> None:
            for statement in statements:
                connection.execute(statement)

        self.database.transact(work)


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    writer = Writer(database_url)
    with closing(writer.database):
        yield writer


@pytest.fixture
def stream(database: Database) -> Stream:
    return Stream(database)


def test_a_commit_that_recorded_something_is_heard_of_once(writer: Writer, stream: Stream) -> None:
    owner = stream.add_user()
    writer.write(*(insert(media).values(new_media(owner)) for _ in range(3)))
    assert writer.heard == 1
    writer.write(update(media).values(size=9))
    writer.write(media.delete())
    assert writer.heard == 3


def test_a_change_by_a_trigger_or_a_cascade_is_one_too(writer: Writer, stream: Stream) -> None:
    user_id = stream.add_user("agent")
    writer.write(user_roles.delete().where(user_roles.c.user_id == user_id))
    writer.write(users.delete().where(users.c.id == user_id))
    assert writer.heard == 2


def test_of_what_was_rolled_back_nothing_is_heard(writer: Writer, stream: Stream) -> None:
    owner = stream.add_user()

    def fail(connection: Connection) -> None:
        connection.execute(insert(media).values(new_media(owner)))
        raise LookupError

    with pytest.raises(LookupError):
        writer.database.transact(fail)
    # On the connection that was told of the change before it was rolled back.
    writer.write(update(media).values(size=9))
    writer.database.read(lambda connection: connection.execute(select(users)).all())
    assert writer.heard == 0


def test_a_savepoint_that_was_rolled_back_hides_nothing_that_came_after(
    writer: Writer, stream: Stream
) -> None:
    owner = stream.add_user()

    def change(connection: Connection) -> None:
        with connection.begin_nested() as savepoint:
            connection.execute(insert(media).values(new_media(owner)))
            savepoint.rollback()
        connection.execute(insert(media).values(new_media(owner)))

    writer.database.transact(change)
    assert writer.heard == 1


def test_an_update_that_changes_nothing_is_no_news(writer: Writer, stream: Stream) -> None:
    stream.add_media(stream.add_user())
    writer.write(update(media).values(size=media.c.size))
    writer.write(update(media).where(media.c.size < 0).values(size=9))
    assert writer.heard == 0


def test_tables_without_a_change_log_are_silent(writer: Writer, stream: Stream) -> None:
    stream.connect("A", stream.add_user())
    row = {"scope": "", "key_hash": b"", "request_hash": b"", "answer": ""}
    writer.write(insert(idempotency_keys).values(row))
    writer.write(update(realtime_connections).values(channels=["stock"]))
    writer.write(update(realtime_stream).values(epoch=uuid.uuid4()))
    writer.write(update(outbox).values(dispatched_at=None))
    assert writer.heard == 0


def test_the_relay_itself_wakes_nobody(writer: Writer, stream: Stream) -> None:
    stream.connect("A", stream.add_user())
    stream.append(new_event())
    stream.broadcast(stream.add_user())
    assert relay(writer.database, stream.ask_for) == 1
    assert writer.heard == 0


def test_hearing_costs_no_round_trip(writer: Writer, stream: Stream) -> None:
    owner = stream.add_user()
    writer.database.read(lambda connection: connection.execute(text("SELECT 1")))
    with count_statements(writer.database) as traffic:
        writer.write(insert(media).values(new_media(owner)))
    assert (writer.heard, traffic.round_trips) == (1, 2)


def test_many_at_once_hear_each_of_their_own(database_url: str, stream: Stream) -> None:
    owner = stream.add_user()

    def work(_database: Database) -> int:
        writer = Writer(database_url)
        with closing(writer.database):
            for _ in range(5):
                writer.write(insert(media).values(new_media(owner)))
                writer.write(update(outbox).values(dispatched_at=None).where(outbox.c.id < 0))
        return writer.heard

    assert race(database_url, [work] * 8) == [5] * 8
