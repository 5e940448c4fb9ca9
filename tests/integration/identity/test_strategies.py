"""What a right password opens: by two factors, by an agent's phone, or by itself."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import otp_challenges, sessions, sms_messages, users
from fieldgate.db.url import parse_url
from fieldgate.errors import Unauthorized
from identity import get_profile, login, session_store, set_two_factor, two_factor
from identity.passwords import hash_password
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.one_time_codes import change, code_of, send, verify, wrong_code_of
from tests.support.people import Person, Phone, begin_session, register

PASSWORD = "maize & beans"
CAREFUL = Person(PASSWORD, hash_password(PASSWORD), two_factor_enabled=True)
AGENT = replace(CAREFUL, two_factor_enabled=False)


def sign_in(identifier: str = "+254711000009", password: str = PASSWORD, **more: Any) -> Answer:
    content = {"identifier": identifier, "password": password} | more
    return call(login.handler, "POST", "/api/v1/auth/login", content=content)


def choose(phone: Phone, enabled: Any) -> Answer:
    return call(
        set_two_factor.handler,
        "PUT",
        "/api/v1/auth/two-factor",
        content={"enabled": enabled},
        authorizer=phone.context(),
    )


def number_of(database: Database, table: Any) -> int:
    query = select(func.count()).select_from(table)
    return int(database.read(lambda connection: connection.scalar(query)) or 0)


@pytest.fixture
def agents_by_code(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_SIGN_IN", "otp")


def test_with_two_factors_the_password_opens_a_challenge(live_database: Database) -> None:
    register(live_database, CAREFUL)

    answer = sign_in()

    assert answer.status == 200
    assert answer.data["twoFactorRequired"] is True
    expected = {"twoFactorRequired", "challengeId", "expiresAt", "resendAfter"}
    assert set(answer.data) == expected
    assert number_of(live_database, sessions) == 0
    assert number_of(live_database, sms_messages) == 1


def test_the_code_then_signs_in(live_database: Database) -> None:
    register(live_database, CAREFUL)
    challenge = sign_in()

    refused = verify(challenge, wrong_code_of(challenge))
    answer = verify(challenge, code_of(challenge))

    assert (refused.status, refused.error["code"]) == (401, "INVALID_CREDENTIALS")
    assert answer.data["user"]["id"] == str(CAREFUL.id)
    assert number_of(live_database, sessions) == 1


def test_the_wrong_password_opens_nothing(live_database: Database) -> None:
    register(live_database, CAREFUL)

    answer = sign_in(password="wrong")

    assert (answer.status, answer.error["code"]) == (401, "INVALID_CREDENTIALS")
    assert number_of(live_database, otp_challenges) == 0


def test_a_code_alone_is_not_enough_for_who_has_two_factors(live_database: Database) -> None:
    register(live_database, CAREFUL)
    challenge = send(purpose="login")

    assert verify(challenge, code_of(challenge)).status == 401
    assert number_of(live_database, sessions) == 0


def test_without_a_phone_there_is_no_second_factor_and_no_way_in(live_database: Database) -> None:
    register(live_database, replace(CAREFUL, phone=None))

    answer = sign_in("grower@farm.example.org")

    assert (answer.status, answer.error["code"]) == (403, "SECOND_FACTOR_NEEDED")
    assert "accessToken" not in answer.body.decode()


def test_a_login_whose_answer_was_lost_is_answered_again(live_database: Database) -> None:
    register(live_database, CAREFUL)
    first = sign_in()
    verify(first, wrong_code_of(first))

    again = sign_in()

    assert (again.status, again.data) == (200, first.data)
    assert number_of(live_database, otp_challenges) == number_of(live_database, sms_messages) == 1
    for _ in range(3):  # the try is not given back
        assert verify(again, wrong_code_of(again)).status == 401
    assert verify(again, code_of(again)).data["user"]["id"] == str(CAREFUL.id)


def test_only_the_right_password_is_answered_again(live_database: Database) -> None:
    register(live_database, CAREFUL)
    sign_in()
    wrong = sign_in(password="wrong")
    assert (wrong.status, wrong.error["code"]) == (401, "INVALID_CREDENTIALS")


@pytest.mark.parametrize(
    "closed",
    ["verified_at = now()", "attempts = 5", "expires_at = now()", "purpose = 'password_reset'"],
)
def test_where_none_is_open_it_is_too_soon_for_another(
    live_database: Database, closed: str
) -> None:
    register(live_database, CAREFUL)
    sign_in()
    change(live_database, f"UPDATE otp_challenges SET {closed}")

    answer = sign_in()

    assert (answer.status, answer.error["code"]) == (429, "RATE_LIMITED")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("wished", "said", "profile", "minutes"),
    [
        ({}, {}, "web", 180),
        ({"profile": "web"}, {}, "web", 180),
        ({"profile": "mobile"}, {}, "mobile", 43_200),
        ({"profile": "mobile"}, {"profile": None}, "mobile", 43_200),
        ({"profile": "mobile"}, {"profile": "web"}, "web", 180),
        ({"profile": "web"}, {"profile": "mobile"}, "mobile", 43_200),
    ],
)
def test_the_session_is_of_the_profile_that_the_code_comes_with_or_else_the_password(
    live_database: Database,
    wished: dict[str, Any],
    said: dict[str, Any],
    profile: str,
    minutes: int,
) -> None:
    register(live_database, CAREFUL)
    challenge = sign_in(**wished)

    assert verify(challenge, code_of(challenge), **said).status == 200

    query = select(sessions.c.profile, sessions.c.expires_at - sessions.c.created_at)
    row = live_database.read(lambda connection: connection.execute(query).one())
    assert tuple(row) == (profile, timedelta(minutes=minutes))


def test_a_challenge_costs_a_read_and_a_transaction(live_database: Database) -> None:
    register(live_database, CAREFUL)

    with count_statements(live_database) as traffic:
        sign_in()

    assert (traffic.round_trips, traffic.commits) == (4, 1)


@pytest.mark.usefixtures("agents_by_code")
def test_agents_sign_in_by_code_alone_where_it_is_so_set(live_database: Database) -> None:
    register(live_database, AGENT)

    answer = sign_in()
    assert (answer.status, answer.error["code"]) == (403, "OTP_REQUIRED")
    assert number_of(live_database, sessions) == 0

    challenge = send(purpose="login")
    assert verify(challenge, code_of(challenge)).data["user"]["id"] == str(AGENT.id)


@pytest.mark.usefixtures("agents_by_code")
def test_who_does_not_know_an_agents_password_does_not_learn_that_it_is_one(
    live_database: Database,
) -> None:
    register(live_database, AGENT)

    assert sign_in(password="wrong").json()["error"] == sign_in("+254711999999").json()["error"]


@pytest.mark.usefixtures("agents_by_code")
@pytest.mark.parametrize("roles", [(), ("farmer",), ("warehouse_manager", "admin")])
def test_others_keep_their_passwords(live_database: Database, roles: tuple[str, ...]) -> None:
    register(live_database, replace(AGENT, roles=roles))

    assert "accessToken" in sign_in().data


@pytest.mark.usefixtures("agents_by_code")
def test_an_agent_who_wants_two_factors_keeps_both(live_database: Database) -> None:
    register(live_database, CAREFUL)

    challenge = sign_in()
    assert challenge.data["twoFactorRequired"] is True
    assert verify(challenge, code_of(challenge)).status == 200


def test_two_factors_are_the_callers_to_choose(live_database: Database) -> None:
    phone = begin_session(live_database, register(live_database, AGENT))

    chosen = choose(phone, True)
    assert (chosen.status, chosen.data["twoFactorEnabled"]) == (200, True)
    profile = call(get_profile.handler, "GET", "/api/v1/auth/me", authorizer=phone.context())
    assert profile.data == chosen.data
    assert sign_in().data["twoFactorRequired"] is True

    assert choose(phone, False).data["twoFactorEnabled"] is False
    assert "accessToken" in sign_in().data


def test_two_factors_need_a_phone(live_database: Database) -> None:
    phone = begin_session(live_database, register(live_database, replace(AGENT, phone=None)))

    answer = choose(phone, True)
    assert (answer.status, answer.error["code"]) == (422, "PHONE_NEEDED")
    assert choose(phone, False).status == 200


@pytest.mark.parametrize("enabled", ["true", 1, None, [], {"$ne": False}])
def test_only_yes_or_no_is_a_choice(live_database: Database, enabled: Any) -> None:
    phone = begin_session(live_database, register(live_database, AGENT))

    answer = choose(phone, enabled)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == ["enabled"]


@pytest.mark.parametrize(
    "statement",
    [
        update(users).values(status="blocked"),
        update(sessions).values(ended_at=func.now(), end_reason="password_changed"),
        update(sessions).values(expires_at=func.now()),
        delete(sessions),
    ],
    ids=["blocked", "ended", "expired", "deleted"],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_who_was_shut_out_a_moment_ago_chooses_nothing(
    live_database: Database, statement: Any, enabled: bool
) -> None:
    register(live_database, replace(AGENT, two_factor_enabled=not enabled))
    session_id = begin_session(live_database, AGENT).session_id
    live_database.transact(lambda connection: connection.execute(statement))

    answer = call(
        set_two_factor.handler,
        "PUT",
        "/api/v1/auth/two-factor",
        content={"enabled": enabled},
        authorizer=signed_in(AGENT.id, session_id=session_id),
    )
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    query = select(users.c.two_factor_enabled)
    assert live_database.read(lambda connection: connection.scalar(query)) is not enabled


def test_who_is_shut_out_while_the_choice_waits_chooses_nothing(
    live_database: Database, database_url: str
) -> None:
    register(live_database, CAREFUL)
    session_id = begin_session(live_database, CAREFUL).session_id
    victim = Database(lambda: parse_url(database_url, "the test"))

    def switch_off() -> str:
        try:
            two_factor.choose(live_database, CAREFUL.id, session_id, enabled=False)
        except Unauthorized as refusal:
            return refusal.code
        return "chosen"

    def reset(connection: Connection) -> Future[str]:
        connection.execute(update(users).values(password_hash="new"))
        thief = threads.submit(switch_off)
        locked = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        while not connection.scalar(locked):
            assert not thief.done()
        session_store.end_sessions(connection, CAREFUL.id, "password_changed")
        return thief

    with ThreadPoolExecutor(1) as threads, closing(victim):
        assert victim.transact(reset).result() == "UNAUTHORIZED"


def test_choosing_costs_two_round_trips(live_database: Database) -> None:
    phone = begin_session(live_database, register(live_database, AGENT))
    context = phone.context()

    with count_statements(live_database) as traffic:
        call(
            set_two_factor.handler,
            "PUT",
            "/api/v1/auth/two-factor",
            content={"enabled": True},
            authorizer=context,
        )
    assert (traffic.round_trips, traffic.commits) == (2, 1)
