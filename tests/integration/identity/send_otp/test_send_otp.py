"""POST /api/v1/otp/send, on a real database."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from fieldgate.db.engine import Database
from identity.challenge_view import ChallengeView
from identity.challenging import OpenedChallenge, open_challenge
from identity.sending import Work, open_and_wake
from tests.integration.identity.send_otp.conftest import GROWER, UNKNOWN
from tests.support.database import count_statements
from tests.support.gateway import Answer, signed_in
from tests.support.log import Log
from tests.support.one_time_codes import (
    PHONE,
    code_of,
    id_of,
    let_pass,
    rows,
    send,
    without_meta,
)
from tests.support.people import Person, register
from tests.support.sqs import LocalSqs


def challenge_row(database: Database, answer: Answer) -> dict[str, Any]:
    (row,) = rows(database, "SELECT * FROM otp_challenges WHERE id = :id", id=id_of(answer))
    return row


def texts(database: Database) -> list[tuple[str, str]]:
    found = rows(database, "SELECT phone, kind FROM sms_messages ORDER BY created_at")
    return [(row["phone"], row["kind"]) for row in found]


def test_a_code_to_sign_in_is_texted(grower: Person, live_database: Database) -> None:
    answer = send()

    assert answer.status == 202
    assert set(answer.data) == {"challengeId", "expiresAt", "resendAfter"}
    row = challenge_row(live_database, answer)
    assert (row["phone"], row["purpose"], row["user_id"]) == (PHONE, "login", grower.id)
    assert (row["attempts"], row["sends"], row["verified_at"]) == (0, 1, None)
    assert (row["expires_at"] - row["created_at"]).total_seconds() == 600
    moments = [datetime.fromisoformat(answer.data[name]) for name in ("resendAfter", "expiresAt")]
    assert (moments[1] - moments[0]).total_seconds() == 540
    assert texts(live_database) == [(PHONE, "code")]


@pytest.mark.parametrize(
    ("person", "purpose", "kind"),
    [
        (GROWER, "login", "code"),
        (GROWER, "password_reset", "code"),
        (replace(GROWER, two_factor_enabled=True), "login", "password_first"),
        (replace(GROWER, two_factor_enabled=True), "password_reset", "code"),
        (replace(GROWER, status="blocked"), "login", None),
        (replace(GROWER, status="blocked"), "password_reset", None),
        (replace(GROWER, status="pending"), "login", None),
        (None, "login", None),
        (None, "password_reset", None),
    ],
)
def test_who_gets_which_text_and_whose_the_challenge_is(
    live_database: Database, person: Person | None, purpose: str, kind: str | None
) -> None:
    if person is not None:
        register(live_database, person)

    answer = send(purpose=purpose)

    assert texts(live_database) == ([(PHONE, kind)] if kind else [])
    owner = person.id if person and kind == "code" else None
    assert challenge_row(live_database, answer)["user_id"] == owner


@pytest.mark.parametrize("purpose", ["login", "password_reset"])
@pytest.mark.parametrize(
    "person",
    [
        None,
        replace(GROWER, status="blocked"),
        replace(GROWER, two_factor_enabled=True),
    ],
)
def test_known_and_unknown_numbers_are_answered_alike_for_the_same_work(
    live_database: Database, sqs: LocalSqs, purpose: str, person: Person | None
) -> None:
    known = register(live_database, replace(GROWER, id=uuid4(), phone="+254711000010", email=None))
    if person is not None:
        register(live_database, person)
    answers, work = [], []

    for phone in (known.phone, PHONE):
        sqs.calls.clear()
        with count_statements(live_database) as traffic:
            answers.append(send(phone, purpose))
        calls = [(name, sorted(call), len(call["MessageBody"])) for name, call in sqs.calls]
        work.append((traffic.statements, traffic.round_trips, traffic.commits, calls))

    first, second = answers
    assert first.status == second.status == 202
    assert first.headers.keys() == second.headers.keys()
    assert first.data.keys() == second.data.keys()
    assert len(first.body) == len(second.body)
    assert work[0] == work[1]
    assert [name for name, *_ in work[0][3]] == ["SendMessage"]


def test_it_takes_two_round_trips(grower: Person, live_database: Database) -> None:
    send(UNKNOWN)
    with count_statements(live_database) as traffic:
        assert send().status == 202
    assert (len(traffic.statements), traffic.round_trips) == (1, 2)


def test_neither_log_nor_queue_nor_database_hold_the_code(
    grower: Person, live_database: Database, sqs: LocalSqs, log: Log
) -> None:
    answer = send()

    code = code_of(answer)
    ((message_id,),) = [row.values() for row in rows(live_database, "SELECT id FROM sms_messages")]
    (_, sent), *_ = sqs.calls
    assert sent["MessageBody"] == str(message_id)
    assert code not in log.text
    assert PHONE not in log.text
    assert f'"{code}"' not in answer.body.decode()
    for table in ("otp_challenges", "otp_phones", "otp_counters", "sms_messages", "change_log"):
        for row in rows(live_database, f"SELECT to_jsonb(t)::text AS content FROM {table} AS t"):
            assert f'"{code}"' not in row["content"]


def test_a_queue_that_is_down_does_not_keep_the_answer(
    grower: Person, live_database: Database, sqs: LocalSqs
) -> None:
    sqs.refusing = True
    assert send().status == 202
    assert texts(live_database) == [(PHONE, "code")]


def test_only_a_challenge_that_was_kept_is_sent(
    grower: Person, live_database: Database, sqs: LocalSqs
) -> None:
    opened: list[OpenedChallenge] = []

    def open_(connection: Connection) -> OpenedChallenge:
        opened.append(open_challenge(connection, phone=PHONE, purpose="login", ip="192.0.2.7"))
        return opened[-1]

    def at_the_second_try(work: Work) -> ChallengeView:
        with live_database.engine.connect() as connection:
            work(connection)
            connection.rollback()
        return live_database.transact(work)

    def by_another_request(work: Work) -> ChallengeView:
        with live_database.engine.connect() as connection:
            work(connection)
            connection.rollback()
        return ChallengeView.of(replace(opened[0], id=uuid4()))

    assert open_and_wake(at_the_second_try, open_).challenge_id == opened[1].id
    let_pass(live_database, "61 seconds")
    open_and_wake(by_another_request, open_)

    assert [call["MessageBody"] for _, call in sqs.calls] == [str(opened[1].message_id)]


def test_a_new_phone_is_the_callers_to_prove(grower: Person, live_database: Database) -> None:
    answer = send(UNKNOWN, "phone_change", authorizer=signed_in(grower.id))

    row = challenge_row(live_database, answer)
    assert (row["phone"], row["user_id"]) == (UNKNOWN, grower.id)
    assert texts(live_database) == [(UNKNOWN, "code")]


@pytest.mark.parametrize("authorizer", [None, {}, {"failure": "UNAUTHORIZED"}])
def test_a_new_phone_needs_a_caller(
    grower: Person, live_database: Database, authorizer: dict[str, Any] | None
) -> None:
    answer = send(UNKNOWN, "phone_change", authorizer=authorizer)
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    assert texts(live_database) == []


@pytest.mark.parametrize("status", ["gone", "blocked"])
def test_a_caller_who_is_no_more_gets_no_text(live_database: Database, status: str) -> None:
    caller = uuid4()
    if status == "blocked":
        caller = register(live_database, replace(GROWER, status=status)).id

    assert send(UNKNOWN, "phone_change", authorizer=signed_in(caller)).status == 202
    assert texts(live_database) == []


@pytest.mark.parametrize("failure", ["TOKEN_EXPIRED", "UNAUTHORIZED", "UNAVAILABLE"])
def test_signing_in_does_not_mind_a_token_that_is_no_good(grower: Person, failure: str) -> None:
    assert send(authorizer={"failure": failure}).status == 202


def test_nobody_asks_for_anothers_phone_change(grower: Person, live_database: Database) -> None:
    boss = register(live_database, replace(GROWER, id=uuid4(), phone=UNKNOWN, email=None))
    answer = send(
        "+254711000011", "phone_change", authorizer=signed_in(grower.id), userId=str(boss.id)
    )
    assert answer.status == 400


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"phone": "0711"}, "phone"),
        ({"phone": "+254 20 2345678"}, "phone"),
        ({"phone": 254711000009}, "phone"),
        ({"phone": None}, "phone"),
        ({"phone": ["+254711000009"]}, "phone"),
        ({"phone": "+2547110\u0660\u0660\u0660\u0660\u0661"}, "phone"),
        ({"phone": "+254711000009" + " " * 20}, "phone"),
        ({"purpose": "register"}, "purpose"),
        ({"purpose": "second_factor"}, "purpose"),
        ({"purpose": "LOGIN"}, "purpose"),
        ({"purpose": None}, "purpose"),
        ({"roles": ["admin"]}, "roles"),
        ({"kind": "code"}, "kind"),
    ],
)
def test_a_malformed_request_is_told_what_is_wrong(
    live_database: Database, content: dict[str, Any], field: str
) -> None:
    answer = send(**({"phone": PHONE, "purpose": "login"} | content))

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert rows(live_database, "SELECT * FROM otp_phones") == []


def test_a_country_without_texts_is_refused(live_database: Database) -> None:
    answer = send("+1 212 555 0123")
    assert (answer.status, answer.error["code"]) == (422, "COUNTRY_NOT_SUPPORTED")
    assert rows(live_database, "SELECT * FROM otp_counters") == []


@pytest.mark.parametrize("name", ["OTP_DEV_MODE", "OTP_FIXED_CODES"])
def test_production_does_not_start_with_settings_for_development(
    grower: Person, environment: pytest.MonkeyPatch, live_database: Database, name: str
) -> None:
    fixed = '{"+254711000009": {"code": "000000", "until": "2999-12-31"}}'
    environment.setenv("ENVIRONMENT", "production")
    environment.setenv(name, "true" if name == "OTP_DEV_MODE" else fixed)

    assert send().status == 500
    assert rows(live_database, "SELECT * FROM otp_challenges") == []


def test_a_repeated_request_gets_its_first_answer_and_no_second_text(
    grower: Person, live_database: Database, sqs: LocalSqs
) -> None:
    headers = {"idempotency-key": "5b1d2b1e"}
    first, second = send(headers=headers), send(headers=headers)

    assert first.status == second.status == 202
    assert first.data == second.data
    assert len(sqs.calls) == 1
    assert texts(live_database) == [(PHONE, "code")]
    reused = send(UNKNOWN, headers=headers)
    assert (reused.status, reused.error["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


def test_a_refused_request_may_be_repeated_under_its_key(
    grower: Person, live_database: Database
) -> None:
    headers = {"idempotency-key": "5b1d2b1e"}
    send()
    assert send(headers=headers).status == 429

    let_pass(live_database, "60 seconds")
    assert send(headers=headers).status == 202


def test_a_failing_request_shows_nothing_of_what_went_wrong(
    grower: Person, live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OTP_MINUTES", "many")
    answer = send()
    assert answer.status == 500
    assert set(without_meta(answer)["error"]) == {"code", "message", "details"}
    assert "OTP_MINUTES" not in answer.body.decode()
