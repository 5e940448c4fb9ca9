"""POST /api/v1/auth/login, on a real database."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from fieldgate.db.engine import Database
from fieldgate.tokens import verify
from identity import login
from identity.sessions import RefreshToken
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.log import Log
from tests.support.password_logins import GROWER, PASSWORD, WEAK, assert_refused, sign_in
from tests.support.people import Person, register
from tests.support.ports import free_port


def without_meta(answer: Answer) -> Any:
    return {name: value for name, value in answer.json().items() if name != "meta"}


def test_phone_and_password_give_tokens(grower: Person) -> None:
    answer = sign_in()

    assert answer.status == 200
    assert set(answer.data) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    assert (answer.data["tokenType"], answer.data["expiresIn"]) == ("Bearer", 3600)
    session_id = RefreshToken.parse(answer.data["refreshToken"]).session_id
    assert verify(answer.data["accessToken"])["sid"] == str(session_id)
    assert answer.data["user"] == {
        "id": str(grower.id),
        "name": "Grower One",
        "phone": "+254711000009",
        "email": "Grower@Farm.Example.org",
        "roles": ["agent"],
        "permissions": ["media:read", "media:write", "stock:read", "stock:write"],
        "twoFactorEnabled": False,
    }
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "identifier",
    [
        "grower@farm.example.org",
        "GROWER@FARM.EXAMPLE.ORG",
        "Grower@Farm.Example.org",
        "  grower@farm.example.org\n",
        " +254711000009\t",
        "254711000009",
        "0711000009",
        "00254711000009",
        "+254 711 000 009",
    ],
)
def test_an_identifier_is_taken_however_it_is_written(grower: Person, identifier: str) -> None:
    assert sign_in(identifier).data["user"]["id"] == str(grower.id)


def test_the_token_carries_roles_and_permissions(live_database: Database) -> None:
    boss = register(live_database, replace(GROWER, roles=("warehouse_manager", "admin")))

    claims = verify(sign_in().data["accessToken"])

    assert claims["sub"] == str(boss.id)
    assert claims["roles"] == ["admin", "warehouse_manager"]
    assert {"media:read_all", "users:write", "media:read"} <= set(claims["permissions"])
    assert len(claims["permissions"]) == len(set(claims["permissions"]))
    assert claims["pv"] == 2


def test_a_user_without_roles_may_sign_in_and_nothing_else(live_database: Database) -> None:
    register(live_database, replace(GROWER, roles=()))

    claims = verify(sign_in().data["accessToken"])
    assert (claims["roles"], claims["permissions"]) == ([], [])


def test_a_wrong_password_and_an_unknown_user_are_answered_alike(grower: Person) -> None:
    wrong, unknown = sign_in(password="wrong"), sign_in("+254711999999")

    assert_refused(wrong)
    assert without_meta(wrong) == without_meta(unknown)
    assert wrong.headers.keys() == unknown.headers.keys()


@pytest.mark.parametrize(
    "password", [PASSWORD + " ", " " + PASSWORD, PASSWORD.upper(), "x", " ", "a\0b", "é" * 1024]
)
def test_only_the_very_password_is_right(grower: Person, password: str) -> None:
    assert_refused(sign_in(password=password))


@pytest.mark.parametrize(
    "identifier",
    [
        "+254711000009\0",
        "\0\0\0",
        "   ",
        "711000009 ext. 1",
        "+" + "\N{ARABIC-INDIC DIGIT TWO}" * 12,
        "' OR '1'='1",
        "grower@farm.example.org' --",
        "%",
        "___",
        "%@farm.example.org",
        "grower@farm.example.or\N{FULLWIDTH LATIN SMALL LETTER G}",
        "x" * 254,
    ],
)
def test_no_other_identifier_is_the_users(grower: Person, identifier: str) -> None:
    if len(identifier) >= 3:
        assert_refused(sign_in(identifier))
    else:
        assert sign_in(identifier).status == 400


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"identifier": "ab"}, "identifier"),
        ({"identifier": "x" * 255}, "identifier"),
        ({"identifier": None}, "identifier"),
        ({"identifier": 254711000009}, "identifier"),
        ({"identifier": ["+254711000009"]}, "identifier"),
        ({"identifier": "am\ud800na@farm.example.org"}, "identifier"),
        ({"password": "maize\udfff"}, "password"),
        ({"password": "\ud800"}, "password"),
        ({"password": ""}, "password"),
        ({"password": "x" * 1025}, "password"),
        ({"password": {"$ne": ""}}, "password"),
        ({"profile": "forever"}, "profile"),
        ({"roles": ["admin"]}, "roles"),
    ],
)
def test_credentials_of_another_shape_are_invalid(
    environment: pytest.MonkeyPatch, content: dict[str, Any], field: str
) -> None:
    body = {"identifier": "+254711000009", "password": PASSWORD} | content
    answer = call(login.handler, "POST", "/api/v1/auth/login", content=body)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert PASSWORD.encode() not in answer.body


@pytest.mark.parametrize("status", ["blocked", "pending"])
def test_who_is_not_active_may_not_sign_in(live_database: Database, status: str) -> None:
    register(live_database, replace(GROWER, status=status))

    answer = sign_in()
    assert (answer.status, answer.error["code"]) == (403, "ACCOUNT_NOT_ACTIVE")
    # Who does not know the password does not learn that there is such an account.
    assert_refused(sign_in(password="wrong"))


@pytest.mark.parametrize("stored", [None, "", "x", "$argon2id$v=19$", "$2b$12$damaged", PASSWORD])
def test_without_a_whole_hash_nobody_gets_in(live_database: Database, stored: str | None) -> None:
    register(live_database, replace(GROWER, password_hash=stored))

    assert_refused(sign_in())
    assert_refused(sign_in(password="wrong"))


def test_the_wrong_password_costs_one_round_trip(live_database: Database, grower: Person) -> None:
    for credentials in ((GROWER.phone, "wrong"), ("+254711999999", "x")):
        with count_statements(live_database) as traffic:
            sign_in(*credentials)

        assert traffic.round_trips == 1
        assert (len(traffic.statements), traffic.commits) == (1, 0)


def test_the_right_one_costs_a_read_and_a_transaction(
    live_database: Database, grower: Person
) -> None:
    with count_statements(live_database) as traffic:
        assert sign_in().status == 200

    assert traffic.round_trips == 4
    assert (len(traffic.statements), traffic.commits) == (3, 1)


def test_guessing_one_account_is_slowed_down_however_it_is_written(grower: Person) -> None:
    ways = ["+254711000009", "0711000009", "254711000009", "+254 711 000 009", " 0711 000009 "]
    answers = [sign_in(way, "wrong").status for way in ways * 2]
    assert answers == [401] * 10

    refused = sign_in("(0711) 000-009")
    assert (refused.status, refused.error["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) > 0
    assert sign_in("grower@farm.example.org").status == 200


def test_nothing_secret_is_logged(live_database: Database, grower: Person, log: Log) -> None:
    data = sign_in().data
    tokens = data["accessToken"], data["refreshToken"]
    sign_in(password="another password")

    for secret in (PASSWORD, "another password", *tokens, GROWER.phone, GROWER.email):
        assert str(secret) not in log.text


def test_a_hash_that_the_database_refuses_is_a_500_that_shows_nothing(
    live_database: Database, log: Log
) -> None:
    register(live_database, replace(GROWER, password_hash=WEAK))
    block = text("ALTER TABLE users ADD CONSTRAINT old CHECK (password_hash LIKE '%m=8,%')")
    live_database.transact(lambda connection: connection.execute(block))

    answer = sign_in()

    assert answer.status == 500
    assert answer.error["code"] == "INTERNAL_ERROR"
    assert "constraint" not in answer.body.decode()
    assert "argon2id$v" not in log.text


def test_without_a_database_it_is_503_in_the_envelope(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x")

    answer = sign_in()

    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
    assert b"hunter2" not in answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_a_signing_key_it_is_500_and_says_nothing(
    grower: Person, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("JWT_SIGNING_KEY")

    answer = sign_in()

    assert (answer.status, answer.error["code"]) == (500, "INTERNAL_ERROR")
    assert b"JWT" not in answer.body
