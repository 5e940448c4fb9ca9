"""When the next code may be sent or checked."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fieldgate.errors import RateLimited, Unavailable
from fieldgate.settings import load
from identity.budgets import (
    DAY,
    HOUR,
    TEXTS_KEY,
    BudgetSettings,
    Counter,
    counters_of,
    failures_free_at,
    phone_free_at,
    refuse_overspent,
)

pytestmark = pytest.mark.usefixtures("environment")

BUDGETS = BudgetSettings()
NOW = datetime(2026, 1, 10, 10, 40, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def counters(purpose: str, settings: BudgetSettings = BUDGETS) -> list[Counter]:
    return counters_of(settings, purpose, "+254711000009", "KE", "192.0.2.7")


def keys(purpose: str) -> list[str]:
    return [counter.key for counter in counters(purpose)]


COUNTERS = counters("login")


def wait_after(
    *ago: timedelta, used: dict[str, int] | None = None, purpose: str = "login"
) -> int | None:
    """Return how many seconds the next text must wait, None when it needn't."""
    before = dict.fromkeys(keys(purpose), 0) | (used or {})
    sent_at = [NOW - time for time in ago]
    try:
        refuse_overspent(BUDGETS, counters(purpose), used=before, sent_at=sent_at, now=NOW)
    except (RateLimited, Unavailable) as refusal:
        return int(refusal.headers["retry-after"])
    return None


def minutes(*numbers: float) -> Sequence[timedelta]:
    return [timedelta(minutes=number) for number in numbers]


def test_a_number_gets_one_text_a_minute() -> None:
    assert wait_after() is None
    assert wait_after(timedelta()) == 60
    assert wait_after(SECOND * 59.5) == 1
    assert wait_after(SECOND * 60) is None


def test_a_number_gets_five_texts_in_any_hour() -> None:
    assert wait_after(*minutes(2, 10, 20, 30)) is None
    assert wait_after(*minutes(2, 10, 20, 30, 59)) == 60
    assert wait_after(*minutes(59, 30, 20, 10, 2)) == 60
    assert wait_after(*minutes(2, 10, 20, 30, 60)) is None
    # Where one wait is not enough for the other, the longer is told.
    assert wait_after(*minutes(0.5, 10, 20, 30, 59.9)) == 30


def test_a_number_gets_ten_texts_in_any_day() -> None:
    hours = [HOUR * number for number in range(1, 10)]
    assert wait_after(*hours) is None
    assert wait_after(*hours, DAY - SECOND) == 1
    assert wait_after(*hours, DAY) is None


@pytest.mark.parametrize(
    ("purpose", "key", "limit", "wait"),
    [
        ("register", "hour:ip:192.0.2.7", 300, 1200),
        ("register", "hour:new-prefix:+254711000", 30, 1200),
        ("register", "day:new-prefix:+254711000", 100, 48_000),
        ("register", "day:new-country:KE", 5_000, 48_000),
        ("register", "day:new-texts", 5_000, 48_000),
        ("register", TEXTS_KEY, 10_000, 48_000),
        ("login", "hour:ip:192.0.2.7", 300, 1200),
        ("login", "hour:known-prefix:+254711000", 300, 1200),
        ("login", "day:known-prefix:+254711000", 1_000, 48_000),
        ("login", "day:known-country:KE", 10_000, 48_000),
        ("login", TEXTS_KEY, 10_000, 48_000),
    ],
)
def test_each_counter_has_its_limit_until_its_window_ends(
    purpose: str, key: str, limit: int, wait: int
) -> None:
    assert key in keys(purpose)
    assert wait_after(used={key: limit - 1}, purpose=purpose) is None
    assert wait_after(used={key: limit}, purpose=purpose) == wait


def test_numbers_of_users_and_numbers_that_are_nobodys_have_pools_of_their_own() -> None:
    assert keys("login") == keys("password_reset") == keys("second_factor")
    assert keys("register") == keys("phone_change")
    assert set(keys("login")) & set(keys("register")) == {"hour:ip:192.0.2.7", TEXTS_KEY}


@pytest.mark.parametrize("purpose", ["login", "register"])
def test_counters_are_listed_from_the_narrowest_to_the_widest(purpose: str) -> None:
    kinds = [re.sub("new-|known-", "", ":".join(key.split(":")[:2])) for key in keys(purpose)]
    widest = ["day:texts"] * (2 if purpose == "register" else 1)
    assert kinds == ["hour:ip", "hour:prefix", "day:prefix", "day:country", *widest]


def test_the_smallest_day_has_a_text_for_a_new_number(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTP_DAILY_TEXTS", "1")
    limits = [counter.limit for counter in counters("register", load(BudgetSettings))]
    assert limits[-2:] == [1, 1]


def test_a_number_is_free_when_all_its_budgets_are() -> None:
    assert phone_free_at(BUDGETS, [], NOW) == NOW
    assert phone_free_at(BUDGETS, [NOW - HOUR], NOW) == NOW
    assert phone_free_at(BUDGETS, [NOW], NOW) == NOW + timedelta(minutes=1)
    hours_texts = [NOW - time for time in minutes(40, 30, 20, 10, 0)]
    assert phone_free_at(BUDGETS, hours_texts, NOW) == NOW + timedelta(minutes=20)
    days_texts = [NOW - HOUR * number for number in range(10)]
    assert phone_free_at(BUDGETS, days_texts, NOW) == NOW + HOUR * 15


def test_the_spending_stop_is_said_to_everybody_alike() -> None:
    with pytest.raises(Unavailable):
        refuse_overspent(
            BUDGETS,
            COUNTERS,
            used=dict.fromkeys(keys("login"), 10_000),
            sent_at=[NOW] * 10,
            now=NOW,
        )


def test_windows_are_those_of_utc() -> None:
    local = NOW.astimezone(tz=ZoneInfo("Africa/Nairobi"))
    assert [counter.next_window(local) for counter in COUNTERS] == [
        counter.next_window(NOW) for counter in COUNTERS
    ]


def test_fifteen_failed_checks_a_day_are_enough() -> None:
    failed = [NOW - timedelta(minutes=number) for number in range(14)]
    assert failures_free_at(BUDGETS, failed) is None
    assert failures_free_at(BUDGETS, [*failed, NOW - HOUR]) == NOW - HOUR + DAY
