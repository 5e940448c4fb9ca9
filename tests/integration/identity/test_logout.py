"""POST /api/v1/auth/logout: the end of a session, or of all of somebody's."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.change_log import change_log
from fieldgate.db.tables.sessions import sessions
from identity import get_profile, logout, refresh_tokens
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.people import Person, Phone, begin_session, register

GROWER = Person("", None)
STRANGER = Person("", None, phone="+254711000008", email=None)


@pytest.fixture
def phones(live_database: Database) -> list[Phone]:
    """Two of one person, and one of somebody else."""
    register(live_database, GROWER)
    register(live_database, STRANGER)
    return [begin_session(live_database, person) for person in (GROWER, GROWER, STRANGER)]


def log_out(phone: Phone, body: str | None = None) -> Answer:
    return call(
        logout.handler, "POST", "/api/v1/auth/logout", body=body, authorizer=phone.context()
    )


def refresh(phone: Phone) -> Answer:
    content = {"refreshToken": phone.refresh_token.text}
    return call(refresh_tokens.handler, "POST", "/api/v1/auth/refresh", content=content)


def is_signed_in(phone: Phone) -> bool:
    answer = call(get_profile.handler, "GET", "/api/v1/auth/me", authorizer=phone.context())
    return answer.status == 200


@pytest.mark.parametrize("body", [None, "", "{}", '{"everywhere": false}'])
def test_it_ends_this_session_and_no_other(phones: list[Phone], body: str | None) -> None:
    answer = log_out(phones[0], body)

    assert (answer.status, answer.body) == (204, b"")
    assert [is_signed_in(phone) for phone in phones] == [False, True, True]
    assert [refresh(phone).status for phone in phones] == [401, 200, 200]


def test_everywhere_ends_all_of_the_callers_and_nobody_elses(phones: list[Phone]) -> None:
    assert log_out(phones[0], '{"everywhere": true}').status == 204

    assert [is_signed_in(phone) for phone in phones] == [False, False, True]
    assert [refresh(phone).status for phone in phones] == [401, 401, 200]


def test_a_session_that_had_expired_is_left_as_it_is(
    live_database: Database, phones: list[Phone]
) -> None:
    expired = update(sessions).where(sessions.c.id == phones[1].session_id)
    long_ago = text("now() - interval '1 hour'")
    live_database.transact(
        lambda connection: connection.execute(expired.values(expires_at=long_ago))
    )

    assert log_out(phones[0], '{"everywhere": true}').status == 204

    ended = select(sessions.c.id).where(sessions.c.ended_at.is_not(None))
    assert live_database.read(lambda connection: connection.scalars(ended).all()) == [
        phones[0].session_id
    ]


@pytest.mark.parametrize("body", [None, '{"everywhere": true}'])
def test_twice_is_refused_by_the_authorizer(phones: list[Phone], body: str | None) -> None:
    assert log_out(phones[0], body).status == 204

    again = log_out(phones[0], body)
    assert (again.status, again.error["code"]) == (401, "UNAUTHORIZED")


def test_a_session_that_ended_meanwhile_is_ended(live_database: Database) -> None:
    """The authorizer let it by a moment ago."""
    context = signed_in(uuid4())
    answer = call(logout.handler, "POST", "/api/v1/auth/logout", authorizer=context)

    assert answer.status == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"everywhere": "yes"}', "everywhere"),
        ('{"everywhere": 1}', "everywhere"),
        ('{"everywhere": null}', "everywhere"),
        ('{"sessionId": "1"}', "sessionId"),
        ('{"userId": "1"}', "userId"),
        ("[]", "body"),
        ("{", "body"),
    ],
)
def test_a_body_of_another_shape_is_invalid_and_ends_nothing(
    phones: list[Phone], body: str, field: str
) -> None:
    answer = log_out(phones[0], body)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert is_signed_in(phones[0])


def test_the_end_is_on_record(live_database: Database, phones: list[Phone]) -> None:
    answer = log_out(phones[0])

    entry = select(change_log).where(
        change_log.c.entity == "sessions", change_log.c.action == "update"
    )
    row: Any = live_database.read(lambda connection: connection.execute(entry).mappings().one())
    assert (row["entity_id"], row["actor"]) == (str(phones[0].session_id), str(GROWER.id))
    assert row["request_id"] == answer.headers["x-request-id"]
    assert row["after"]["end_reason"] == "logged_out"


def test_it_costs_two_round_trips(live_database: Database, phones: list[Phone]) -> None:
    context = phones[0].context()
    with count_statements(live_database) as traffic:
        call(logout.handler, "POST", "/api/v1/auth/logout", authorizer=context)

    assert (traffic.round_trips, traffic.commits) == (2, 1)


def test_without_a_token_it_is_a_401(live_database: Database, phones: list[Phone]) -> None:
    answer = call(logout.handler, "POST", "/api/v1/auth/logout", content={"everywhere": True})

    assert answer.status == 401
    ended = select(sessions.c.id).where(sessions.c.ended_at.is_not(None))
    assert live_database.read(lambda connection: connection.scalars(ended).all()) == []
