"""What may be sent, on a real database: budgets that a new code does not reset."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from fieldgate.db.engine import Database
from identity.budgets import BudgetSettings
from tests.support.gateway import Answer, signed_in
from tests.support.log import Log
from tests.support.one_time_codes import (
    PHONE,
    change,
    code_of,
    let_pass,
    resend,
    rows,
    send,
    sign_up,
    turn_no_window,
    verify,
    without_meta,
    wrong_code_of,
)
from tests.support.people import Person, register

# By setting: a value for which one text is enough, how long to wait after it, and which number
# can't be registered then.
TOO_MANY = {
    "otp_phone_sends_per_hour": (1, "59 minutes", PHONE),
    "otp_phone_sends_per_day": (1, "23 hours", PHONE),
    "otp_seconds_between_sends": (1800, "29 minutes", PHONE),
    "otp_phone_failures_per_day": (1, "0 seconds", PHONE),
    "otp_ip_sends_per_hour": (1, "0 seconds", "+256772000010"),
    "otp_prefix_sends_per_hour": (1, "0 seconds", "+254711000010"),
    "otp_prefix_sends_per_day": (1, "0 seconds", "+254711000010"),
    "otp_country_sends_per_day": (1, "0 seconds", "+254722000010"),
    "otp_daily_texts": (1, "0 seconds", "+254722000010"),
}

pytestmark = pytest.mark.usefixtures("live_database")


def assert_limited(answer: Answer, seconds: range | None = None) -> None:
    assert (answer.status, answer.error["code"]) == (429, "RATE_LIMITED"), answer.json()
    wait = int(answer.headers["retry-after"])
    assert wait in (seconds or range(1, 86_401))


def counters(database: Database) -> dict[str, int]:
    """Return what was used of each, in all windows together."""
    found = rows(database, "SELECT key, sum(used)::int AS used FROM otp_counters GROUP BY key")
    return {row["key"]: row["used"] for row in found}


def spend(database: Database, key: str, used: int) -> None:
    """Say that so much of a counter was used in its window that is now, and in the next."""
    change(
        database,
        "INSERT INTO otp_counters (key, window_start, used)"
        " VALUES (:key, date_trunc(split_part(:key, ':', 1), now(), 'UTC'), :used)",
        key=key,
        used=used,
    )
    turn_no_window(database)


def test_a_number_gets_one_text_a_minute_whatever_it_is_for(live_database: Database) -> None:
    assert send().status == 202
    for again in (send(), send(purpose="password_reset"), sign_up()):
        assert_limited(again, range(55, 61))

    let_pass(live_database, "61 seconds")
    assert send(purpose="password_reset").status == 202


def test_a_number_gets_five_texts_an_hour_and_ten_a_day(live_database: Database) -> None:
    for sent in range(10):
        if sent == 5:
            assert_limited(send(), range(3000, 3601))
            let_pass(live_database, "1 hour")
        assert send().status == 202
        let_pass(live_database, "61 seconds")

    let_pass(live_database, "2 hours")
    assert_limited(send(), range(70_000, 86_400))
    let_pass(live_database, "21 hours")
    assert send().status == 202


def test_the_answer_tells_when_the_numbers_next_text_is_allowed(live_database: Database) -> None:
    waits = []
    for _ in range(6):
        (row,) = rows(live_database, "SELECT now() AS now")
        answer = send()
        moment = datetime.fromisoformat(answer.data["resendAfter"])
        waits.append(round((moment - row["now"]).total_seconds() / 60))
        let_pass(live_database, "11 minutes" if len(waits) < 5 else "1 hour")
    # The fifth uses up an hour's budget, of which the first was spent 44 minutes before.
    assert waits == [1, 1, 1, 1, 16, 1]


def test_the_ways_to_write_a_number_share_its_budget(live_database: Database) -> None:
    assert send("+254 711 000 009").status == 202
    for alias in ("00254711000009", "0711000009", "254711000009", "711 000009", "0711-000-009"):
        assert_limited(send(alias))

    (row,) = rows(live_database, "SELECT phone, cardinality(sent_at) AS sent FROM otp_phones")
    assert row == {"phone": PHONE, "sent": 1}


def test_what_is_refused_spends_nothing(live_database: Database) -> None:
    send()
    before = counters(live_database), rows(live_database, "SELECT * FROM otp_phones")
    challenges = rows(live_database, "SELECT id FROM otp_challenges")

    for _ in range(3):
        assert_limited(send())

    assert (counters(live_database), rows(live_database, "SELECT * FROM otp_phones")) == before
    assert rows(live_database, "SELECT id FROM otp_challenges") == challenges


@pytest.mark.parametrize(
    ("ask", "key", "limit"),
    [
        (send, "hour:ip:192.0.2.7", 300),
        (send, "hour:known-prefix:+254711000", 300),
        (send, "day:known-prefix:+254711000", 1_000),
        (send, "day:known-country:KE", 10_000),
        (sign_up, "hour:ip:192.0.2.7", 300),
        (sign_up, "hour:new-prefix:+254711000", 30),
        (sign_up, "day:new-prefix:+254711000", 100),
        (sign_up, "day:new-country:KE", 5_000),
        (sign_up, "day:new-texts", 5_000),
    ],
)
def test_addresses_ranges_and_countries_have_their_limits(
    live_database: Database, ask: Callable[..., Answer], key: str, limit: int
) -> None:
    register(live_database, Person("", None))
    spend(live_database, key, limit - 1)
    assert ask().status == 202
    turn_no_window(live_database)
    # A number that nobody has is refused like one that somebody has.
    assert_limited(ask("+254711000010"))

    # Windows that are over don't count.
    change(live_database, "UPDATE otp_counters SET window_start = window_start - interval '3 days'")
    assert ask("+254711000010").status == 202


def test_a_range_cannot_be_pumped_number_by_number(live_database: Database) -> None:
    answers = []
    for last in range(35):
        answers.append(sign_up(f"+254711777{last:03}"))
        turn_no_window(live_database)

    assert [answer.status for answer in answers] == [202] * 30 + [429] * 5
    for table in ("otp_challenges", "registrations", "sms_messages"):
        assert rows(live_database, f"SELECT count(*) FROM {table}") == [{"count": 30}]


def test_pumping_by_new_phones_of_a_user_spends_the_same(live_database: Database) -> None:
    caller = signed_in(register(live_database, Person("", None)).id)
    spend(live_database, "hour:new-prefix:+254711777", 30)
    assert_limited(send("+254711777001", "phone_change", authorizer=caller))


@pytest.mark.parametrize("purpose", ["login", "password_reset"])
def test_numbers_that_nobody_has_spend_nothing_of_those_of_users(
    live_database: Database, purpose: str
) -> None:
    register(live_database, Person("", None))
    for last in range(40):
        assert send(f"+2547110001{last:02}", purpose).status == 202

    assert {key: used for key, used in counters(live_database).items() if used} == {
        "hour:ip:192.0.2.7": 40
    }
    assert send(purpose=purpose).status == 202
    assert rows(live_database, "SELECT phone FROM sms_messages") == [{"phone": PHONE}]


@pytest.mark.parametrize(
    "key",
    [
        "hour:new-prefix:+254711000",
        "day:new-prefix:+254711000",
        "day:new-country:KE",
        "day:new-texts",
    ],
)
def test_a_flood_of_registrations_keeps_no_user_from_signing_in(
    live_database: Database, key: str
) -> None:
    register(live_database, Person("", None))
    spend(live_database, key, 5_000)
    assert_limited(sign_up("+254711000010"))

    challenge = send()
    assert verify(challenge, code_of(challenge)).status == 200


def test_users_who_sign_in_keep_nobody_from_registering(live_database: Database) -> None:
    spend(live_database, "hour:known-prefix:+254711000", 300)
    spend(live_database, "day:known-country:KE", 10_000)
    assert sign_up().status == 202


def test_which_budget_was_used_up_is_measured_without_naming_a_person(
    live_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    spend(live_database, "hour:known-prefix:+254711000", 300)
    send()
    printed = capsys.readouterr().out
    assert '"budget":"hour:known-prefix"' in printed
    assert PHONE[:-3] not in printed


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "198.51.100.1"},
        {"x-forwarded-for": "198.51.100.1, 192.0.2.99", "x-real-ip": "198.51.100.1"},
        {"forwarded": "for=198.51.100.1", "cf-connecting-ip": "198.51.100.1"},
        {"true-client-ip": "198.51.100.1", "client-ip": "198.51.100.1"},
    ],
)
def test_the_address_is_the_gateways_and_no_headers(
    live_database: Database, headers: dict[str, str]
) -> None:
    send(headers=headers)
    assert "hour:ip:192.0.2.7" in counters(live_database)
    assert not any("198.51" in key for key in counters(live_database))


def test_one_customers_ipv6_addresses_are_one(live_database: Database) -> None:
    send("+254711000010", source_ip="2001:db8:1:2::1")
    send("+254711000011", source_ip="2001:db8:1:2:ffff::2")
    assert counters(live_database)["hour:ip:2001:db8:1:2::/64"] == 2


def test_the_spending_stop_counts_what_is_really_texted(live_database: Database) -> None:
    register(live_database, Person("", None))
    send("+254711000010")
    assert counters(live_database)["day:texts"] == 0
    send()
    assert counters(live_database)["day:texts"] == 1


@pytest.mark.parametrize("phone", [PHONE, "+254711000010"])
def test_the_spending_stop_is_for_everybody_alike(
    live_database: Database, environment: Any, log: Log, phone: str
) -> None:
    register(live_database, Person("", None))
    environment.setenv("OTP_DAILY_TEXTS", "7")
    spend(live_database, "day:texts", 7)

    answer = send(phone)

    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) <= 86_400
    assert without_meta(answer) == without_meta(send("+254711000011"))
    assert rows(live_database, "SELECT * FROM sms_messages") == []


def test_the_spending_stop_is_measured(
    live_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    spend(live_database, "day:texts", 10_000)
    send()
    assert '"OtpSpendingStop":[1.0]' in capsys.readouterr().out


def test_the_last_text_of_the_day_is_sent(live_database: Database) -> None:
    register(live_database, Person("", None))
    spend(live_database, "day:texts", 9_999)
    assert send().status == 202
    turn_no_window(live_database)
    assert send("+254711000010").status == 503


@pytest.mark.parametrize("setting", BudgetSettings.model_fields)
def test_every_budget_can_be_set(live_database: Database, environment: Any, setting: str) -> None:
    register(live_database, Person("", None))
    value, passes, phone = TOO_MANY[setting]
    environment.setenv(setting.upper(), str(value))
    challenge = sign_up()
    assert challenge.status == 202
    turn_no_window(live_database)
    let_pass(live_database, passes)

    match setting:
        case "otp_phone_failures_per_day":
            assert verify(challenge, wrong_code_of(challenge)).status == 401
            assert_limited(verify(challenge, code_of(challenge)))
        case "otp_daily_texts":
            assert sign_up(phone).status == 503
        case _:
            assert_limited(sign_up(phone))


def test_fifteen_wrong_codes_a_day_end_all_checks_of_a_number(live_database: Database) -> None:
    register(live_database, Person("", None))
    wrong = 0
    while wrong < 15:
        challenge = send()
        assert challenge.status == 202
        for _ in range(5):
            assert verify(challenge, wrong_code_of(challenge)).status == 401
            wrong += 1
        assert verify(challenge, wrong_code_of(challenge)).status == (410 if wrong < 15 else 429)
        let_pass(live_database, "61 seconds")

    # A new code doesn't help, and the right one neither.
    challenge = send()
    assert challenge.status == 202
    limited = verify(challenge, code_of(challenge))
    assert_limited(limited, range(80_000, 86_401))
    assert_limited(verify(challenge, wrong_code_of(challenge)))
    query = "SELECT attempts FROM otp_challenges ORDER BY created_at DESC LIMIT 1"
    assert rows(live_database, query) == [{"attempts": 0}]

    let_pass(live_database, "1 day")
    challenge = send()
    assert verify(challenge, code_of(challenge)).status == 200


def test_wrong_codes_of_another_number_do_not_count(live_database: Database) -> None:
    register(live_database, Person("", None))
    change(
        live_database,
        "INSERT INTO otp_phones (phone, failed_at)"
        " VALUES ('+254711000010', array_fill(now(), ARRAY[15]))",
    )
    challenge = send()
    assert verify(challenge, code_of(challenge)).status == 200


def test_sending_again_spends_the_same_budgets(live_database: Database) -> None:
    register(live_database, Person("", None))
    challenge = send()
    assert_limited(resend(challenge), range(55, 61))
    let_pass(live_database, "61 seconds")
    assert resend(challenge).status == 202
    assert counters(live_database)["hour:known-prefix:+254711000"] == 2

    let_pass(live_database, "61 seconds")
    spend_all = "UPDATE otp_counters SET used = 300 WHERE key LIKE 'hour:known-prefix:%'"
    change(live_database, spend_all)
    turn_no_window(live_database)
    assert_limited(resend(challenge))


def test_sending_a_registrations_text_again_spends_the_pool_of_registrations(
    live_database: Database,
) -> None:
    challenge = sign_up()
    let_pass(live_database, "61 seconds")
    assert resend(challenge).status == 202
    used = counters(live_database)
    assert (used["hour:new-prefix:+254711000"], used["day:new-texts"]) == (2, 2)
    assert not any("known" in key for key in used)


def test_sending_again_what_nobody_gets_spends_only_the_addresss(live_database: Database) -> None:
    challenge = send()
    let_pass(live_database, "61 seconds")
    assert resend(challenge).status == 202
    assert {key: used for key, used in counters(live_database).items() if used} == {
        "hour:ip:192.0.2.7": 2
    }
