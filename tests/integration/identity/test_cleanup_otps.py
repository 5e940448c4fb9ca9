"""The schedule that deletes what one-time codes left behind, on a real database."""

from typing import Any

import pytest

from fieldgate import deadline
from fieldgate.db import old_rows
from fieldgate.db.engine import Database
from fieldgate.schedules import RESERVE_SECONDS
from identity import cleaning, cleanup_otps
from identity.cleaning import OLD_ROWS
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.one_time_codes import change, rows, sign_up
from tests.support.people import Person, begin_session, register
from tests.support.racing import race

# By table: columns, what is in them, and how old a row may get.
TABLES = {
    "otp_challenges": (
        "phone, purpose, expires_at, created_at",
        "'+254711000009', 'login', now()",
        "7 days",
    ),
    "otp_phones": ("phone, updated_at", "gen_random_uuid()", "2 days"),
    "otp_counters": ("key, used, window_start", "gen_random_uuid(), 1", "2 days"),
    "idempotency_keys": (
        "scope, key_hash, request_hash, answer, created_at",
        "gen_random_uuid(), '', '', '{}'",
        "1 day",
    ),
    "sessions": (
        "user_id, profile, current_hash, expires_at",
        "(SELECT id FROM users), 'web', ''",
        "7 days",
    ),
    "rate_limits": ("key, full_at", "gen_random_uuid()", "1 hour"),
}
EVENT = {"id": "5f0c6a52-6b1f-4c2e-9a55-0c9b1d1f7a01"}


@pytest.fixture(autouse=True)
def grower(live_database: Database) -> Person:
    return register(live_database, Person("", None, phone="+254711000010"))


def fill(database: Database, table: str, age: str, number: int) -> None:
    columns, values, _ = TABLES[table]
    change(
        database,
        f"INSERT INTO {table} ({columns})"
        f" SELECT {values}, now() - CAST(:age AS interval) FROM generate_series(1, :number)",
        age=age,
        number=number,
    )


def held(database: Database, table: str) -> int:
    (row,) = rows(database, f"SELECT count(*) AS number FROM {table}")
    return int(row["number"])


def clean_up(seconds: int = 60) -> Any:
    return cleanup_otps.handler(EVENT, LambdaContext(seconds * 1000))


@pytest.mark.parametrize("table", TABLES)
def test_what_is_old_goes_and_what_is_not_stays(live_database: Database, table: str) -> None:
    fill(live_database, table, f"{TABLES[table][-1]} 1 second", 3)
    fill(live_database, table, f"{TABLES[table][-1]} -1 minute", 2)

    assert clean_up() == dict.fromkeys(OLD_ROWS, 0) | {table: 3}
    assert held(live_database, table) == 2


def test_registrations_and_texts_go_with_their_challenge(live_database: Database) -> None:
    sign_up()
    clean_up()
    assert held(live_database, "registrations") == held(live_database, "sms_messages") == 1

    change(live_database, "UPDATE otp_challenges SET created_at = now() - interval '8 days'")
    clean_up()
    assert held(live_database, "registrations") == held(live_database, "sms_messages") == 0


def test_who_never_proved_a_number_is_forgotten_an_hour_after_the_code(
    live_database: Database,
) -> None:
    sign_up()
    for age, left in (("59 minutes", 1), ("61 minutes", 0)):
        change(
            live_database,
            "UPDATE otp_challenges SET expires_at = now() - CAST(:age AS interval)",
            age=age,
        )
        assert clean_up() == dict.fromkeys(OLD_ROWS, 0) | {"registrations": 1 - left}
        assert held(live_database, "registrations") == left
    assert held(live_database, "otp_challenges") == 1


def test_a_session_that_is_alive_stays_however_old_it_is(
    live_database: Database, grower: Person
) -> None:
    begin_session(live_database, grower, "mobile")
    change(live_database, "UPDATE sessions SET created_at = now() - interval '1 year'")
    clean_up()
    assert held(live_database, "sessions") == 1


def test_deleted_sessions_are_in_the_change_log(live_database: Database) -> None:
    fill(live_database, "sessions", "8 days", 1)
    clean_up()
    query = "SELECT actor, request_id FROM change_log WHERE entity = 'sessions'"
    entries = rows(live_database, f"{query} AND action = 'delete'")
    assert entries == [{"actor": cleaning.ACTOR, "request_id": EVENT["id"]}]


def test_what_it_logs_names_the_event(live_database: Database, log: Log) -> None:
    clean_up()
    (line,) = log.said("cleaned up")
    assert line["request_id"] == EVENT["id"]


def test_it_goes_on_until_nothing_is_left(live_database: Database) -> None:
    fill(live_database, "otp_counters", "3 days", 2 * old_rows.BATCH + 1)
    assert clean_up()["otp_counters"] == 2 * old_rows.BATCH + 1
    assert held(live_database, "otp_counters") == 0


def test_it_stops_when_the_functions_time_is_up(live_database: Database) -> None:
    fill(live_database, "otp_counters", "3 days", 1)
    assert clean_up(seconds=RESERVE_SECONDS) is None
    with deadline.within(0):
        assert cleaning.clean_up(live_database) == dict.fromkeys(OLD_ROWS, 0)
    assert held(live_database, "otp_counters") == 1


def test_two_at_once_share_the_work(live_database: Database, database_url: str) -> None:
    for table in TABLES:
        fill(live_database, table, "8 days", 1500)

    shares = race(database_url, [cleaning.clean_up] * 4)

    for table in TABLES:
        assert sum(share[table] for share in shares) == 1500


def test_what_somebody_holds_is_left_for_the_next_time(live_database: Database) -> None:
    fill(live_database, "otp_challenges", "8 days", 2)
    with live_database.engine.connect() as other:
        other.exec_driver_sql("SELECT 1 FROM otp_challenges LIMIT 1 FOR UPDATE")
        second = Database(live_database._address)
        try:
            assert cleaning.clean_up(second)["otp_challenges"] == 1
        finally:
            second.close()
    assert clean_up()["otp_challenges"] == 1


def test_what_was_deleted_is_measured(
    live_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(live_database, "otp_challenges", "8 days", 3)
    clean_up()
    written = capsys.readouterr().out
    assert '"table":"otp_challenges","RowsCleanedUp":[3.0]' in written
