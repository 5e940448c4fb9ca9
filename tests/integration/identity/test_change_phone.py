"""PUT /api/v1/auth/phone, on a real database."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import FieldgateError
from identity import session_store, store, verifying
from identity.challenging import open_challenge
from identity.store import User
from tests.support.database import count_statements
from tests.support.gateway import Answer, signed_in
from tests.support.one_time_codes import (
    PHONE,
    change,
    code_of,
    id_of,
    rows,
    send,
    set_password,
    set_phone,
    wrong_code_of,
)
from tests.support.people import Person, Phone, begin_session, register
from tests.support.racing import waiting

NEW_PHONE = "+254722000009"


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, Person("", None))


@pytest.fixture
def phone(grower: Person, live_database: Database) -> Phone:
    return begin_session(live_database, grower)


def by(phone: Phone, person: Person) -> dict[str, Any]:
    """What an authorizer that looked half a minute ago says."""
    return signed_in(person.id, session_id=phone.session_id)


def ask(person: Person) -> Answer:
    return send(NEW_PHONE, "phone_change", authorizer=signed_in(person.id))


def assert_session_over(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    assert answer.error["message"] == "The session has ended."


def phones(database: Database) -> list[str]:
    return [row["phone"] for row in rows(database, "SELECT phone FROM users ORDER BY phone")]


def test_the_phone_becomes_the_challenges(
    grower: Person, phone: Phone, live_database: Database
) -> None:
    challenge = ask(grower)

    answer = set_phone(challenge, code_of(challenge), by(phone, grower))

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


def test_a_code_works_once(grower: Person, phone: Phone, live_database: Database) -> None:
    challenge = ask(grower)
    set_phone(challenge, code_of(challenge), by(phone, grower))
    change(live_database, "UPDATE users SET phone = :phone", phone=PHONE)
    assert set_phone(challenge, code_of(challenge), by(phone, grower)).status == 410
    assert phones(live_database) == [PHONE]


def test_five_wrong_codes_are_enough(grower: Person, phone: Phone, live_database: Database) -> None:
    challenge, caller = ask(grower), by(phone, grower)
    for _ in range(5):
        answer = set_phone(challenge, wrong_code_of(challenge), caller)
        assert (answer.status, answer.error["code"]) == (401, "INVALID_CREDENTIALS")
    assert set_phone(challenge, code_of(challenge), caller).status == 410
    assert phones(live_database) == [PHONE]


def test_anothers_code_is_a_wrong_one(grower: Person, live_database: Database) -> None:
    thief = register(live_database, replace(grower, id=uuid4(), phone="+254733000009", email=None))
    challenge = ask(grower)
    answer = set_phone(
        challenge, code_of(challenge), by(begin_session(live_database, thief), thief)
    )
    assert (answer.status, answer.error["code"]) == (401, "INVALID_CREDENTIALS")
    assert phones(live_database) == [PHONE, "+254733000009"]


@pytest.mark.parametrize("purpose", ["login", "password_reset"])
def test_a_code_for_something_else_is_a_wrong_one(
    grower: Person, phone: Phone, live_database: Database, purpose: str
) -> None:
    challenge = send(purpose=purpose)
    assert set_phone(challenge, code_of(challenge), by(phone, grower)).status == 401


def test_a_number_that_has_an_account_is_a_conflict(
    grower: Person, phone: Phone, live_database: Database
) -> None:
    challenge = ask(grower)
    register(live_database, replace(grower, id=uuid4(), phone=NEW_PHONE, email=None))

    answer = set_phone(challenge, code_of(challenge), by(phone, grower))

    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert phones(live_database) == [PHONE, NEW_PHONE]


def test_who_was_blocked_meanwhile_changes_nothing(
    grower: Person, phone: Phone, live_database: Database
) -> None:
    challenge, caller = ask(grower), by(phone, grower)
    change(live_database, "UPDATE users SET status = 'blocked'")
    answer = set_phone(challenge, code_of(challenge), caller)
    assert_session_over(answer)
    assert phones(live_database) == [PHONE]


@pytest.mark.parametrize(
    "ended",
    [
        "UPDATE sessions SET ended_at = now(), end_reason = 'logged_out'",
        "UPDATE sessions SET expires_at = now()",
        "DELETE FROM sessions",
    ],
)
def test_a_session_that_has_ended_changes_nothing(
    grower: Person, phone: Phone, live_database: Database, ended: str
) -> None:
    challenge = ask(grower)
    change(live_database, ended)
    assert_session_over(set_phone(challenge, code_of(challenge), by(phone, grower)))
    assert phones(live_database) == [PHONE]


def test_anothers_session_changes_nothing(grower: Person, live_database: Database) -> None:
    other = register(live_database, replace(grower, id=uuid4(), phone="+254733000009", email=None))
    challenge = ask(grower)
    caller = by(begin_session(live_database, other), grower)
    assert_session_over(set_phone(challenge, code_of(challenge), caller))
    assert phones(live_database) == [PHONE, "+254733000009"]


def test_what_a_thief_began_before_the_password_was_reset_fails_after_it(
    grower: Person, phone: Phone, live_database: Database
) -> None:
    thiefs = ask(grower)
    reset = send(purpose="password_reset")
    assert set_password(reset, code_of(reset), "sorghum & millet").status == 204

    assert_session_over(set_phone(thiefs, code_of(thiefs), by(phone, grower)))
    assert phones(live_database) == [PHONE]


def test_a_thief_who_waits_for_the_reset_to_commit_fails_too(
    grower: Person, phone: Phone, live_database: Database, database_url: str
) -> None:
    challenge = ask(grower)
    victim = Database(lambda: parse_url(database_url, "the test"))

    def take() -> str:
        try:
            verifying.change_phone(
                live_database,
                grower.id,
                phone.session_id,
                id_of(challenge),
                code_of(challenge),
            )
        except FieldgateError as refusal:
            return refusal.code
        return "changed"

    def reset(connection: Connection) -> Future[str]:
        connection.execute(text("UPDATE users SET password_hash = 'new'"))
        thief = threads.submit(take)
        waiting(thief, connection)
        session_store.end_sessions(connection, grower.id, "password_changed")
        return thief

    with ThreadPoolExecutor(1) as threads, closing(victim):
        assert victim.transact(reset).result() == "UNAUTHORIZED"
    assert phones(live_database) == [PHONE]


def test_the_phone_before_is_told(
    grower: Person, phone: Phone, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[UUID] = []
    monkeypatch.setattr(verifying, "wake_sender", woken.append)
    challenge = ask(grower)
    assert set_phone(challenge, wrong_code_of(challenge), by(phone, grower)).status == 401
    assert woken == []

    assert set_phone(challenge, code_of(challenge), by(phone, grower)).status == 200

    query = "SELECT * FROM sms_messages WHERE kind = 'phone_changed'"
    (message,) = rows(live_database, query)
    assert (message["phone"], message["challenge_id"]) == (PHONE, id_of(challenge))
    assert message["state"] == "queued"
    assert woken == [message["id"]]


@pytest.mark.parametrize("before", [None, NEW_PHONE])
def test_nobody_is_told_where_there_was_no_other_phone(
    grower: Person, phone: Phone, live_database: Database, before: str | None
) -> None:
    challenge = ask(grower)
    change(live_database, "UPDATE users SET phone = :phone", phone=before)
    assert set_phone(challenge, code_of(challenge), by(phone, grower)).status == 200
    assert rows(live_database, "SELECT kind FROM sms_messages") == [{"kind": "code"}]


def test_it_needs_a_caller(grower: Person) -> None:
    challenge = ask(grower)
    assert set_phone(challenge, code_of(challenge), {}).status == 401


def test_it_takes_three_round_trips(grower: Person, phone: Phone, live_database: Database) -> None:
    challenge, caller = ask(grower), by(phone, grower)
    with count_statements(live_database) as traffic:
        assert set_phone(challenge, code_of(challenge), caller).status == 200
    assert traffic.round_trips == 3


def test_a_sign_in_at_the_old_phone_meanwhile_is_no_deadlock(
    grower: Person, phone: Phone, live_database: Database, database_url: str
) -> None:
    """Its challenge refers to the user; then it locks them, as it does after the right password."""
    challenge = ask(grower)
    proof = id_of(challenge), code_of(challenge, NEW_PHONE)
    threads = ThreadPoolExecutor(1)

    def sign_in(connection: Connection) -> Future[User]:
        user = store.find_by_id(connection, grower.id)
        assert user is not None
        open_challenge(
            connection, phone=PHONE, purpose="second_factor", user_id=user.id, ip="192.0.2.7"
        )
        move = threads.submit(
            verifying.change_phone, live_database, grower.id, phone.session_id, *proof
        )
        waiting(move, connection)
        assert store.lock_password(connection, user)
        return move

    with threads, closing(Database(lambda: parse_url(database_url, "the test"))) as login:
        assert login.transact(sign_in).result().phone == NEW_PHONE
