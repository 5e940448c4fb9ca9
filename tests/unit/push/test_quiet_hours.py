"""Quiet hours are those of the place where somebody is, over midnight and changes of clocks."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push.quiet_hours import quiet_until
from tests.support.log import recorded_log

NAIROBI = "Africa/Nairobi"  # three hours ahead
YEARS = datetime(2024, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-10 18:59", None),
        ("2026-03-10 19:00", "2026-03-11 03:00"),
        ("2026-03-10 23:30", "2026-03-11 03:00"),
        ("2026-03-11 02:59:59.999999", "2026-03-11 03:00"),
        ("2026-03-11 03:00", None),
        ("2026-03-11 12:00", None),
    ],
)
def test_over_midnight_they_end_the_next_morning(now: str, until: str | None) -> None:
    found = quiet_until(at(now), time(22), time(6), NAIROBI)
    assert found == (at(until) if until else None)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-10 08:59", None),
        ("2026-03-10 09:00", "2026-03-10 11:00"),
        ("2026-03-10 10:59", "2026-03-10 11:00"),
        ("2026-03-10 11:00", None),
    ],
)
def test_within_a_day_they_end_the_same_day(now: str, until: str | None) -> None:
    found = quiet_until(at(now), time(12), time(14), NAIROBI)
    assert found == (at(until) if until else None)


def test_they_follow_the_clocks() -> None:
    """In Berlin the night of 2026-03-29 has an hour less, and that of 2026-10-25 one more."""
    spring = quiet_until(at("2026-03-28 21:30"), time(22), time(6), "Europe/Berlin")
    assert spring == at("2026-03-29 04:00")
    autumn = quiet_until(at("2026-10-24 20:30"), time(22), time(6), "Europe/Berlin")
    assert autumn == at("2026-10-25 05:00")


def test_a_zone_that_is_no_more_keeps_nobody_from_hearing() -> None:
    with recorded_log() as log:
        assert quiet_until(at("2026-03-10 23:30"), time(22), time(6), "Africa/Atlantis") is None
    assert log.said("no such time zone")


@given(
    now=st.integers(0, 6 * 366 * 86_400).map(lambda seconds: YEARS + timedelta(seconds=seconds)),
    begin=st.times(),
    end=st.times(),
    zone=st.sampled_from(
        [NAIROBI, "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "Australia/Lord_Howe"]
    ),
)
def test_they_are_over_within_a_day_at_their_end(
    now: datetime, begin: time, end: time, zone: str
) -> None:
    until = quiet_until(now, begin, end, zone)
    if until is not None:
        assert now < until <= now + timedelta(hours=26)
        back = until.astimezone(ZoneInfo(zone))
        # A time that the clocks skip is shown as another one.
        skipped = datetime.combine(back.date(), end, ZoneInfo(zone)).astimezone(UTC)
        assert back.time() == end or skipped.astimezone(ZoneInfo(zone)).time() != end
        assert quiet_until(until, begin, end, zone) is None or begin == end
