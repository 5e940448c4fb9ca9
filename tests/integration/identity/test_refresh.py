"""POST /api/v1/auth/refresh: which token gives the next one, and which ends the session."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select, text, update

from fieldgate import settings
from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.tables.change_log import change_log
from fieldgate.db.tables.identity import user_roles, users
from fieldgate.db.tables.sessions import sessions
from fieldgate.tokens import verify
from identity import refresh_tokens
from identity.sessions import RefreshToken
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.log import Log
from tests.support.people import Person, Phone, begin_session, register
from tests.support.ports import free_port

GROWER = Person("", None)


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)


@pytest.fixture
def phone(live_database: Database, grower: Person) -> Phone:
    return begin_session(live_database, grower)


def refresh(token: RefreshToken | str) -> Answer:
    content = {"refreshToken": token if isinstance(token, str) else token.text}
    return call(refresh_tokens.handler, "POST", "/api/v1/auth/refresh", content=content)


def refreshed(token: RefreshToken) -> RefreshToken:
    answer = refresh(token)
    assert answer.status == 200, answer.body
    return RefreshToken.parse(answer.data["refreshToken"])


def assert_refused(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")


def row_of(database: Database, phone: Phone) -> dict[str, Any]:
    query = select(sessions).where(sessions.c.id == phone.session_id)
    return dict(database.read(lambda connection: connection.execute(query).mappings().one()))


def change(database: Database, statement: Any) -> None:
    database.transact(lambda connection: connection.execute(statement))


def wait_out_the_race(database: Database, phone: Phone, seconds: int = 31) -> None:
    """Make it so many seconds since the last rotation."""
    earlier = sessions.c.rotated_at - text(f"interval '{seconds} seconds'")
    change(database, update(sessions).values(rotated_at=earlier))


def start_anew(database: Database, environment: pytest.MonkeyPatch, **variables: str) -> Database:
    """Go on as a new environment with other settings."""
    database.close()
    for name, value in variables.items():
        environment.setenv(name, value)
    settings.forget()
    return engine.database()


def test_a_refresh_token_gives_the_next_pair(phone: Phone, grower: Person) -> None:
    answer = refresh(phone.refresh_token)

    assert answer.status == 200
    assert set(answer.data) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    assert (answer.data["tokenType"], answer.data["expiresIn"]) == ("Bearer", 3600)
    assert answer.data["user"]["id"] == str(grower.id)
    claims = verify(answer.data["accessToken"])
    assert (claims["sub"], claims["sid"]) == (str(grower.id), str(phone.session_id))
    assert answer.data["refreshToken"] != phone.refresh_token.text
    assert answer.headers["cache-control"] == "no-store"


def test_each_refresh_rotates(phone: Phone) -> None:
    tokens = [phone.refresh_token]
    for _ in range(5):
        tokens.append(refreshed(tokens[-1]))

    assert len({token.text for token in tokens}) == 6
    assert {token.session_id for token in tokens} == {phone.session_id}


def test_nothing_that_is_stored_is_a_token(live_database: Database, phone: Phone) -> None:
    following = refreshed(phone.refresh_token)

    row = row_of(live_database, phone)
    assert row["current_hash"] == following.hash
    assert row["previous_hash"] == phone.refresh_token.hash
    for token in (following, phone.refresh_token):
        stored = row["current_hash"] + row["previous_hash"]
        assert token.changing not in stored


@pytest.mark.parametrize(("profile", "minutes"), [("web", 180), ("mobile", 30 * 24 * 60)])
def test_a_session_that_is_used_lives_on(
    live_database: Database, grower: Person, profile: Any, minutes: int
) -> None:
    phone = begin_session(live_database, grower, profile)
    soon = text("now() + interval '5 seconds'")
    change(live_database, update(sessions).values(expires_at=soon))

    refreshed(phone.refresh_token)

    row = row_of(live_database, phone)
    assert (row["expires_at"] - row["rotated_at"]).total_seconds() == minutes * 60


def test_lifetimes_are_settings(
    live_database: Database, phone: Phone, environment: pytest.MonkeyPatch
) -> None:
    database = start_anew(live_database, environment, REFRESH_TOKEN_MINUTES="7")

    refreshed(phone.refresh_token)

    row = row_of(database, phone)
    assert (row["expires_at"] - row["rotated_at"]).total_seconds() == 7 * 60


def test_an_answer_that_got_lost_is_asked_for_again(live_database: Database, phone: Phone) -> None:
    lost = refreshed(phone.refresh_token)
    before = row_of(live_database, phone)
    wait_out_the_race(live_database, phone, 29)

    again = refreshed(phone.refresh_token)

    assert again.text == lost.text
    after = row_of(live_database, phone)
    assert {**after, "rotated_at": None} == {**before, "rotated_at": None}
    assert refreshed(again).text != again.text


def test_the_token_before_is_worth_nothing_after_half_a_minute(
    live_database: Database, phone: Phone, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    following = refreshed(phone.refresh_token)
    wait_out_the_race(live_database, phone)

    assert_refused(refresh(phone.refresh_token))

    assert row_of(live_database, phone)["end_reason"] == "replayed"
    assert_refused(refresh(following))
    assert phone.is_refused
    (warning,) = log.said("refresh token used again: session ended")
    assert (warning["level"], warning["session_id"]) == ("WARNING", str(phone.session_id))
    assert '"RefreshReplayed":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_a_token_two_behind_ends_the_session_at_once(live_database: Database, phone: Phone) -> None:
    second = refreshed(phone.refresh_token)
    third = refreshed(second)

    assert_refused(refresh(phone.refresh_token))

    assert row_of(live_database, phone)["end_reason"] == "replayed"
    for token in (second, third, third.successor()):
        assert_refused(refresh(token))


def test_the_time_for_races_is_a_setting(
    live_database: Database, phone: Phone, environment: pytest.MonkeyPatch
) -> None:
    database = start_anew(live_database, environment, REFRESH_REUSE_SECONDS="0")
    refreshed(phone.refresh_token)

    assert_refused(refresh(phone.refresh_token))
    assert row_of(database, phone)["end_reason"] == "replayed"


def flipped(token: RefreshToken, place: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(token.text))
    raw[place] ^= 1
    return base64.urlsafe_b64encode(raw).decode()


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda token: flipped(token, 0), id="another session"),
        pytest.param(lambda token: flipped(token, 20), id="another secret"),
        pytest.param(lambda token: flipped(token, 79), id="another mark"),
        pytest.param(lambda token: token.text[:-4], id="too short"),
        pytest.param(lambda token: token.text + "AAAA", id="too long"),
        pytest.param(lambda token: token.text + "=", id="padded"),
        pytest.param(lambda token: token.text + "\n", id="with a line end"),
        pytest.param(lambda token: " " + token.text, id="with a blank"),
        pytest.param(lambda token: token.text[:-1] + "\N{SNOWMAN}", id="not ASCII"),
        pytest.param(lambda token: token.text[:-1] + "\ud800", id="not text"),
        pytest.param(lambda token: str(token.session_id), id="the session's id"),
        pytest.param(lambda token: "A" * 107 + "=", id="of zeros"),
        pytest.param(lambda token: "x", id="anything"),
        pytest.param(lambda token: "' OR '1'='1", id="SQL"),
        pytest.param(lambda token: "\0", id="NUL"),
    ],
)
def test_what_is_not_our_token_changes_nothing(
    live_database: Database, phone: Phone, forge: Callable[[RefreshToken], str]
) -> None:
    before = row_of(live_database, phone)

    with count_statements(live_database) as traffic:
        assert_refused(refresh(forge(phone.refresh_token)))

    assert traffic.round_trips == 0
    assert row_of(live_database, phone) == before
    assert refresh(phone.refresh_token).status == 200


def test_a_token_of_another_pepper_changes_nothing(
    live_database: Database, phone: Phone, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("PEPPER", "another-pepper-for-tests-and-nothing-else")
    foreign = RefreshToken(phone.session_id, phone.refresh_token.changing).text
    environment.setenv("PEPPER", "a-pepper-for-tests-and-nothing-else")

    assert_refused(refresh(foreign))
    assert row_of(live_database, phone)["ended_at"] is None


def test_an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing(
    phone: Phone,
) -> None:
    assert_refused(refresh(phone.access_token))
    assert replace(phone, access_token=phone.refresh_token.text).is_refused


def test_a_session_that_is_not_there_is_refused(live_database: Database, phone: Phone) -> None:
    assert_refused(refresh(RefreshToken.first(uuid4())))

    change(live_database, delete(sessions))
    assert_refused(refresh(phone.refresh_token))


def test_one_sessions_token_does_nothing_to_another(
    live_database: Database, grower: Person, phone: Phone
) -> None:
    other = begin_session(live_database, grower)
    before = row_of(live_database, other)

    mixed = RefreshToken(phone.session_id, other.refresh_token.changing)
    assert_refused(refresh(mixed))

    assert row_of(live_database, other) == before
    assert refresh(other.refresh_token).status == 200


def test_an_expired_session_is_refused_and_stays_as_it_is(
    live_database: Database, phone: Phone
) -> None:
    change(live_database, update(sessions).values(expires_at=text("now()")))

    assert_refused(refresh(phone.refresh_token))
    assert row_of(live_database, phone)["ended_at"] is None


@pytest.mark.parametrize("status", ["blocked", "pending"])
def test_who_is_not_active_gets_no_tokens(
    live_database: Database, phone: Phone, status: str
) -> None:
    change(live_database, update(users).values(status=status))

    assert_refused(refresh(phone.refresh_token))


def test_the_next_token_says_what_the_user_may_do_now(
    live_database: Database, grower: Person, phone: Phone
) -> None:
    change(live_database, insert(user_roles).values(user_id=grower.id, role="admin"))

    data = refresh(phone.refresh_token).data

    claims = verify(data["accessToken"])
    assert claims["roles"] == data["user"]["roles"] == ["admin", "agent"]
    assert "users:write" in claims["permissions"]
    assert claims["pv"] == verify(phone.access_token)["pv"] + 1


def test_beginning_and_end_are_in_the_change_log_and_rotations_are_not(
    live_database: Database, phone: Phone
) -> None:
    second = refreshed(phone.refresh_token)
    refreshed(phone.refresh_token)
    refreshed(second)
    replayed = refresh(phone.refresh_token)
    assert_refused(replayed)

    query = select(change_log).where(change_log.c.entity == "sessions").order_by(change_log.c.id)
    begun, ended = live_database.read(lambda connection: connection.execute(query).mappings().all())
    assert (begun["action"], ended["action"]) == ("insert", "update")
    assert ended["changed"] == ["end_reason", "ended_at"]
    assert ended["request_id"] == replayed.headers["x-request-id"]
    assert ended["after"]["current_hash"] == "***"
    hashes = json.dumps([begun["after"], ended["before"], ended["after"]])
    assert phone.refresh_token.hash.hex() not in hashes


def test_it_costs_two_round_trips_however_it_ends(live_database: Database, phone: Phone) -> None:
    second = phone.refresh_token.successor()
    unknown = RefreshToken.first(uuid4())
    for token in (phone.refresh_token, phone.refresh_token, second, phone.refresh_token, unknown):
        with count_statements(live_database) as traffic:
            refresh(token)
        assert (traffic.round_trips, traffic.commits) == (2, 1)


def test_a_client_in_a_loop_is_slowed_down(phone: Phone) -> None:
    answers = [refresh(phone.refresh_token).status for _ in range(60)]

    assert answers[:50] == [200] * 50
    assert answers[-1] == 429


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "refreshToken"),
        ({"refreshToken": None}, "refreshToken"),
        ({"refreshToken": ""}, "refreshToken"),
        ({"refreshToken": 7}, "refreshToken"),
        ({"refreshToken": ["x"]}, "refreshToken"),
        ({"refreshToken": "x" * 1025}, "refreshToken"),
        ({"refreshToken": "x", "roles": ["admin"]}, "roles"),
    ],
)
def test_a_body_of_another_shape_is_invalid(
    environment: pytest.MonkeyPatch, content: dict[str, Any], field: str
) -> None:
    answer = call(refresh_tokens.handler, "POST", "/api/v1/auth/refresh", content=content)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]


def test_no_token_is_logged(phone: Phone, log: Log) -> None:
    data = refresh(phone.refresh_token).data
    refresh("x" + phone.refresh_token.text)

    for secret in (phone.refresh_token.text, data["accessToken"], data["refreshToken"]):
        assert secret not in log.text


def test_without_a_database_it_is_503(
    live_database: Database, phone: Phone, environment: pytest.MonkeyPatch
) -> None:
    nowhere = f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x"
    start_anew(live_database, environment, DATABASE_URL=nowhere)

    answer = refresh(phone.refresh_token)

    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
