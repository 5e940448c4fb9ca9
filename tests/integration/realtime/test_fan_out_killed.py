"""Workers that die, or whose database does: what was under way comes again, nothing is lost."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from itertools import count
from unittest.mock import patch
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.url import DatabaseAddress, parse_url
from fieldgate.errors import Unavailable
from local.postgres import PostgresServer
from realtime.posting import Outcome, Poster
from tests.conftest import run_sql
from tests.support.fan_out import Switchboard
from tests.support.ports import free_port
from tests.support.severed import How, Killed, When, severed
from tests.support.stream import new_event


@contextmanager
def dying_at_post(step: int, when: When, how: type[BaseException] = Killed) -> Iterator[list[str]]:
    """Have the worker end at post number `step`, from 0; yields whom it posted to."""
    post = Poster.post
    asked: list[str] = []

    async def posted(poster: Poster, connection_id: str, frame: bytes) -> Outcome:
        asked.append(connection_id)
        if when == "before" and len(asked) == step + 1:
            raise how
        outcome = await post(poster, connection_id, frame)
        if when == "after" and len(asked) == step + 1:
            raise how
        return outcome

    with patch.object(Poster, "post", posted):
        yield asked


def assert_nothing_lost(board: Switchboard, under_way: dict[str, list[int]]) -> None:
    """All have got 1 to 3 in order; `under_way` may have come once before that."""
    for name in board.rows():
        got = board.offsets(name)
        before, after = got[: len(under_way.get(name, []))], got[len(under_way.get(name, [])) :]
        # Either it was recorded, and not repeated, or all of it came again.
        assert got == [1, 2, 3] or (before == under_way[name] and after == [1, 2, 3])
    assert board.stream.owed() == {}
    assert board.leased() == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_at_any_post_is_made_up_for_after_its_lease(
    board: Switchboard, grower: UUID, when: When
) -> None:
    for name, dialect in (("A=", "json"), ("B=", "signalr"), ("C=", "json")):
        board.connect(name, grower, dialect=dialect)
    board.announce(*[new_event() for _ in range(3)])
    for step in count():
        for name in board.rows():
            board.change(name, sent_offset=0)
        board.api.forget()
        with dying_at_post(step, when) as asked, suppress(Killed):
            board.send()
        if len(asked) <= step:
            break
        under_way = {name: board.offsets(name) for name in board.rows()}

        board.send()
        assert {name: board.offsets(name) for name in board.rows()} == under_way

        board.end_leases()
        board.send()
        assert_nothing_lost(board, under_way)
    # Three frames of plain JSON to each of two, and one for all of it.
    assert step == 7


@pytest.mark.parametrize("how", ["killed", "dropped"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_at_any_statement_is_made_up_for(
    board: Switchboard, grower: UUID, database_url: str, how: How, when: When
) -> None:
    names = ("A=", "B=")
    board.connect("A=", grower, dialect="json")
    board.connect("B=", grower)
    board.announce(*[new_event() for _ in range(3)])
    seen = []
    for step in count():
        for name in names:
            board.change(name, sent_offset=0)
        board.api.connect("gone=")
        board.connect("gone=", grower, sent_offset=0)
        board.api.disconnect("gone=")
        board.api.forget()
        with (
            closing(Database(lambda: parse_url(database_url, "the test"))) as database,
            severed(step, how, when) as severing,
            suppress(Killed, Unavailable),
        ):
            Switchboard(database, board.api, board.stream).send(*names, "gone=")
        seen.append(severing.statement.split(maxsplit=1)[0] if severing.statement else "")
        under_way = {name: board.offsets(name) for name in names}
        board.end_leases()
        board.send(*names, "gone=")
        assert_nothing_lost(board, under_way)
        assert board.rows().keys() == set(names)
        if not severing.happened:
            break
    # Claimed, read, released, and those who are gone forgotten.
    assert seen == ["WITH", "commit", "SELECT", "WITH", "commit", "WITH", "commit", ""]


def test_a_database_that_is_down_when_all_is_posted_has_the_message_come_back(
    board: Switchboard, grower: UUID, database_url: str, postgres: PostgresServer
) -> None:
    board.connect("A=", grower)
    board.announce(*[new_event() for _ in range(3)])
    is_down = threading.Event()
    nobody = database_url.replace(
        f":{parse_url(database_url, 'the test').port}/", f":{free_port()}/"
    )

    def address() -> DatabaseAddress:
        return parse_url(nobody if is_down.is_set() else database_url, "the test")

    def take_down(_name: str, _frame: bytes) -> None:
        is_down.set()
        name = database_url.rpartition("/")[2]
        run_sql(
            postgres.url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )

    board.api.on_taken = take_down
    with closing(Database(address)) as database, pytest.raises(Unavailable):
        Switchboard(database, board.api, board.stream).send("A=")
    board.api.on_taken = lambda _name, _frame: None
    assert board.leased() == ["A="]

    # It comes back in ten seconds, which the lease outlasts.
    board.lease("A=", timedelta(seconds=10))
    with pytest.raises(Unavailable, match="for long"):
        board.send("A=")

    board.end_leases()
    board.send("A=")
    assert_nothing_lost(board, {"A=": [1, 2, 3]})


def test_a_bug_in_the_middle_gives_back_what_was_posted(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower, dialect="json")
    board.announce(new_event(), new_event())

    with dying_at_post(1, "before", ValueError), pytest.raises(ExceptionGroup):
        board.send()

    assert board.leased() == []
    board.send()
    assert board.offsets("A=") == [1, 2]
