"""A hundred at the same moment, each on a connection of its own."""

from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from fieldgate.db.engine import Database
from identity import verifying
from identity.challenge_store import Registration
from identity.challenging import OpenedChallenge, Purpose, open_challenge, send_again
from identity.sessions import NewSession
from tests.support.one_time_codes import (
    PHONE,
    change,
    code_of,
    id_of,
    let_pass,
    rows,
    send,
    sign_up,
    wrong_code_of,
)
from tests.support.people import Person, begin_session, register
from tests.support.racing import outcomes

HUNDRED = 100
NEW_PHONE = "+254711000010"


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, Person("", None))


def sign_in(challenge_id: UUID, code: str, database: Database) -> str:
    verifying.sign_in_by_code(database, challenge_id, code, NewSession.of("web"))
    return "in"


def ask(
    database: Database,
    phone: str = PHONE,
    ip: str = "192.0.2.7",
    purpose: Purpose = "login",
) -> str:
    registration = Registration("Grower Two", None, "") if purpose == "register" else None

    def work(connection: Connection) -> OpenedChallenge:
        return open_challenge(
            connection, phone=phone, purpose=purpose, ip=ip, registration=registration
        )

    database.transact(work)
    return "sent"


def count(database: Database, table: str) -> int:
    (row,) = rows(database, f"SELECT count(*) AS number FROM {table}")
    return int(row["number"])


def assert_used_up(database: Database, key: str, limit: int, sent: int) -> None:
    """All that was sent is counted, and no more than `limit` in a window; one may have ended."""
    found = rows(database, "SELECT used FROM otp_counters WHERE key = :key", key=key)
    windows = [row["used"] for row in found]
    assert (max(windows), sum(windows)) == (limit, sent)


def test_of_a_hundred_guesses_five_are_compared(
    grower: Person, live_database: Database, database_url: str
) -> None:
    challenge = send()
    guess = partial(sign_in, id_of(challenge), wrong_code_of(challenge))

    assert outcomes(database_url, [guess] * HUNDRED) == {"INVALID_CREDENTIALS": 5, "GONE": 95}

    (row,) = rows(live_database, "SELECT attempts, verified_at FROM otp_challenges")
    assert row == {"attempts": 5, "verified_at": None}
    (row,) = rows(live_database, "SELECT cardinality(failed_at) AS failed FROM otp_phones")
    assert row == {"failed": 5}


def test_of_a_hundred_right_codes_one_wins(
    grower: Person, live_database: Database, database_url: str
) -> None:
    challenge = send()
    right = partial(sign_in, id_of(challenge), code_of(challenge))

    assert outcomes(database_url, [right] * HUNDRED) == {"in": 1, "GONE": 99}
    assert count(live_database, "sessions") == 1


def test_a_right_code_among_guesses_wins_or_comes_too_late(
    grower: Person, live_database: Database, database_url: str
) -> None:
    challenge = send()
    guess = partial(sign_in, id_of(challenge), wrong_code_of(challenge))
    right = partial(sign_in, id_of(challenge), code_of(challenge))

    outcome = outcomes(database_url, [*[guess] * (HUNDRED - 1), right])

    assert outcome["in"] + outcome["INVALID_CREDENTIALS"] <= 5
    assert outcome["in"] <= 1
    assert outcome["in"] == count(live_database, "sessions")
    assert sum(outcome.values()) == HUNDRED
    assert set(outcome) <= {"in", "INVALID_CREDENTIALS", "GONE"}


def test_guesses_at_twenty_challenges_of_a_number_share_fifteen_a_day(
    grower: Person, live_database: Database, database_url: str
) -> None:
    challenges = [uuid4() for _ in range(20)]
    send()
    for challenge in challenges:
        change(
            live_database,
            "INSERT INTO otp_challenges (id, phone, purpose, user_id, expires_at)"
            " VALUES (:id, :phone, 'login', :user, now() + interval '10 minutes')",
            id=challenge,
            phone=PHONE,
            user=grower.id,
        )
    guesses = [partial(sign_in, one, wrong_code_of(one)) for one in challenges for _ in range(5)]

    assert outcomes(database_url, guesses) == {"INVALID_CREDENTIALS": 15, "RATE_LIMITED": 85}

    (row,) = rows(live_database, "SELECT sum(attempts)::int AS attempts FROM otp_challenges")
    assert row == {"attempts": 15}


def test_of_a_hundred_right_codes_of_a_registration_one_makes_the_account(
    live_database: Database, database_url: str
) -> None:
    challenge = sign_up()
    right = partial(sign_in, id_of(challenge), code_of(challenge))

    assert outcomes(database_url, [right] * HUNDRED) == {"in": 1, "GONE": 99}
    assert count(live_database, "users") == count(live_database, "user_roles") == 1


def test_a_hundred_registrations_of_one_number_make_one_account(
    live_database: Database, database_url: str
) -> None:
    challenges = registrations(live_database, [PHONE] * HUNDRED, "grower@farm.example.org")
    works = [partial(sign_in, one, code_of(one)) for one in challenges]

    assert outcomes(database_url, works) == {"in": 1, "CONFLICT": 99}
    assert count(live_database, "users") == count(live_database, "sessions") == 1


def test_a_hundred_registrations_with_one_email_give_it_to_one(
    live_database: Database, database_url: str
) -> None:
    phones = [f"+2547110000{last:02}" for last in range(HUNDRED)]
    challenges = registrations(live_database, phones, "grower@farm.example.org")
    works = [partial(sign_in, one, code_of(one)) for one in challenges]

    assert outcomes(database_url, works) == {"in": HUNDRED}
    (row,) = rows(live_database, "SELECT count(*) AS users, count(email) AS emails FROM users")
    assert row == {"users": HUNDRED, "emails": 1}


def test_a_hundred_requests_for_one_number_send_one_text(
    grower: Person, live_database: Database, database_url: str
) -> None:
    assert outcomes(database_url, [ask] * HUNDRED) == {"sent": 1, "RATE_LIMITED": 99}

    assert count(live_database, "sms_messages") == count(live_database, "otp_challenges") == 1
    assert {row["used"] for row in rows(live_database, "SELECT used FROM otp_counters")} == {1}


def test_a_hundred_requests_to_send_again_send_once(
    grower: Person, live_database: Database, database_url: str
) -> None:
    challenge_id = id_of(send())
    let_pass(live_database, "61 seconds")

    def again(database: Database) -> str:
        database.transact(lambda connection: send_again(connection, challenge_id, ip="192.0.2.7"))
        return "sent"

    assert outcomes(database_url, [again] * HUNDRED) == {"sent": 1, "RATE_LIMITED": 99}
    assert count(live_database, "sms_messages") == 2


def test_a_range_pumped_by_a_hundred_at_once_gets_thirty_texts(
    live_database: Database, database_url: str
) -> None:
    phones = [f"+254711777{last:03}" for last in range(HUNDRED)]
    works = [
        partial(ask, phone=phone, ip=f"192.0.2.{last}", purpose="register")
        for last, phone in enumerate(phones)
    ]

    outcome = outcomes(database_url, works)

    assert set(outcome) == {"sent", "RATE_LIMITED"}
    assert_used_up(live_database, "hour:new-prefix:+254711777", 30, outcome["sent"])
    assert count(live_database, "otp_challenges") == outcome["sent"]


def test_the_spending_stop_holds_against_a_hundred_at_once(
    live_database: Database, database_url: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OTP_DAILY_TEXTS", "7")
    phones = [f"+254711777{last:03}" for last in range(HUNDRED)]
    for phone in phones:
        change(live_database, "INSERT INTO users (phone, name) VALUES (:phone, 'x')", phone=phone)
    works = [partial(ask, phone=phone) for phone in phones]

    outcome = outcomes(database_url, works)

    assert set(outcome) == {"sent", "UNAVAILABLE"}
    assert_used_up(live_database, "day:texts", 7, outcome["sent"])
    assert count(live_database, "sms_messages") == outcome["sent"]


def test_different_ranges_and_addresses_do_not_deadlock(
    live_database: Database, database_url: str
) -> None:
    # Crosswise: who shares the range does not share the address. Both pools meet at
    # the address and at the day's texts.
    works = [
        partial(
            ask,
            phone=f"+2547110{last % 10}{last:04}",
            ip=f"192.0.2.{last // 10}",
            purpose="register" if last % 3 else "login",
        )
        for last in range(HUNDRED)
    ]
    assert outcomes(database_url, works) == {"sent": HUNDRED}


def test_of_a_hundred_password_resets_by_one_code_one_is_done(
    grower: Person, live_database: Database, database_url: str
) -> None:
    begin_session(live_database, grower)
    challenge = send(purpose="password_reset")

    def reset(number: int, database: Database) -> str:
        verifying.reset_password(
            database, id_of(challenge), code_of(challenge), f"sorghum & millet {number}"
        )
        return "done"

    works = [partial(reset, number) for number in range(HUNDRED)]
    assert outcomes(database_url, works) == {"done": 1, "GONE": 99}
    assert rows(live_database, "SELECT end_reason FROM sessions") == [
        {"end_reason": "password_changed"}
    ]


def test_of_a_hundred_who_move_to_one_number_one_gets_it(
    live_database: Database, database_url: str
) -> None:
    people, challenges = [uuid4() for _ in range(HUNDRED)], [uuid4() for _ in range(HUNDRED)]
    for last, (person, challenge) in enumerate(zip(people, challenges, strict=True)):
        change(
            live_database,
            "WITH person AS (INSERT INTO users (id, phone, name) VALUES (:id, :phone, 'x')"
            " RETURNING id),"
            " session AS (INSERT INTO sessions (id, user_id, profile, current_hash, expires_at)"
            " SELECT id, id, 'web', '', now() + interval '1 hour' FROM person)"
            " INSERT INTO otp_challenges (id, phone, purpose, user_id, expires_at)"
            " SELECT :challenge, :new, 'phone_change', id, now() + interval '10 minutes'"
            " FROM person",
            id=person,
            phone=f"+2547117770{last:02}",
            challenge=challenge,
            new=NEW_PHONE,
        )
    change(live_database, "INSERT INTO otp_phones (phone) VALUES (:phone)", phone=NEW_PHONE)

    def move(person: UUID, challenge: UUID, database: Database) -> str:
        verifying.change_phone(database, person, person, challenge, code_of(challenge))
        return "moved"

    works = [partial(move, *pair) for pair in zip(people, challenges, strict=True)]
    assert outcomes(database_url, works) == {"moved": 1, "CONFLICT": 99}


def registrations(database: Database, phones: list[str], email: str) -> list[UUID]:
    """Write a challenge to register for each phone, past the budgets."""
    challenges = []
    for phone in phones:
        challenges.append(uuid4())
        change(
            database,
            "WITH known AS (INSERT INTO otp_phones (phone) VALUES (:phone) ON CONFLICT DO NOTHING),"
            " challenge AS (INSERT INTO otp_challenges (id, phone, purpose, expires_at)"
            " VALUES (:id, :phone, 'register', now() + interval '10 minutes') RETURNING id)"
            " INSERT INTO registrations (challenge_id, name, email, password_hash)"
            " SELECT id, 'Grower Two', :email, '' FROM challenge",
            id=challenges[-1],
            phone=phone,
            email=email,
        )
    return challenges
