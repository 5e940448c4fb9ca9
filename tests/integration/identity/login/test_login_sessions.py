"""POST /api/v1/auth/login: how many sessions a user has, and how long they rest."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Connection, select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import users
from fieldgate.db.tables.sessions import sessions
from fieldgate.db.url import parse_url
from fieldgate.errors import Forbidden
from identity import session_store, signing_in
from identity.sessions import NewSession, RefreshToken
from tests.conftest import empty_valkey
from tests.support.gateway import Answer
from tests.support.one_time_codes import change, code_of, let_pass, rows, send
from tests.support.one_time_codes import verify as verify_code
from tests.support.password_logins import GROWER, PASSWORD, sign_in
from tests.support.people import Person, register
from tests.support.racing import outcomes


def numbers_of_alive(database: Database) -> list[int]:
    """Return which of the sessions that `add_sessions` added are alive; others are -1."""
    query = text(
        "SELECT coalesce(substring(encode(current_hash, 'escape') FROM '^number ([0-9]+)$'), '-1')"
        " FROM sessions WHERE ended_at IS NULL AND expires_at > now() ORDER BY created_at"
    )
    return [int(found) for found in database.read(lambda connection: connection.scalars(query))]


def add_sessions(database: Database, person: Person, numbers: range, **more: str) -> None:
    """Add sessions, the higher the number the newer."""
    values = {"created_at": "now() - interval '1 day' + number * interval '1 minute'"}
    values |= {"expires_at": "now() + interval '1 hour'"} | more
    statement = text(
        f"INSERT INTO sessions (id, user_id, profile, current_hash, {', '.join(values)})"
        f" SELECT uuidv4(), :user, 'web', convert_to('number ' || number, 'UTF8'),"
        f" {', '.join(values.values())}"
        " FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS number"
    )
    parameters = {"user": person.id, "first": numbers.start, "last": numbers.stop - 1}
    database.transact(lambda connection: connection.execute(statement, parameters))


def by_password() -> Answer:
    return sign_in()


def by_code() -> Answer:
    challenge = send()
    return verify_code(challenge, code_of(challenge))


@pytest.mark.parametrize("way", [by_password, by_code])
def test_the_twenty_first_session_ends_the_oldest(
    live_database: Database, grower: Person, way: Callable[[], Answer]
) -> None:
    add_sessions(live_database, grower, range(19))
    assert way().status == 200
    assert numbers_of_alive(live_database) == [*range(19), -1]

    empty_valkey(os.environ["CACHE_URL"])
    change(
        live_database,
        "UPDATE sessions SET created_at = now() - interval '2 days'"
        " WHERE NOT starts_with(encode(current_hash, 'escape'), 'number')",
    )
    let_pass(live_database, "61 seconds")
    assert way().status == 200

    assert numbers_of_alive(live_database) == [*range(19), -1]
    ended = rows(live_database, "SELECT end_reason, count(*) FROM sessions GROUP BY 1 ORDER BY 1")
    assert ended == [
        {"end_reason": "crowded_out", "count": 1},
        {"end_reason": None, "count": 20},
    ]


def test_all_that_are_too_many_end_but_nobody_elses(
    live_database: Database, grower: Person
) -> None:
    other = register(live_database, replace(GROWER, id=uuid4(), phone="+254711000010", email=None))
    add_sessions(live_database, other, range(100, 130))
    add_sessions(live_database, grower, range(50))

    assert sign_in().status == 200

    alive = numbers_of_alive(live_database)
    assert sorted(alive) == [-1, *range(31, 50), *range(100, 130)]
    query = "SELECT count(*) FROM change_log WHERE entity = 'sessions' AND action = 'update'"
    assert rows(live_database, query) == [{"count": 31}]


def test_sessions_that_expired_take_no_place(live_database: Database, grower: Person) -> None:
    add_sessions(live_database, grower, range(19))
    gone = {"created_at": "now() - interval '4 hours'", "expires_at": "now() - interval '1 hour'"}
    add_sessions(live_database, grower, range(50, 60), **gone)

    assert sign_in().status == 200

    assert numbers_of_alive(live_database) == [*range(19), -1]
    query = "SELECT count(ended_at) FROM sessions"
    assert rows(live_database, query) == [{"count": 0}]


def test_thirty_logins_at_once_all_succeed_and_the_next_leaves_twenty_sessions(
    live_database: Database, database_url: str, grower: Person
) -> None:
    add_sessions(live_database, grower, range(40))

    def work(database: Database) -> str:
        session = NewSession.of("web")
        signing_in.sign_in(database, str(grower.phone), PASSWORD, session, ip="192.0.2.7")
        return "in"

    assert outcomes(database_url, [work] * 30) == {"in": 30}

    # None of the newest is ended. Those that began at the same moment don't see each other.
    assert 19 <= len(numbers_of_alive(live_database)) <= 19 + 30
    assert sign_in().status == 200
    assert numbers_of_alive(live_database) == [-1] * 20


def test_a_session_that_somebody_is_at_is_left_to_the_next_sign_in(
    live_database: Database, database_url: str, grower: Person
) -> None:
    add_sessions(live_database, grower, range(21))

    def hold_the_oldest(connection: Connection) -> None:
        connection.execute(text("SELECT FROM sessions ORDER BY created_at LIMIT 1 FOR UPDATE"))
        assert sign_in().status == 200

    with closing(Database(lambda: parse_url(database_url, "the test"))) as other:
        other.transact(hold_the_oldest)
    assert numbers_of_alive(live_database) == [0, *range(2, 21), -1]

    assert sign_in().status == 200
    assert numbers_of_alive(live_database) == [*range(3, 21), -1, -1]


def test_a_block_and_a_sign_in_that_crowds_out_do_not_deadlock(
    live_database: Database, database_url: str, grower: Person
) -> None:
    add_sessions(live_database, grower, range(30))
    session = NewSession.of("web")

    def block(connection: Connection) -> Future[object]:
        connection.execute(update(users).values(status="blocked"))
        entering: Future[object] = threads.submit(
            signing_in.sign_in, live_database, str(grower.phone), PASSWORD, session, ip="192.0.2.7"
        )
        locked = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        while not connection.scalar(locked):
            assert not entering.done()
        assert len(session_store.end_sessions(connection, grower.id, "blocked")) == 30
        return entering

    with (
        ThreadPoolExecutor(1) as threads,
        closing(Database(lambda: parse_url(database_url, "the test"))) as other,
        pytest.raises(Forbidden),
    ):
        other.transact(block).result()
    assert numbers_of_alive(live_database) == []


@pytest.mark.parametrize(("profile", "minutes"), [("web", 180), ("mobile", 30 * 24 * 60)])
def test_the_profile_says_how_long_a_session_rests(
    live_database: Database, grower: Person, profile: str, minutes: int
) -> None:
    token = RefreshToken.parse(sign_in(profile=profile).data["refreshToken"])

    query = select(sessions).where(sessions.c.id == token.session_id)
    row = live_database.read(lambda connection: connection.execute(query).mappings().one())
    assert (row["user_id"], row["profile"], row["ended_at"]) == (grower.id, profile, None)
    assert row["expires_at"] - row["created_at"] == timedelta(minutes=minutes)
    assert row["current_hash"] == token.hash
