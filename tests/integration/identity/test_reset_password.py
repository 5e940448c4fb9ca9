"""POST /api/v1/auth/password, on a real database."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from identity import session_store, signing_out, store, verifying
from identity.passwords import check_password, hash_password
from identity.sessions import NewSession
from tests.support.database import count_statements
from tests.support.gateway import Answer
from tests.support.log import Log
from tests.support.one_time_codes import (
    PASSWORD,
    change,
    code_of,
    let_pass,
    rows,
    send,
    set_password,
    verify,
    wrong_code_of,
)
from tests.support.people import Person, begin_session, register
from tests.support.racing import waiting

NEW_PASSWORD = "sorghum & millet"
OLD_HASH = hash_password(PASSWORD)


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, Person(PASSWORD, OLD_HASH))


@pytest.fixture
def challenge(grower: Person) -> Answer:
    return send(purpose="password_reset")


def password_is(database: Database, password: str) -> bool:
    (row,) = rows(database, "SELECT password_hash FROM users")
    return check_password(row["password_hash"], password).correct


def test_the_password_is_new_and_every_session_ends(
    grower: Person, challenge: Answer, live_database: Database
) -> None:
    phones = [begin_session(live_database, grower), begin_session(live_database, grower, "mobile")]
    assert not any(phone.is_refused for phone in phones)

    answer = set_password(challenge, code_of(challenge), NEW_PASSWORD)

    assert (answer.status, answer.body) == (204, b"")
    assert password_is(live_database, NEW_PASSWORD)
    # At once, also where the cache knew them to be alive.
    assert all(phone.is_refused for phone in phones)
    assert rows(live_database, "SELECT DISTINCT end_reason FROM sessions") == [
        {"end_reason": "password_changed"}
    ]


def test_a_session_that_had_expired_is_left_as_it_is(
    grower: Person, challenge: Answer, live_database: Database
) -> None:
    begin_session(live_database, grower)
    change(live_database, "UPDATE sessions SET expires_at = now() - interval '1 hour'")

    assert set_password(challenge, code_of(challenge), NEW_PASSWORD).status == 204
    assert rows(live_database, "SELECT end_reason FROM sessions") == [{"end_reason": None}]


@pytest.mark.parametrize("reason", ["password_changed", "logged_out"])
def test_a_session_that_is_refreshed_in_its_last_moment_ends_too(
    grower: Person,
    challenge: Answer,
    live_database: Database,
    database_url: str,
    reason: str,
) -> None:
    begin_session(live_database, grower)
    change(live_database, "UPDATE sessions SET expires_at = now()")
    phone = Database(lambda: parse_url(database_url, "the test"))
    threads = ThreadPoolExecutor(1)
    proof = UUID(challenge.data["challengeId"]), code_of(challenge)

    def end() -> None:
        if reason == "logged_out":
            signing_out.sign_out(live_database, grower.id, None)
        else:
            verifying.reset_password(live_database, *proof, NEW_PASSWORD)

    def refresh(connection: Connection) -> Future[None]:
        # As one that came in time does, and has not committed yet when the time is over.
        connection.execute(text("UPDATE sessions SET expires_at = now() + interval '1 hour'"))
        return waiting(threads.submit(end), connection)

    with threads, closing(phone):
        phone.transact(refresh).result()
    assert rows(live_database, "SELECT end_reason FROM sessions") == [{"end_reason": reason}]


def test_a_session_begun_by_the_old_password_meanwhile_ends_too(
    grower: Person, challenge: Answer, live_database: Database, database_url: str
) -> None:
    """Somebody signs in by the old password and has not committed yet when it is replaced."""
    login = Database(lambda: parse_url(database_url, "the test"))
    threads = ThreadPoolExecutor(1)

    proof = UUID(challenge.data["challengeId"]), code_of(challenge)

    def begin(connection: Connection) -> Future[list[UUID]]:
        user = store.find_by_id(connection, grower.id)
        assert user is not None
        assert store.lock_password(connection, user)
        session_store.start_session(connection, user.id, NewSession.of("web"))
        reset = threads.submit(verifying.reset_password, live_database, *proof, NEW_PASSWORD)
        return waiting(reset, connection)

    with threads, closing(login):
        assert len(login.transact(begin).result()) == 1
    assert rows(live_database, "SELECT end_reason FROM sessions") == [
        {"end_reason": "password_changed"}
    ]


def test_who_proved_the_old_password_must_prove_the_new_one(
    grower: Person, challenge: Answer, live_database: Database
) -> None:
    change(live_database, "UPDATE otp_challenges SET purpose = 'second_factor'")
    let_pass(live_database, "61 seconds")
    reset = send(purpose="password_reset")

    assert set_password(reset, code_of(reset), NEW_PASSWORD).status == 204
    assert verify(challenge, code_of(challenge)).status == 410


def test_a_code_works_once(challenge: Answer, live_database: Database) -> None:
    assert set_password(challenge, code_of(challenge), NEW_PASSWORD).status == 204
    assert set_password(challenge, code_of(challenge), "something else").status == 410
    assert password_is(live_database, NEW_PASSWORD)


def test_wrong_codes_are_counted_and_hash_nothing(
    challenge: Answer, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(verifying, "hash_password", hashed.append)
    for _ in range(5):
        answer = set_password(challenge, wrong_code_of(challenge), NEW_PASSWORD)
        assert (answer.status, answer.error["code"]) == (401, "INVALID_CREDENTIALS")
    assert set_password(challenge, code_of(challenge), NEW_PASSWORD).status == 410
    assert hashed == []
    assert password_is(live_database, PASSWORD)


def test_a_code_to_sign_in_sets_no_password(grower: Person, live_database: Database) -> None:
    challenge = send()
    assert set_password(challenge, code_of(challenge), NEW_PASSWORD).status == 401
    assert password_is(live_database, PASSWORD)


@pytest.mark.parametrize("meanwhile", ["status = 'blocked'", "phone = '+254711000099'"])
def test_an_account_that_changed_meanwhile_keeps_its_password(
    grower: Person, challenge: Answer, live_database: Database, meanwhile: str
) -> None:
    begin_session(live_database, grower)
    change(live_database, f"UPDATE users SET {meanwhile}")

    answer = set_password(challenge, code_of(challenge), NEW_PASSWORD)

    assert (answer.status, answer.error["code"]) == (403, "ACCOUNT_NOT_ACTIVE")
    assert password_is(live_database, PASSWORD)
    assert rows(live_database, "SELECT count(ended_at) AS ended FROM sessions") == [{"ended": 0}]


@pytest.mark.parametrize("password", ["", "short", "x" * 1025, "maize\udfff and beans"])
def test_a_password_that_is_none_costs_no_try(
    challenge: Answer, live_database: Database, password: str
) -> None:
    answer = set_password(challenge, code_of(challenge), password)
    assert (answer.status, answer.error["details"][0]["field"]) == (400, "newPassword")
    assert rows(live_database, "SELECT attempts FROM otp_challenges") == [{"attempts": 0}]


def test_a_right_code_takes_three_round_trips_and_a_wrong_one_two(
    challenge: Answer, live_database: Database
) -> None:
    for code, trips in ((wrong_code_of(challenge), 2), (code_of(challenge), 3)):
        with count_statements(live_database) as traffic:
            set_password(challenge, code, NEW_PASSWORD)
        assert traffic.round_trips == trips


def test_the_password_is_not_logged(challenge: Answer, log: Log) -> None:
    set_password(challenge, code_of(challenge), NEW_PASSWORD)
    assert NEW_PASSWORD not in log.text
    assert code_of(challenge) not in log.text
