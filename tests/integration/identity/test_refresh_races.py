"""Refresh tokens that are used many times at once."""

import pytest
from sqlalchemy import select

from fieldgate.db.engine import Database
from fieldgate.db.tables.sessions import sessions
from fieldgate.errors import Unauthorized
from identity import refresh_tokens
from identity.refreshing import refresh
from tests.support.gateway import call
from tests.support.parallel import at_once
from tests.support.people import Person, begin_session, register
from tests.support.racing import race


@pytest.mark.parametrize("requests", [20, 100])
def test_the_same_token_many_times_at_once_gives_one_successor(
    live_database: Database, database_url: str, requests: int
) -> None:
    person = register(live_database, Person("", None))
    phone = begin_session(live_database, person)

    def successor_of(database: Database) -> str:
        return refresh(database, phone.refresh_token)[1].text

    answers = race(database_url, [successor_of] * requests)

    successor = phone.refresh_token.successor()
    assert answers == [successor.text] * requests
    assert alive(live_database)
    assert refresh(live_database, successor)[0].id == person.id


def test_twenty_requests_at_once_are_twenty_answers(live_database: Database) -> None:
    """Limits and all: a phone that finds its token expired in twenty places at once."""
    phone = begin_session(live_database, register(live_database, Person("", None)))
    content = {"refreshToken": phone.refresh_token.text}

    answers = at_once(
        20,
        lambda _: call(refresh_tokens.handler, "POST", "/api/v1/auth/refresh", content=content),
    )

    assert [answer.status for answer in answers] == [200] * 20
    assert len({answer.data["refreshToken"] for answer in answers}) == 1


def test_a_stolen_token_many_times_at_once_is_refused_each_time(
    live_database: Database, database_url: str
) -> None:
    stolen = begin_session(live_database, register(live_database, Person("", None))).refresh_token
    newest = refresh(live_database, refresh(live_database, stolen)[1])[1]

    def replay(database: Database) -> bool:
        with pytest.raises(Unauthorized):
            refresh(database, stolen)
        return True

    assert race(database_url, [replay] * 20) == [True] * 20
    assert not alive(live_database)
    with pytest.raises(Unauthorized):
        refresh(live_database, newest)


def alive(database: Database) -> bool:
    query = select(sessions.c.ended_at.is_(None))
    return bool(database.read(lambda connection: connection.scalar(query)))
