"""POST /api/v1/otp/resend, on a real database."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from identity import challenge_store, resend_otp
from identity.budgets import TEXTS_KEY
from identity.challenge_store import Spent
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.one_time_codes import (
    PHONE,
    change,
    code_of,
    id_of,
    let_pass,
    resend,
    rows,
    send,
    verify,
    wrong_code_of,
)
from tests.support.people import Person, register

GROWER = Person("", None)


@pytest.fixture
def challenge(live_database: Database) -> Answer:
    """A challenge that a minute has passed since."""
    register(live_database, GROWER)
    challenge = send()
    let_pass(live_database, "61 seconds")
    return challenge


def texts(database: Database) -> list[dict[str, Any]]:
    query = "SELECT challenge_id, phone, kind, state FROM sms_messages ORDER BY created_at"
    return rows(database, query)


def test_the_same_code_is_sent_again(challenge: Answer, live_database: Database) -> None:
    (before,) = rows(live_database, "SELECT id, expires_at FROM otp_challenges")

    answer = resend(challenge)

    assert answer.status == 202
    assert answer.data["challengeId"] == challenge.data["challengeId"]
    # And is good for as long as before.
    left = datetime.fromisoformat(answer.data["expiresAt"]) - before["expires_at"]
    assert abs(left.total_seconds()) < 0.001
    sent = {"challenge_id": before["id"], "phone": PHONE, "kind": "code", "state": "queued"}
    assert texts(live_database) == [sent, sent]
    assert rows(live_database, "SELECT sends FROM otp_challenges") == [{"sends": 2}]
    assert verify(challenge, code_of(challenge)).status == 200


def test_tries_are_not_given_back(challenge: Answer, live_database: Database) -> None:
    for _ in range(4):
        assert verify(challenge, wrong_code_of(challenge)).status == 401
    assert resend(challenge).status == 202
    assert verify(challenge, wrong_code_of(challenge)).status == 401
    assert verify(challenge, code_of(challenge)).status == 410


def test_it_takes_three_round_trips(challenge: Answer, live_database: Database) -> None:
    with count_statements(live_database) as traffic:
        assert resend(challenge).status == 202
    assert traffic.round_trips == 3


def test_a_challenge_is_sent_five_times(
    challenge: Answer, live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OTP_PHONE_SENDS_PER_HOUR", "9")
    for _ in range(4):
        assert resend(challenge).status == 202
        let_pass(live_database, "61 seconds")

    answer = resend(challenge)
    assert (answer.status, answer.error["code"]) == (429, "RATE_LIMITED")
    assert 0 < int(answer.headers["retry-after"]) <= 600
    assert len(texts(live_database)) == 5


@pytest.mark.parametrize(
    "ended",
    [
        "expires_at = now()",
        "verified_at = now()",
        "attempts = 5",
    ],
)
def test_a_challenge_that_is_over_is_gone(
    challenge: Answer, live_database: Database, ended: str
) -> None:
    change(live_database, f"UPDATE otp_challenges SET {ended}")

    answer = resend(challenge)

    assert (answer.status, answer.error["code"]) == (410, "GONE")
    assert len(texts(live_database)) == 1
    assert rows(live_database, "SELECT cardinality(sent_at) AS sent FROM otp_phones") == [
        {"sent": 1}
    ]


def test_what_ended_between_the_look_and_the_sending_is_gone(
    challenge: Answer, live_database: Database
) -> None:
    def verified_meanwhile(connection: Connection) -> Spent:
        connection.execute(text("UPDATE otp_challenges SET verified_at = now()"))
        return challenge_store.send_again(
            connection, id_of(challenge), PHONE, [TEXTS_KEY], max_attempts=5, max_sends=5
        )

    spent = live_database.transact(verified_meanwhile)
    assert (spent.expires_at, spent.message_id) == (None, None)
    assert len(texts(live_database)) == 1


def test_an_unknown_challenge_is_gone(live_database: Database) -> None:
    assert resend(uuid4()).status == 410


@pytest.mark.parametrize(
    ("person", "kind"),
    [
        (None, None),
        (replace(GROWER, status="blocked"), None),
        (replace(GROWER, two_factor_enabled=True), "password_first"),
    ],
)
def test_what_was_sent_first_is_sent_again(
    live_database: Database, person: Person | None, kind: str | None
) -> None:
    if person is not None:
        register(live_database, person)
    challenge = send()
    let_pass(live_database, "61 seconds")

    with count_statements(live_database) as traffic:
        assert resend(challenge).status == 202

    assert traffic.round_trips == 3
    assert [sent["kind"] for sent in texts(live_database)] == ([kind] * 2 if kind else [])


def test_another_number_cannot_be_named(challenge: Answer, live_database: Database) -> None:
    content = {"challengeId": str(id_of(challenge)), "phone": "+254711000010"}
    assert call(resend_otp.handler, "POST", "/api/v1/otp/resend", content=content).status == 400
