"""POST /api/v1/otp/verify, on a real database."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.tokens import verify as verify_token
from identity import code_store, verifying
from identity.sessions import NewSession, RefreshToken
from identity.store import User
from identity.tries import Tried, Try
from tests.support.database import count_statements
from tests.support.one_time_codes import (
    PHONE,
    assert_gone,
    assert_wrong,
    attempts,
    change,
    code_of,
    id_of,
    let_pass,
    rows,
    send,
    sign_up,
    verify,
    wrong_code_of,
)
from tests.support.people import Person, register
from tests.support.racing import waiting

GROWER = Person("", None, roles=("agent", "farmer"))
OTHER = "+254711000010"


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)


def test_the_right_code_gives_tokens_of_a_session(grower: Person, live_database: Database) -> None:
    challenge = send()

    answer = verify(challenge, code_of(challenge))

    assert answer.status == 200
    assert set(answer.data) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    assert answer.data["user"] == {
        "id": str(grower.id),
        "name": "Grower One",
        "phone": PHONE,
        "email": "Grower@Farm.Example.org",
        "roles": ["agent", "farmer"],
        "permissions": ["media:read", "media:write", "stock:read", "stock:write"],
        "twoFactorEnabled": False,
    }
    claims = verify_token(answer.data["accessToken"])
    (session,) = rows(live_database, "SELECT * FROM sessions")
    assert (claims["sub"], claims["sid"]) == (str(grower.id), str(session["id"]))
    assert session["user_id"] == grower.id
    assert bytes(session["current_hash"]) == RefreshToken.parse(answer.data["refreshToken"]).hash
    (user,) = rows(live_database, "SELECT permission_version FROM users")
    assert claims["pv"] == user["permission_version"]


@pytest.mark.parametrize(
    ("profile", "minutes"), [({}, 180), ({"profile": "web"}, 180), ({"profile": "mobile"}, 43_200)]
)
def test_the_profile_says_how_long_the_session_rests(
    grower: Person, live_database: Database, profile: dict[str, str], minutes: int
) -> None:
    challenge = send()
    assert verify(challenge, code_of(challenge), **profile).status == 200
    query = "SELECT profile, expires_at - created_at AS rest FROM sessions"
    (session,) = rows(live_database, query)
    assert session["profile"] == profile.get("profile", "web")
    assert session["rest"].total_seconds() == minutes * 60


@pytest.mark.parametrize("right", [True, False])
def test_it_takes_two_round_trips(grower: Person, live_database: Database, right: bool) -> None:
    challenge = send()
    with count_statements(live_database) as traffic:
        verify(challenge, code_of(challenge) if right else wrong_code_of(challenge))
    assert (len(traffic.statements), traffic.round_trips, traffic.commits) == (1, 2, 1)


def test_five_wrong_codes_and_the_challenge_is_gone(
    grower: Person, live_database: Database
) -> None:
    challenge = send()
    for _ in range(5):
        assert_wrong(verify(challenge, wrong_code_of(challenge)))

    assert_gone(verify(challenge, wrong_code_of(challenge)))
    assert_gone(verify(challenge, code_of(challenge)))
    assert attempts(live_database, challenge) == 5


def test_a_right_code_after_four_wrong_ones_is_right(grower: Person) -> None:
    challenge = send()
    for _ in range(4):
        assert_wrong(verify(challenge, wrong_code_of(challenge)))
    assert verify(challenge, code_of(challenge)).status == 200


def test_a_code_works_once(grower: Person, live_database: Database) -> None:
    challenge = send()
    assert verify(challenge, code_of(challenge)).status == 200

    assert_gone(verify(challenge, code_of(challenge)))
    assert rows(live_database, "SELECT count(*) FROM sessions") == [{"count": 1}]


@pytest.mark.parametrize(
    ("elapsed", "status"), [("590 seconds", 200), ("600 seconds", 410), ("2 days", 410)]
)
def test_a_code_is_good_for_ten_minutes(
    grower: Person, live_database: Database, elapsed: str, status: int
) -> None:
    challenge = send()
    let_pass(live_database, elapsed)
    assert verify(challenge, code_of(challenge)).status == status


@pytest.mark.parametrize(
    ("left", "compared"), [("0 s", False), ("1 microsecond", True), ("-1 microsecond", False)]
)
def test_a_challenge_expires_at_its_very_moment(
    grower: Person, live_database: Database, left: str, compared: bool
) -> None:
    challenge_id = id_of(send())
    attempt = Try(
        challenge_id,
        right=False,
        right_by_phone={},
        purposes=["login"],
        max_attempts=5,
        max_failures=15,
    )

    def at_that_moment(connection: Connection) -> Tried:
        # The database's clock stands still in a transaction.
        connection.execute(
            text("UPDATE otp_challenges SET expires_at = now() + CAST(:left AS interval)"),
            {"left": left},
        )
        return code_store.sign_in(connection, attempt, NewSession.of("web"), "farmer").tried

    assert live_database.transact(at_that_moment).compared is compared


@pytest.mark.parametrize("missing", ["JWT_SIGNING_KEY", "PEPPER"])
def test_a_code_is_not_spent_while_no_tokens_can_be_made(
    grower: Person, live_database: Database, environment: pytest.MonkeyPatch, missing: str
) -> None:
    challenge = send()
    code = code_of(challenge)
    with environment.context() as without:
        without.delenv(missing)
        without.setenv(f"{missing}_PARAMETER", "/fieldgate/nowhere")
        without.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9")
        assert verify(challenge, code).status == 503
    assert attempts(live_database, challenge) == 0
    assert verify(challenge, code).status == 200


@pytest.mark.parametrize("status", ["blocked", "pending"])
def test_who_was_blocked_meanwhile_is_not_let_in(
    grower: Person, live_database: Database, status: str
) -> None:
    challenge = send()
    change(live_database, "UPDATE users SET status = :status", status=status)

    answer = verify(challenge, code_of(challenge))
    assert (answer.status, answer.error["code"]) == (403, "ACCOUNT_NOT_ACTIVE")
    assert rows(live_database, "SELECT * FROM sessions") == []


@pytest.mark.parametrize(
    "meanwhile", ["phone = '+254711000099'", "phone = NULL", "two_factor_enabled = true"]
)
def test_a_code_is_no_good_for_an_account_that_changed_meanwhile(
    grower: Person, live_database: Database, meanwhile: str
) -> None:
    challenge = send()
    change(live_database, f"UPDATE users SET {meanwhile}")
    assert_gone(verify(challenge, code_of(challenge)))
    assert rows(live_database, "SELECT * FROM sessions") == []


def test_the_counter_survives_a_failing_request(
    grower: Person, live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    challenge = send()
    with environment.context() as broken:
        broken.setattr(verifying, "count", fail)
        for _ in range(5):
            assert verify(challenge, wrong_code_of(challenge)).status == 500
    assert_gone(verify(challenge, code_of(challenge)))


def test_outcomes_are_counted_by_purpose(
    grower: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    challenge, other = send(), sign_up(OTHER)
    verify(challenge, wrong_code_of(challenge))
    verify(challenge, code_of(challenge))
    verify(other, code_of(other))

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [
        (metric["Name"], line["purpose"])
        for line in lines
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    ]
    assert found == [("OtpWrong", "login"), ("OtpVerified", "login"), ("OtpVerified", "register")]


def test_a_role_taken_away_meanwhile_is_not_in_force_by_the_new_token(
    grower: Person, live_database: Database, database_url: str
) -> None:
    """Who signs in waits for the change; roles and their version must be of one moment."""
    challenge = send()
    proof = id_of(challenge), code_of(challenge)
    threads = ThreadPoolExecutor(1)

    def take_role(connection: Connection) -> Future[User]:
        gone = text("DELETE FROM user_roles WHERE user_id = :id AND role = 'agent'")
        connection.execute(gone, {"id": grower.id})
        session = NewSession.of("web")
        signing_in = threads.submit(verifying.sign_in_by_code, live_database, *proof, session)
        return waiting(signing_in, connection)

    with threads, closing(Database(lambda: parse_url(database_url, "the test"))) as admin:
        user = admin.transact(take_role).result()
    (now,) = rows(live_database, "SELECT permission_version FROM users")
    # An older version has the authorizer look what is true now.
    assert "agent" not in user.roles or user.permission_version < now["permission_version"]
