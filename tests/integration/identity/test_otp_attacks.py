"""What must not pass for a code, on a real database."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from fieldgate.db.engine import Database
from identity import verify_otp
from tests.support.database import count_statements
from tests.support.gateway import call, signed_in
from tests.support.log import Log
from tests.support.one_time_codes import (
    PHONE,
    assert_gone,
    assert_wrong,
    attempts,
    change,
    code_of,
    let_pass,
    rows,
    send,
    set_password,
    set_phone,
    verify,
    without_meta,
    wrong_code_of,
)
from tests.support.people import Person, begin_session, register

GROWER = Person("", None, roles=("agent", "farmer"))
OTHER = "+254711000010"


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)


@pytest.mark.parametrize(
    "code",
    [
        123456,
        123456.0,
        None,
        True,
        "",
        "12345",
        "1234567",
        " 123456",
        "123456 ",
        "123 456",
        "123456\n",
        "+12345",
        "1e5000",
        "\u0661\u0662\u0663\u0664\u0665\u0666",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
        ["123456"],
        {"code": "123456"},
        {"$ne": None},
    ],
)
def test_what_is_not_six_ascii_digits_is_not_compared(
    grower: Person, live_database: Database, code: Any
) -> None:
    challenge = send()
    answer = verify(challenge, code)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert attempts(live_database, challenge) == 0


def test_the_digits_of_the_right_code_in_another_script_are_refused(grower: Person) -> None:
    challenge = send()
    arabic = "".join(chr(0x0660 + int(digit)) for digit in code_of(challenge))
    assert verify(challenge, arabic).status == 400
    assert verify(challenge, int(code_of(challenge))).status == 400
    assert verify(challenge, f" {code_of(challenge)}").status == 400
    assert verify(challenge, code_of(challenge)).status == 200


def test_leading_zeros_belong_to_a_code(grower: Person, live_database: Database) -> None:
    send()
    # A challenge whose code begins with a zero, in place of this one.
    zero = next(uuid for uuid in (uuid4() for _ in range(1000)) if code_of(uuid).startswith("0"))
    change(live_database, "DELETE FROM sms_messages")
    change(live_database, "UPDATE otp_challenges SET id = :zero", zero=zero)

    assert verify(zero, code_of(zero).lstrip("0")).status == 400
    assert verify(zero, code_of(zero)).status == 200


@pytest.mark.parametrize(
    "more", [{"roles": ["admin"]}, {"userId": str(uuid4())}, {"purpose": "login"}, {"phone": OTHER}]
)
def test_nothing_else_may_be_said(grower: Person, more: dict[str, Any]) -> None:
    challenge = send()
    assert verify(challenge, code_of(challenge), **more).status == 400


@pytest.mark.parametrize("challenge_id", ["", "1", "x" * 36, "' OR true --"])
def test_an_id_that_is_none_is_refused(live_database: Database, challenge_id: str) -> None:
    content = {"challengeId": challenge_id, "code": "123456"}
    assert call(verify_otp.handler, "POST", "/api/v1/otp/verify", content=content).status == 400


def test_an_unknown_challenge_is_gone(live_database: Database) -> None:
    unknown = uuid4()
    assert_gone(verify(unknown, code_of(unknown)))


def test_the_code_of_another_challenge_is_wrong(grower: Person, live_database: Database) -> None:
    old = send()
    let_pass(live_database, "61 seconds")
    new = send()
    assert_wrong(verify(new, code_of(old)))
    # Each goes on being good for its own.
    assert verify(old, code_of(old)).status == 200


def test_the_code_of_another_phone_is_wrong(grower: Person, live_database: Database) -> None:
    register(live_database, replace(GROWER, id=uuid4(), phone=OTHER, email=None))
    mine, theirs = send(OTHER), send()
    assert_wrong(verify(theirs, code_of(mine)))


@pytest.mark.parametrize("purpose", ["password_reset", "phone_change"])
def test_the_right_code_of_another_purpose_is_a_wrong_one(
    grower: Person, live_database: Database, purpose: str
) -> None:
    session_id = begin_session(live_database, grower).session_id
    authorizer = signed_in(grower.id, session_id=session_id)
    challenge = send(OTHER if purpose == "phone_change" else PHONE, purpose, authorizer=authorizer)

    assert_wrong(verify(challenge, code_of(challenge)))
    assert attempts(live_database, challenge) == 1
    # And is not used up by it.
    if purpose == "phone_change":
        assert set_phone(challenge, code_of(challenge), authorizer).status == 200
    else:
        assert set_password(challenge, code_of(challenge), "sorghum & millet").status == 204


def test_the_code_to_sign_in_does_nothing_else(grower: Person, live_database: Database) -> None:
    challenge = send()
    assert_wrong(set_password(challenge, code_of(challenge), "sorghum & millet"))
    assert_wrong(set_phone(challenge, code_of(challenge), signed_in(grower.id)))
    assert attempts(live_database, challenge) == 2
    assert rows(live_database, "SELECT phone, password_hash FROM users") == [
        {"phone": PHONE, "password_hash": None}
    ]


def test_a_challenge_of_an_unknown_number_cannot_be_won(live_database: Database) -> None:
    challenge = send()
    # Not even by who knows what was never sent.
    assert_wrong(verify(challenge, code_of(challenge)))
    for _ in range(4):
        assert_wrong(verify(challenge, wrong_code_of(challenge)))
    assert_gone(verify(challenge, wrong_code_of(challenge)))


def test_wrong_codes_for_known_and_unknown_numbers_are_answered_alike_for_the_same_work(
    grower: Person, live_database: Database
) -> None:
    answers, work = [], []
    for phone in (PHONE, OTHER):
        challenge = send(phone)
        with count_statements(live_database) as traffic:
            answers.append(verify(challenge, wrong_code_of(challenge)))
        work.append((traffic.statements, traffic.round_trips, traffic.commits))
    assert without_meta(answers[0]) == without_meta(answers[1])
    assert work[0] == work[1]


def test_000000_is_no_code_in_production(grower: Person, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ENVIRONMENT", "production")
    challenge = send()
    assert code_of(challenge) != "000000"
    assert_wrong(verify(challenge, "000000"))


def test_a_fixed_code_is_for_the_listed_number_and_is_counted(
    grower: Person, live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    fixed = {PHONE: {"code": "000000", "until": "2999-12-31"}}
    environment.setenv("OTP_FIXED_CODES", json.dumps(fixed))
    register(live_database, replace(GROWER, id=uuid4(), phone=OTHER, email=None))

    theirs = send(OTHER)
    assert_wrong(verify(theirs, "000000"))
    challenge = send()
    assert_wrong(verify(challenge, "111111"))
    assert verify(challenge, "000000").status == 200
    assert_gone(verify(challenge, "000000"))


@pytest.mark.parametrize("name", ["OTP_DEV_MODE", "OTP_FIXED_CODES"])
def test_production_does_not_start_with_settings_for_development(
    live_database: Database, environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv("ENVIRONMENT", "production")
    fixed = json.dumps({PHONE: {"code": "000000", "until": "2999-12-31"}})
    environment.setenv(name, "true" if name == "OTP_DEV_MODE" else fixed)

    with count_statements(live_database) as traffic:
        assert verify(uuid4(), "000000").status == 500
    assert traffic.statements == []


def test_neither_codes_nor_tokens_are_logged(grower: Person, log: Log) -> None:
    challenge = send()
    wrong, code = wrong_code_of(challenge), code_of(challenge)
    verify(challenge, wrong)
    answer = verify(challenge, code)

    for secret in (code, wrong, answer.data["accessToken"], answer.data["refreshToken"], PHONE):
        assert secret not in log.text
