"""When the next code may be sent or checked."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fieldgate.errors import RateLimited, Unavailable
from identity.budgets import (
    DAY,
    HOUR,
    TEXTS_KEY,
    BudgetSettings,
    counters_of,
    failures_free_at,
    refuse_overspent,
)

pytestmark = pytest.mark.usefixtures("environment")

BUDGETS = BudgetSettings()
NOW = datetime(2026, 1, 10, 10, 40, tzinfo=UTC)
SECOND = timedelta(seconds=1)
COUNTERS = counters_of(BUDGETS, "+254711000009", "KE", "192.0.2.7")


def wait_after(*ago: timedelta, used: dict[str, int] | None = None) -> int | None:
    """Return how many seconds the next text must wait, None when it needn't."""
    before = dict.fromkeys((counter.key for counter in COUNTERS), 0) | (used or {})
    sent_at = [NOW - time for time in ago]
    try:
        refuse_overspent(BUDGETS, COUNTERS, used=before, sent_at=sent_at, now=NOW)
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
    ("key", "limit", "wait"),
    [
        ("hour:ip:192.0.2.7", 300, 1200),
        ("hour:prefix:+254711000", 30, 1200),
        ("day:prefix:+254711000", 100, 48_000),
        ("day:country:KE", 5_000, 48_000),
        (TEXTS_KEY, 10_000, 48_000),
    ],
)
def test_each_counter_has_its_limit_until_its_window_ends(key: str, limit: int, wait: int) -> None:
    assert key in {counter.key for counter in COUNTERS}
    assert wait_after(used={key: limit - 1}) is None
    assert wait_after(used={key: limit}) == wait


def test_the_spending_stop_is_said_to_everybody_alike() -> None:
    with pytest.raises(Unavailable):
        refuse_overspent(
            BUDGETS,
            COUNTERS,
            used=dict.fromkeys((counter.key for counter in COUNTERS), 10_000),
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
