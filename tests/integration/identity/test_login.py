"""POST /api/v1/auth/login, on a real database."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import bcrypt
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy import Connection, func, select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import users
from fieldgate.db.tables.one_time_codes import otp_challenges
from fieldgate.db.tables.sessions import sessions
from fieldgate.db.url import parse_url
from fieldgate.errors import Forbidden
from fieldgate.tokens import verify
from identity import login, session_store, signing_in
from identity.passwords import Verdict, check_password, hash_password
from identity.sessions import NewSession, RefreshToken
from tests.conftest import empty_valkey
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.log import Log
from tests.support.one_time_codes import change, code_of, let_pass, rows, send
from tests.support.one_time_codes import verify as verify_code
from tests.support.people import Person, register
from tests.support.ports import free_port
from tests.support.racing import outcomes

PASSWORD = "maize & beans"
GROWER = Person(PASSWORD, hash_password(PASSWORD))
WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
OTHERS = hash_password("another password")
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)


def sign_in(identifier: Any = GROWER.phone, password: Any = PASSWORD, **more: Any) -> Answer:
    content = {"identifier": identifier, "password": password}
    return call(login.handler, "POST", "/api/v1/auth/login", content=content | more)


def without_meta(answer: Answer) -> Any:
    return {name: value for name, value in answer.json().items() if name != "meta"}


def stored_hash(database: Database, person: Person) -> str:
    query = select(users.c.password_hash).where(users.c.id == person.id)
    return str(database.read(lambda connection: connection.scalar(query)))


def assert_refused(answer: Answer) -> None:
    assert answer.status == 401
    assert answer.error == {
        "code": "INVALID_CREDENTIALS",
        "message": "The identifier or the password is wrong.",
        "details": [],
    }


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


@pytest.mark.parametrize("stored", [BCRYPT, WEAK], ids=["bcrypt", "argon2 of old"])
def test_an_old_hash_is_replaced_at_sign_in(live_database: Database, stored: str) -> None:
    person = register(live_database, replace(GROWER, password_hash=stored))

    assert_refused(sign_in(password="wrong"))
    assert stored_hash(live_database, person) == stored
    assert sign_in().status == 200

    now = stored_hash(live_database, person)
    assert extract_parameters(now) == RFC_9106_LOW_MEMORY
    assert sign_in().status == 200
    assert stored_hash(live_database, person) == now


def test_a_replaced_hash_is_in_the_change_log_with_its_request_and_masked(
    live_database: Database,
) -> None:
    person = register(live_database, replace(GROWER, password_hash=WEAK))
    answer = sign_in()

    query = text(
        "SELECT actor, request_id, changed, row_to_json(change_log)::text FROM change_log"
        " WHERE entity = 'users' AND 'password_hash' = ANY (changed) AND action = 'update'"
    )
    (row,) = live_database.read(lambda connection: connection.execute(query).all())
    assert row[0] == str(person.id)
    assert row[1] == answer.headers["x-request-id"]
    assert "argon2" not in row[3]


def test_a_password_changed_meanwhile_is_not_put_back(live_database: Database) -> None:
    from identity import store

    person = register(live_database, replace(GROWER, password_hash=WEAK))
    seen = live_database.read(lambda connection: store.find_by_id(connection, person.id))
    assert seen is not None
    changed = update(users).where(users.c.id == person.id).values(password_hash="newer")
    live_database.transact(lambda connection: connection.execute(changed))

    live_database.transact(lambda connection: store.replace_password_hash(connection, seen, "old"))

    assert stored_hash(live_database, person) == "newer"


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


def test_replacing_a_hash_costs_no_more(live_database: Database) -> None:
    register(live_database, replace(GROWER, password_hash=WEAK))

    with count_statements(live_database) as traffic:
        assert sign_in().status == 200

    assert traffic.round_trips == 4
    assert (len(traffic.statements), traffic.commits, traffic.rollbacks) == (3, 1, 0)


@pytest.mark.parametrize("stored", [BCRYPT, WEAK], ids=["bcrypt", "argon2 of old"])
@pytest.mark.parametrize("two_factors", [False, True])
def test_a_hash_replaced_by_another_request_meanwhile_is_of_the_same_password(
    live_database: Database, monkeypatch: pytest.MonkeyPatch, stored: str, two_factors: bool
) -> None:
    register(live_database, replace(GROWER, password_hash=stored, two_factor_enabled=two_factors))
    anew = update(users).where(users.c.password_hash == stored)

    def checked(*credentials: Any) -> Verdict:
        live_database.transact(
            lambda connection: connection.execute(anew.values(password_hash=GROWER.password_hash))
        )
        return check_password(*credentials)

    monkeypatch.setattr(signing_in, "check_password", checked)

    assert sign_in().status == 200
    begun = select(func.count()).select_from(otp_challenges if two_factors else sessions)
    assert live_database.read(lambda connection: connection.scalar(begun)) == 1


def test_twenty_first_logins_at_once_all_succeed(
    live_database: Database, database_url: str
) -> None:
    person = register(live_database, replace(GROWER, password_hash=BCRYPT))

    def work(database: Database) -> str:
        session = NewSession.of("web")
        signing_in.sign_in(database, str(person.phone), PASSWORD, session, ip="192.0.2.7")
        return "in"

    assert outcomes(database_url, [work] * 20) == {"in": 20}

    query = text(
        "SELECT count(*) FROM change_log WHERE entity = 'users' AND 'password_hash' = ANY (changed)"
        " AND action = 'update'"
    )
    assert live_database.read(lambda connection: connection.scalar(query)) == 1
    assert extract_parameters(stored_hash(live_database, person)) == RFC_9106_LOW_MEMORY


def numbers_of_alive(database: Database) -> list[int]:
    """Return which of the sessions that `add_sessions` added are alive; others are -1."""
    query = text(
        "SELECT coalesce(substring(encode(current_hash, 'escape') FROM '^number ([0-9]+)$'), '-1')"
        " FROM sessions WHERE ended_at IS NULL AND expires_at > now() ORDER BY created_at"
    )
    return [int(found) for found in database.read(lambda connection: connection.scalars(query))]


def add_sessions(database: Database, person: Person, numbers: range, **more: str) -> None:
    """Add sessions, the higher the number the newer."""
    values = {"created_at": "now() - interval '1 day' + number * interval '1 minute'"}
    values |= {"expires_at": "now() + interval '1 hour'"} | more
    statement = text(
        f"INSERT INTO sessions (id, user_id, profile, current_hash, {', '.join(values)})"
        f" SELECT uuidv4(), :user, 'web', convert_to('number ' || number, 'UTF8'),"
        f" {', '.join(values.values())}"
        " FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS number"
    )
    parameters = {"user": person.id, "first": numbers.start, "last": numbers.stop - 1}
    database.transact(lambda connection: connection.execute(statement, parameters))


def by_password() -> Answer:
    return sign_in()


def by_code() -> Answer:
    challenge = send()
    return verify_code(challenge, code_of(challenge))


@pytest.mark.parametrize("way", [by_password, by_code])
def test_the_twenty_first_session_ends_the_oldest(
    live_database: Database, grower: Person, way: Callable[[], Answer]
) -> None:
    add_sessions(live_database, grower, range(19))
    assert way().status == 200
    assert numbers_of_alive(live_database) == [*range(19), -1]

    empty_valkey(os.environ["CACHE_URL"])
    change(
        live_database,
        "UPDATE sessions SET created_at = now() - interval '2 days'"
        " WHERE NOT starts_with(encode(current_hash, 'escape'), 'number')",
    )
    let_pass(live_database, "61 seconds")
    assert way().status == 200

    assert numbers_of_alive(live_database) == [*range(19), -1]
    ended = rows(live_database, "SELECT end_reason, count(*) FROM sessions GROUP BY 1 ORDER BY 1")
    assert ended == [
        {"end_reason": "crowded_out", "count": 1},
        {"end_reason": None, "count": 20},
    ]


def test_all_that_are_too_many_end_but_nobody_elses(
    live_database: Database, grower: Person
) -> None:
    other = register(live_database, replace(GROWER, id=uuid4(), phone="+254711000010", email=None))
    add_sessions(live_database, other, range(100, 130))
    add_sessions(live_database, grower, range(50))

    assert sign_in().status == 200

    alive = numbers_of_alive(live_database)
    assert sorted(alive) == [-1, *range(31, 50), *range(100, 130)]
    query = "SELECT count(*) FROM change_log WHERE entity = 'sessions' AND action = 'update'"
    assert rows(live_database, query) == [{"count": 31}]


def test_sessions_that_expired_take_no_place(live_database: Database, grower: Person) -> None:
    add_sessions(live_database, grower, range(19))
    gone = {"created_at": "now() - interval '4 hours'", "expires_at": "now() - interval '1 hour'"}
    add_sessions(live_database, grower, range(50, 60), **gone)

    assert sign_in().status == 200

    assert numbers_of_alive(live_database) == [*range(19), -1]
    query = "SELECT count(ended_at) FROM sessions"
    assert rows(live_database, query) == [{"count": 0}]


def test_thirty_logins_at_once_all_succeed_and_the_next_leaves_twenty_sessions(
    live_database: Database, database_url: str, grower: Person
) -> None:
    add_sessions(live_database, grower, range(40))

    def work(database: Database) -> str:
        session = NewSession.of("web")
        signing_in.sign_in(database, str(grower.phone), PASSWORD, session, ip="192.0.2.7")
        return "in"

    assert outcomes(database_url, [work] * 30) == {"in": 30}

    # None of the newest is ended. Those that began at the same moment don't see each other.
    assert 19 <= len(numbers_of_alive(live_database)) <= 19 + 30
    assert sign_in().status == 200
    assert numbers_of_alive(live_database) == [-1] * 20


def test_a_session_that_somebody_is_at_is_left_to_the_next_sign_in(
    live_database: Database, database_url: str, grower: Person
) -> None:
    add_sessions(live_database, grower, range(21))

    def hold_the_oldest(connection: Connection) -> None:
        connection.execute(text("SELECT FROM sessions ORDER BY created_at LIMIT 1 FOR UPDATE"))
        assert sign_in().status == 200

    with closing(Database(lambda: parse_url(database_url, "the test"))) as other:
        other.transact(hold_the_oldest)
    assert numbers_of_alive(live_database) == [0, *range(2, 21), -1]

    assert sign_in().status == 200
    assert numbers_of_alive(live_database) == [*range(3, 21), -1, -1]


def test_a_block_and_a_sign_in_that_crowds_out_do_not_deadlock(
    live_database: Database, database_url: str, grower: Person
) -> None:
    add_sessions(live_database, grower, range(30))
    session = NewSession.of("web")

    def block(connection: Connection) -> Future[object]:
        connection.execute(update(users).values(status="blocked"))
        entering: Future[object] = threads.submit(
            signing_in.sign_in, live_database, str(grower.phone), PASSWORD, session, ip="192.0.2.7"
        )
        locked = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        while not connection.scalar(locked):
            assert not entering.done()
        assert len(session_store.end_sessions(connection, grower.id, "blocked")) == 30
        return entering

    with (
        ThreadPoolExecutor(1) as threads,
        closing(Database(lambda: parse_url(database_url, "the test"))) as other,
        pytest.raises(Forbidden),
    ):
        other.transact(block).result()
    assert numbers_of_alive(live_database) == []


@pytest.mark.parametrize(("profile", "minutes"), [("web", 180), ("mobile", 30 * 24 * 60)])
def test_the_profile_says_how_long_a_session_rests(
    live_database: Database, grower: Person, profile: str, minutes: int
) -> None:
    token = RefreshToken.parse(sign_in(profile=profile).data["refreshToken"])

    query = select(sessions).where(sessions.c.id == token.session_id)
    row = live_database.read(lambda connection: connection.execute(query).mappings().one())
    assert (row["user_id"], row["profile"], row["ended_at"]) == (grower.id, profile, None)
    assert row["expires_at"] - row["created_at"] == timedelta(minutes=minutes)
    assert row["current_hash"] == token.hash


@pytest.mark.parametrize("stored", [GROWER.password_hash, BCRYPT], ids=["argon2", "bcrypt"])
@pytest.mark.parametrize(
    ("change", "status"), [({"password_hash": OTHERS}, 401), ({"status": "blocked"}, 403)]
)
def test_who_is_shut_out_while_the_password_is_checked_gets_no_session(
    live_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    stored: str,
    change: dict[str, str],
    status: int,
) -> None:
    grower = register(live_database, replace(GROWER, password_hash=stored))

    def checked(*credentials: Any) -> Verdict:
        shut_out = update(users).where(users.c.id == grower.id).values(change)
        live_database.transact(lambda connection: connection.execute(shut_out))
        return check_password(*credentials)

    monkeypatch.setattr(signing_in, "check_password", checked)

    assert sign_in().status == status
    assert (
        live_database.read(
            lambda connection: connection.scalar(select(func.count()).select_from(sessions))
        )
        == 0
    )
    assert stored_hash(live_database, grower) == change.get("password_hash", stored)


def test_a_password_that_changes_whenever_it_is_checked_is_refused(
    live_database: Database, grower: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Verdict] = []

    def checked(*credentials: Any) -> Verdict:
        checks.append(check_password(*credentials))
        changed = update(users).values(password_hash=hash_password(PASSWORD))
        live_database.transact(lambda connection: connection.execute(changed))
        return checks[-1]

    monkeypatch.setattr(signing_in, "check_password", checked)

    assert_refused(sign_in())
    assert [verdict.correct for verdict in checks] == [True, True]


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
