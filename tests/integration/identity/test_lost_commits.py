"""The connection breaks at COMMIT: what a phone is told, and what it may do then."""

import pytest

from fieldgate.db.engine import OUTCOME_UNKNOWN, Database
from identity import login, refresh_tokens
from identity.passwords import hash_password
from tests.support.gateway import Answer, call
from tests.support.lost_commits import lost_commit
from tests.support.one_time_codes import PASSWORD, code_of, let_pass, rows, send, verify
from tests.support.people import Person, begin_session, register

saved_or_not = pytest.mark.parametrize("saved", [True, False], ids=["saved", "not saved"])


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, Person(PASSWORD, hash_password(PASSWORD)))


def assert_unknown(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
    assert answer.error["message"] == OUTCOME_UNKNOWN


def number_of(database: Database, table: str) -> int:
    (row,) = rows(database, f"SELECT count(*) AS number FROM {table}")
    return int(row["number"])


@saved_or_not
def test_a_code_whose_answer_got_lost_may_be_spent_and_other_ways_in_are_open(
    live_database: Database, environment: pytest.MonkeyPatch, grower: Person, saved: bool
) -> None:
    challenge = send()
    with lost_commit(live_database, environment, saved=saved):
        assert_unknown(verify(challenge, code_of(challenge)))
    assert number_of(live_database, "sessions") == saved

    assert verify(challenge, code_of(challenge)).status == (410 if saved else 200)
    content = {"identifier": grower.phone, "password": PASSWORD}
    assert call(login.handler, "POST", "/api/v1/auth/login", content=content).status == 200
    let_pass(live_database, "61 seconds")
    another = send()
    assert verify(another, code_of(another)).status == 200


@saved_or_not
def test_a_code_asked_for_again_by_the_same_key_is_sent_once(
    live_database: Database, environment: pytest.MonkeyPatch, grower: Person, saved: bool
) -> None:
    key = {"Idempotency-Key": "of-this-request"}
    with lost_commit(live_database, environment, saved=saved):
        assert_unknown(send(headers=key))
    assert number_of(live_database, "otp_challenges") == saved

    again = send(headers=key)

    assert again.status == 202
    assert ("idempotency-replayed" in again.headers) == saved
    # Where nobody was woken for it, the sweep finds it queued.
    assert rows(live_database, "SELECT state FROM sms_messages") == [{"state": "queued"}]
    assert verify(again, code_of(again)).status == 200


@saved_or_not
def test_a_refresh_whose_answer_got_lost_is_asked_for_again(
    live_database: Database, environment: pytest.MonkeyPatch, grower: Person, saved: bool
) -> None:
    token = begin_session(live_database, grower).refresh_token

    def refresh() -> Answer:
        content = {"refreshToken": token.text}
        return call(refresh_tokens.handler, "POST", "/api/v1/auth/refresh", content=content)

    with lost_commit(live_database, environment, saved=saved):
        assert_unknown(refresh())
    (row,) = rows(live_database, "SELECT current_hash FROM sessions")
    assert bytes(row["current_hash"]) == (token.successor() if saved else token).hash

    assert refresh().data["refreshToken"] == token.successor().text
