"""By whose calendar a lot expires: its warehouse's, to the second, wherever that is."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock import alert_store
from stock.alerting import Round, open_due
from tests.support.stock import Depot

SECOND = timedelta(seconds=1)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# East of all others and west of nearly all; clocks that change at three, and at midnight.
ZONES = [
    "Pacific/Kiritimati",
    "Pacific/Honolulu",
    "Europe/Berlin",
    "Africa/Cairo",
    "America/Havana",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "UTC",
]


def midnight(day: date, zone: str) -> datetime:
    """Return when a day begins there: of those whose midnight is skipped, that is an hour later."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def threshold_at(depot: Depot, lot_id: UUID, at: datetime) -> int | None:
    """Return the threshold that is opened when the round is made then, and forget it."""
    depot.alert(at)
    found = depot.open_alerts().get(lot_id)
    depot.execute("DELETE FROM stock_alerts")
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("last_day", [date(2026, 3, 2), date(2026, 3, 29), date(2026, 10, 25)])
def test_a_lot_is_good_until_the_last_second_of_its_last_day_there(
    depot: Depot, zone: str, last_day: date
) -> None:
    depot.add_warehouse("Here", zone)
    lot_id = depot.add_lot(warehouse="Here", expires_on=last_day)
    over = midnight(last_day + timedelta(days=1), zone)
    assert threshold_at(depot, lot_id, over - SECOND) == 1
    assert threshold_at(depot, lot_id, over) == 0


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("days", "threshold"), [(1, 1), (7, 7), (14, 14), (30, 30)])
def test_a_threshold_holds_from_the_first_second_of_a_day_there(
    depot: Depot, zone: str, days: int, threshold: int
) -> None:
    """In the weeks of which the clocks of some change."""
    depot.add_warehouse("Here", zone)
    last_day = date(2026, 4, 10)
    lot_id = depot.add_lot(warehouse="Here", expires_on=last_day)
    begins = midnight(last_day - timedelta(days=days), zone)
    looser = {1: 7, 7: 14, 14: 30, 30: None}[threshold]
    assert threshold_at(depot, lot_id, begins - SECOND) == looser
    assert threshold_at(depot, lot_id, begins) == threshold


def test_at_one_moment_lots_of_one_day_have_expired_in_one_place_and_not_in_another(
    depot: Depot,
) -> None:
    last_day = date(2026, 3, 2)
    lots = {}
    for zone in ("Pacific/Kiritimati", "Africa/Nairobi", "Pacific/Honolulu"):
        depot.add_warehouse(zone.replace("/", " "), zone)
        lots[zone] = depot.add_lot(warehouse=zone.replace("/", " "), expires_on=last_day)
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    depot.alert(at)
    assert depot.open_alerts() == {
        lots["Pacific/Kiritimati"]: 0,  # two in the morning of the third
        lots["Africa/Nairobi"]: 1,
        lots["Pacific/Honolulu"]: 1,
    }
    depot.alert(at + timedelta(hours=22))
    assert depot.open_alerts()[lots["Pacific/Honolulu"]] == 0


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Honolulu"])
def test_no_lot_is_passed_by_because_it_is_another_day_elsewhere(depot: Depot, zone: str) -> None:
    """Which warehouses are concerned at all is asked before any calendar is looked at."""
    depot.add_warehouse("Here", zone)
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    there = at.astimezone(ZoneInfo(zone)).date()
    lot_id = depot.add_lot(warehouse="Here", expires_on=there + timedelta(days=30))
    depot.alert(at)
    assert depot.open_alerts() == {lot_id: 30}


def tightest(days_left: int) -> int | None:
    if days_left < 0:
        return 0
    return next((days for days in (1, 7, 14, 30) if days_left <= days), None)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    at=st.timedeltas(timedelta(0), timedelta(days=36_500)).map(lambda since: EPOCH + since),
    zone=st.sampled_from(ZONES),
    days=st.lists(st.integers(-5, 40), min_size=1, max_size=5),
)
def test_days_left_are_those_of_the_calendar_there(
    depot: Depot, at: datetime, zone: str, days: list[int]
) -> None:
    today = at.astimezone(ZoneInfo(zone)).date()
    depot.execute("DELETE FROM stock_lots")
    depot.execute("DELETE FROM warehouses")
    depot.add_warehouse("Here", zone)
    expected = {}
    for number in days:
        lot_id = depot.add_lot(warehouse="Here", expires_on=today + timedelta(days=number))
        expected[lot_id] = tightest(number)
    open_due(Round(depot.database, at), "Here")
    assert depot.open_alerts() == {lot: days for lot, days in expected.items() if days is not None}


def test_without_another_moment_it_is_now(depot: Depot) -> None:
    depot.add_warehouse("Here", "Pacific/Kiritimati")
    today = depot.database.transact(
        lambda connection: alert_store.lock_warehouse(connection, "Here", None)
    )
    assert abs(today - datetime.now(ZoneInfo("Pacific/Kiritimati")).date()) <= timedelta(days=1)
