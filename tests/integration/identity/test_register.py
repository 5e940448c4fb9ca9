"""POST /api/v1/auth/register, on a real database: no account before its number is proved."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import argon2
import pytest

from fieldgate.db.engine import Database
from fieldgate.tokens import verify as verify_token
from identity import store
from identity.passwords import check_password
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.one_time_codes import (
    PASSWORD,
    PHONE,
    change,
    code_of,
    id_of,
    let_pass,
    resend,
    rows,
    sign_up,
    verify,
    without_meta,
    wrong_code_of,
)
from tests.support.people import Person, register

GROWER = Person("", None)


def users(database: Database) -> list[dict[str, Any]]:
    return rows(database, "SELECT * FROM users ORDER BY created_at")


def texts(database: Database) -> list[str]:
    return [row["kind"] for row in rows(database, "SELECT kind FROM sms_messages")]


def test_an_account_begins_with_the_right_code(live_database: Database) -> None:
    challenge = sign_up("0711 000 009", email=" Two@Farm.example.org ")
    assert challenge.status == 202
    assert set(challenge.data) == {"challengeId", "expiresAt", "resendAfter"}
    assert users(live_database) == []
    assert texts(live_database) == ["code"]

    answer = verify(challenge, code_of(challenge))

    assert answer.status == 200
    (user,) = users(live_database)
    assert answer.data["user"] == {
        "id": str(user["id"]),
        "name": "Grower Two",
        "phone": PHONE,
        "email": "Two@Farm.example.org",
        "roles": ["farmer"],
        "permissions": ["media:read", "media:write"],
        "twoFactorEnabled": False,
    }
    assert (user["status"], user["two_factor_enabled"]) == ("active", False)
    assert check_password(user["password_hash"], PASSWORD).correct


def test_the_first_token_has_the_version_that_the_database_has(live_database: Database) -> None:
    challenge = sign_up()
    claims = verify_token(verify(challenge, code_of(challenge)).data["accessToken"])

    user = live_database.read(lambda connection: store.find_by_phone(connection, PHONE))
    assert user is not None
    assert (claims["sub"], claims["pv"]) == (str(user.id), user.permission_version)
    assert (claims["roles"], claims["permissions"]) == (user.roles, sorted(user.permissions))


def test_the_role_of_those_who_register_can_be_set(
    live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("REGISTRATION_ROLE", "sponsor")
    challenge = sign_up()
    assert verify(challenge, code_of(challenge)).data["user"]["roles"] == ["sponsor"]


def test_a_known_number_gets_the_same_answer_for_the_same_work(live_database: Database) -> None:
    person = register(live_database, replace(GROWER, phone="+254711000010", email=None))
    answers, work = [], []
    for phone in (PHONE, person.phone):
        with count_statements(live_database) as traffic:
            answers.append(sign_up(phone))
        work.append((traffic.statements, traffic.round_trips, traffic.commits))

    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].data.keys() == answers[1].data.keys()
    assert len(answers[0].body) == len(answers[1].body)
    assert work[0] == work[1]
    assert work[0][1] == 2
    assert texts(live_database) == ["code", "already_registered"]


def test_the_challenge_of_a_known_number_cannot_be_won(live_database: Database) -> None:
    register(live_database, GROWER)
    challenge = sign_up()
    answer = verify(challenge, code_of(challenge))

    assert (answer.status, answer.error["code"]) == (401, "INVALID_CREDENTIALS")
    (user,) = users(live_database)
    assert (user["name"], user["password_hash"]) == ("Grower One", None)
    assert rows(live_database, "SELECT * FROM registrations") == []


def test_a_number_that_got_an_account_meanwhile_is_a_conflict(live_database: Database) -> None:
    challenge = sign_up()
    register(live_database, GROWER)

    answer = verify(challenge, code_of(challenge))

    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert [user["name"] for user in users(live_database)] == ["Grower One"]
    assert rows(live_database, "SELECT * FROM sessions") == []
    assert verify(challenge, code_of(challenge)).status == 410


def test_an_email_that_is_anothers_is_left_out(live_database: Database) -> None:
    register(live_database, replace(GROWER, phone="+254711000010"))
    challenge = sign_up(email="GROWER@farm.example.org")
    answer = verify(challenge, code_of(challenge))
    assert (answer.status, answer.data["user"]["email"]) == (200, None)


def test_an_email_that_is_anothers_is_not_told(live_database: Database) -> None:
    register(live_database, replace(GROWER, phone="+254711000010"))
    known, unknown = sign_up(email=GROWER.email), sign_up("+254711000011", email="x@y.example")
    assert (known.status, known.data.keys()) == (unknown.status, unknown.data.keys())


def test_nobody_prepares_an_account_for_anothers_number(live_database: Database) -> None:
    """Who registers a number first, with a password, has nothing once its owner registers it."""
    prepared = sign_up(password="known to another")
    let_pass(live_database, "61 seconds")
    own = sign_up()
    assert verify(own, code_of(own)).status == 200

    assert verify(prepared, code_of(prepared)).status == 409
    (user,) = users(live_database)
    assert check_password(user["password_hash"], PASSWORD).correct


def test_wrong_codes_make_no_account(live_database: Database) -> None:
    challenge = sign_up()
    for _ in range(5):
        assert verify(challenge, wrong_code_of(challenge)).status == 401
    assert verify(challenge, code_of(challenge)).status == 410
    assert users(live_database) == []


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"roles": ["admin"]}, "roles"),
        ({"role": "admin"}, "role"),
        ({"permissions": ["users:write"]}, "permissions"),
        ({"status": "active"}, "status"),
        ({"id": str(uuid4())}, "id"),
        ({"userId": str(uuid4())}, "userId"),
        ({"permissionVersion": 7}, "permissionVersion"),
        ({"permission_version": 7}, "permission_version"),
        ({"twoFactorEnabled": False}, "twoFactorEnabled"),
        ({"passwordHash": "x"}, "passwordHash"),
        ({"__proto__": {"roles": ["admin"]}}, "__proto__"),
        ({"phone": "0711"}, "phone"),
        ({"name": "  "}, "name"),
        ({"name": None}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": {"first": "x"}}, "name"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 1025}, "password"),
        ({"password": "maize\udfff and beans"}, "password"),
        ({"email": "nobody"}, "email"),
    ],
)
def test_what_is_not_ones_own_to_say_is_refused(
    live_database: Database, content: dict[str, Any], field: str
) -> None:
    answer = sign_up(**({"phone": PHONE} | content))

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert rows(live_database, "SELECT * FROM otp_challenges") == []


def test_a_country_without_texts_is_refused_before_the_password_is_hashed(
    live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(argon2.PasswordHasher, "hash", lambda _, typed: hashed.append(typed))

    answer = sign_up("+1 212 555 0123")

    assert (answer.status, answer.error["code"]) == (422, "COUNTRY_NOT_SUPPORTED")
    assert hashed == []


def test_a_password_too_short_is_told_in_words_for_a_person(live_database: Database) -> None:
    (detail,) = sign_up(password="seven..").error["details"]
    assert detail == {"field": "password", "message": "must have at least 8 characters"}


def test_the_password_is_in_no_answer_and_no_log(live_database: Database, log: Log) -> None:
    challenge = sign_up()
    refused = sign_up(password="x" * 2000)
    assert PASSWORD not in log.text + challenge.body.decode()
    assert "xxxx" not in log.text + refused.body.decode()


def test_a_repeated_request_is_done_once(live_database: Database) -> None:
    headers = {"idempotency-key": "5b1d2b1e"}
    first, second = sign_up(headers=headers), sign_up(headers=headers)
    assert first.data == second.data
    assert texts(live_database) == ["code"]
    kept = rows(live_database, "SELECT to_jsonb(t)::text AS content FROM idempotency_keys AS t")
    assert PASSWORD not in kept[0]["content"]


def test_the_notice_of_a_known_number_is_sent_again_as_a_notice(live_database: Database) -> None:
    register(live_database, GROWER)
    challenge = sign_up()
    let_pass(live_database, "61 seconds")
    assert resend(challenge).status == 202
    assert texts(live_database) == ["already_registered"] * 2


def test_an_account_is_in_the_change_log_without_its_secrets(live_database: Database) -> None:
    challenge = sign_up(email="two@farm.example.org")
    verify(challenge, code_of(challenge))

    entries = rows(
        live_database,
        "SELECT entity, action, after::text FROM change_log WHERE request_id IS NOT NULL",
    )
    assert {(entry["entity"], entry["action"]) for entry in entries} == {
        ("users", "insert"),
        ("user_roles", "insert"),
        ("users", "update"),
        ("sessions", "insert"),
    }
    for secret in (PHONE, "two@farm", "argon2"):
        assert not any(secret in entry["after"] for entry in entries)


def test_details_of_a_registration_go_with_its_challenge(live_database: Database) -> None:
    challenge = sign_up()
    change(live_database, "DELETE FROM otp_challenges WHERE id = :id", id=id_of(challenge))
    assert rows(live_database, "SELECT * FROM registrations") == []
    assert without_meta(verify(challenge, code_of(challenge)))["error"]["code"] == "GONE"
