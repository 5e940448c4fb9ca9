"""PUT /api/v1/auth/phone, on a real database."""

from dataclasses import replace
from uuid import uuid4

import pytest

from fieldgate.db.engine import Database
from tests.support.database import count_statements
from tests.support.gateway import Answer, signed_in
from tests.support.one_time_codes import (
    PHONE,
    change,
    code_of,
    rows,
    send,
    set_phone,
    wrong_code_of,
)
from tests.support.people import Person, begin_session, register

NEW_PHONE = "+254722000009"


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, Person("", None))


def ask(person: Person) -> Answer:
    return send(NEW_PHONE, "phone_change", authorizer=signed_in(person.id))


def phones(database: Database) -> list[str]:
    return [row["phone"] for row in rows(database, "SELECT phone FROM users ORDER BY phone")]


def test_the_phone_becomes_the_challenges(grower: Person, live_database: Database) -> None:
    phone = begin_session(live_database, grower)
    challenge = ask(grower)

    answer = set_phone(challenge, code_of(challenge), signed_in(grower.id))

    assert answer.status == 200
    assert (answer.data["id"], answer.data["phone"]) == (str(grower.id), NEW_PHONE)
    assert phones(live_database) == [NEW_PHONE]
    assert not phone.is_refused
    (entry,) = rows(
        live_database,
        "SELECT actor, changed, after ->> 'phone' AS phone FROM change_log"
        " WHERE entity = 'users' AND action = 'update' AND 'phone' = ANY (changed)",
    )
    assert entry == {"actor": str(grower.id), "changed": ["phone"], "phone": "***"}


def test_a_code_works_once(grower: Person, live_database: Database) -> None:
    challenge = ask(grower)
    set_phone(challenge, code_of(challenge), signed_in(grower.id))
    change(live_database, "UPDATE users SET phone = :phone", phone=PHONE)
    assert set_phone(challenge, code_of(challenge), signed_in(grower.id)).status == 410
    assert phones(live_database) == [PHONE]


def test_five_wrong_codes_are_enough(grower: Person, live_database: Database) -> None:
    challenge, caller = ask(grower), signed_in(grower.id)
    for _ in range(5):
        answer = set_phone(challenge, wrong_code_of(challenge), caller)
        assert (answer.status, answer.error["code"]) == (401, "INVALID_CREDENTIALS")
    assert set_phone(challenge, code_of(challenge), caller).status == 410
    assert phones(live_database) == [PHONE]


def test_anothers_code_is_a_wrong_one(grower: Person, live_database: Database) -> None:
    thief = register(live_database, replace(grower, id=uuid4(), phone="+254733000009", email=None))
    challenge = ask(grower)
    assert set_phone(challenge, code_of(challenge), signed_in(thief.id)).status == 401
    assert phones(live_database) == [PHONE, "+254733000009"]


@pytest.mark.parametrize("purpose", ["login", "password_reset"])
def test_a_code_for_something_else_is_a_wrong_one(
    grower: Person, live_database: Database, purpose: str
) -> None:
    challenge = send(purpose=purpose)
    assert set_phone(challenge, code_of(challenge), signed_in(grower.id)).status == 401


def test_a_number_that_has_an_account_is_a_conflict(
    grower: Person, live_database: Database
) -> None:
    challenge = ask(grower)
    register(live_database, replace(grower, id=uuid4(), phone=NEW_PHONE, email=None))

    answer = set_phone(challenge, code_of(challenge), signed_in(grower.id))

    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert phones(live_database) == [PHONE, NEW_PHONE]


def test_who_was_blocked_meanwhile_changes_nothing(grower: Person, live_database: Database) -> None:
    challenge, caller = ask(grower), signed_in(grower.id)
    change(live_database, "UPDATE users SET status = 'blocked'")
    answer = set_phone(challenge, code_of(challenge), caller)
    assert (answer.status, answer.error["code"]) == (403, "ACCOUNT_NOT_ACTIVE")
    assert phones(live_database) == [PHONE]


def test_it_needs_a_caller(grower: Person) -> None:
    challenge = ask(grower)
    assert set_phone(challenge, code_of(challenge), {}).status == 401


def test_it_takes_three_round_trips(grower: Person, live_database: Database) -> None:
    challenge, caller = ask(grower), signed_in(grower.id)
    with count_statements(live_database) as traffic:
        assert set_phone(challenge, code_of(challenge), caller).status == 200
    assert traffic.round_trips == 3
