"""Alerts of lots that expire: which are opened, told and closed, and never twice."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from fieldgate.db.tables.stock import stock_alerts
from stock import alert_expiring_stock
from stock.alerting import Round, open_due
from tests.support.gateway import LambdaContext
from tests.support.stock import NOON, TODAY, Depot

DAY = timedelta(days=1)


def good_for(depot: Depot, days: int, **values: object) -> UUID:
    """Add a lot that is good for so many days from `TODAY`."""
    return depot.add_lot(expires_on=TODAY + days * DAY, **values)


@pytest.mark.parametrize(
    ("days", "threshold"),
    [
        *((-400, 0), (-1, 0), (0, 1), (1, 1), (2, 7), (7, 7)),
        *((8, 14), (14, 14), (15, 30), (30, 30), (31, None), (400, None)),
    ],
)
def test_a_lot_gets_the_tightest_threshold_that_holds(
    depot: Depot, days: int, threshold: int | None
) -> None:
    lot_id = good_for(depot, days)
    depot.alert()
    assert depot.open_alerts() == ({} if threshold is None else {lot_id: threshold})


def test_of_a_lot_that_is_gone_nobody_is_warned(depot: Depot) -> None:
    good_for(depot, 5, quantity=0)
    assert depot.alert() == {"opened": 0, "closed": 0, "told": 0}
    assert depot.titles() == []


def test_a_lot_is_warned_of_at_each_threshold_once_and_its_looser_alerts_are_closed(
    depot: Depot,
) -> None:
    lot_id = good_for(depot, 40)
    for day in range(60):
        depot.alert(NOON + day * DAY)
        depot.alert(NOON + day * DAY)
    closed = [(days, "superseded") for days in (30, 14, 7, 1)]
    assert depot.alerts(lot_id) == [*closed, (0, "open")]
    assert depot.titles() == [
        "1 lot expires within 30 days",
        "1 lot expires within 14 days",
        "1 lot expires this week",
        "1 lot expires by tomorrow",
        "1 lot has expired",
    ]
    days = [row["created_at"] for row in depot.notifications("stock_expiry")]
    assert depot.woken == len(days) == 5


def test_a_warehouses_lots_are_told_of_in_one_notification_to_whom_it_concerns(
    depot: Depot,
) -> None:
    admin = depot.add_person("admin")
    for number in range(7):
        good_for(depot, 3 + number % 5, warehouse="Kisumu", product=f"Beans {number}")
    good_for(depot, 20, warehouse="Nakuru")
    assert depot.alert() == {"closed": 0, "opened": 8, "told": 8}
    kisumu, nakuru = depot.notifications("stock_expiry")
    assert kisumu["title"] == "7 lots expire this week"
    assert kisumu["body"].startswith("Kisumu: 7 within 7 days. Among them: Beans 0 (40 kg, 5 Mar")
    assert kisumu["collapse_key"] == "expiry:Kisumu"
    assert nakuru["title"] == "1 lot expires within 30 days"
    assert depot.told(kisumu["id"]) == depot.told(nakuru["id"]) == {admin, depot.manager}
    by = {row["notification_id"] for row in depot.rows(stock_alerts)}
    assert by == {kisumu["id"], nakuru["id"]}
    assert depot.woken == 1


def test_with_nothing_new_nobody_is_told_anything(depot: Depot) -> None:
    good_for(depot, 5)
    depot.alert()
    assert depot.alert() == {"closed": 0, "opened": 0, "told": 0}
    assert len(depot.titles()) == depot.woken == 1


def test_only_what_is_new_is_told(depot: Depot) -> None:
    for _ in range(3):
        good_for(depot, 5)
    depot.alert()
    good_for(depot, 5)
    depot.alert()
    assert depot.titles() == ["3 lots expire this week", "1 lot expires this week"]


# Calendars that are late, or go back


def test_what_was_missed_for_three_days_is_made_up_for(depot: Depot) -> None:
    lots = {days: good_for(depot, days) for days in (2, 8, 9, 15, 31, 33)}
    depot.alert()
    depot.alert(NOON + 3 * DAY)
    assert depot.open_alerts() == {
        lots[2]: 0,
        lots[8]: 7,
        lots[9]: 7,
        lots[15]: 14,
        lots[31]: 30,
        lots[33]: 30,
    }
    assert depot.alerts(lots[2]) == [(7, "superseded"), (0, "open")], "and none at 1 any more"
    assert depot.titles()[-1] == "1 lot has expired, 5 more soon"


def test_a_lot_that_is_seen_late_gets_the_tightest_alone(depot: Depot) -> None:
    lot_id = good_for(depot, 40)
    depot.alert(NOON + 39 * DAY)
    assert depot.alerts(lot_id) == [(1, "open")]
    depot.alert(NOON + 39 * DAY)
    assert len(depot.titles()) == 1


def test_a_clock_that_jumps_forth_and_back_brings_nothing_twice_and_nothing_looser(
    depot: Depot,
) -> None:
    lot_id, later = good_for(depot, 10), good_for(depot, 100)
    depot.alert()
    depot.alert(NOON + 9 * DAY)
    assert depot.alerts(lot_id) == [(14, "superseded"), (1, "open")]
    for day in (0, 4, 9, 10, 3):
        assert depot.alert(NOON + day * DAY)["opened"] == 0
    assert depot.alerts(lot_id) == [(14, "superseded"), (1, "open")]
    depot.alert(NOON + 11 * DAY)
    assert depot.alerts(lot_id)[-1] == (0, "open"), "from where the calendar was right it goes on"
    assert depot.alerts(later) == []


def test_a_jump_of_years_forth_says_once_that_all_has_expired(depot: Depot) -> None:
    lots = [good_for(depot, days) for days in (5, 50, 500)]
    depot.alert(NOON + 3650 * DAY)
    assert depot.open_alerts() == dict.fromkeys(lots, 0)
    for day in (3651, 0, 5, 500, 501):
        assert depot.alert(NOON + day * DAY)["opened"] == 0
    assert depot.titles() == ["3 lots have expired"]


# What is closed


def test_alerts_of_lots_that_went_some_other_way_are_closed_as_well(depot: Depot) -> None:
    gone, here = good_for(depot, 5), good_for(depot, 5)
    depot.alert()
    depot.execute("UPDATE stock_lots SET quantity = 1 WHERE id = :id", id=gone)
    assert depot.alerts(gone) == [(7, "open")]
    depot.execute("UPDATE stock_lots SET quantity = 0 WHERE id = :id", id=gone)
    assert depot.alerts(gone) == [(7, "gone")]
    assert depot.alerts(here) == [(7, "open")]
    depot.alert(NOON + 4 * DAY)
    assert depot.alerts(gone) == [(7, "gone")]


def test_what_nobody_was_told_of_and_is_gone_is_told_to_nobody(depot: Depot) -> None:
    gone = good_for(depot, 5)
    open_due(Round(depot.database, NOON), "Kisumu")
    depot.execute("UPDATE stock_lots SET quantity = 0 WHERE id = :id", id=gone)
    assert depot.alert() == {"opened": 0, "closed": 0, "told": 0}
    assert depot.titles() == []


# The function


def test_the_function_goes_by_the_databases_own_clock(depot: Depot) -> None:
    (today,) = depot.database.read(
        lambda connection: connection.exec_driver_sql(
            "SELECT CAST(now() AT TIME ZONE 'Africa/Nairobi' AS date)"
        ).one()
    )
    lots = [depot.add_lot(expires_on=today + days * DAY) for days in (-1, 0, 7, 14, 30)]
    depot.add_lot(expires_on=today + 40 * DAY)
    done = alert_expiring_stock.handler({"id": "of-an-event"}, LambdaContext(60_000))
    assert done == {"closed": 0, "opened": 5, "told": 5}
    assert list(depot.open_alerts().values()).count(0) == 1
    assert depot.open_alerts().keys() == set(lots)


def test_it_counts_what_it_did(depot: Depot, capsys: pytest.CaptureFixture[str]) -> None:
    lot_id = good_for(depot, 8)
    depot.alert()
    depot.alert(NOON + DAY)
    assert depot.alerts(lot_id) == [(14, "superseded"), (7, "open")]
    measured: dict[str, list[float]] = {}
    for line in capsys.readouterr().out.splitlines():
        metrics = json.loads(line)
        for name in metrics.keys() & {"StockAlertsOpened", "StockAlertsTold", "StockAlertsClosed"}:
            measured.setdefault(name, []).extend(metrics[name])
    assert measured == {
        "StockAlertsOpened": [1, 1],
        "StockAlertsTold": [1, 1],
        "StockAlertsClosed": [0, 1],
    }
