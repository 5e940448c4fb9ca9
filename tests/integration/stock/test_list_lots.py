"""GET /api/v1/stock/lots: pages, filters, and what is open of each lot."""

from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from stock import list_lots
from tests.support.database import count_statements
from tests.support.gateway import call, signed_in
from tests.support.stock import BASE, NOON, TODAY, Depot

PATH = f"{BASE}/lots"


def today_in(zone: str) -> date:
    return datetime.now(ZoneInfo(zone)).date()


def ids(depot: Depot, **query: str) -> list[UUID]:
    answer = depot.lots(**query)
    assert answer.status == 200, answer.error
    return [UUID(lot["id"]) for lot in answer.data]


def test_a_page_is_newest_first_and_says_how_many_there_are(depot: Depot) -> None:
    lots = [depot.add_lot(product=f"Beans {number}") for number in range(5)][::-1]
    answer = depot.lots(page="2", pageSize="2")
    assert [UUID(lot["id"]) for lot in answer.data] == lots[2:4]
    pagination = answer.json()["pagination"]
    assert (pagination["total"], pagination["totalPages"]) == (5, 3)
    assert answer.data[0].keys() == depot.create().data.keys()


def test_it_is_one_statement(depot: Depot) -> None:
    depot.add_lot()
    with count_statements(depot.database) as traffic:
        depot.lots(warehouse="Kisumu", expiringWithin="30")
    assert (len(traffic.statements), traffic.round_trips) == (1, 1)


def test_what_is_left_stands_beside_what_came(depot: Depot) -> None:
    depot.add_lot(quantity=1.5, received=40)
    (lot,) = depot.lots().data
    assert (lot["quantity"], lot["received"]) == (1.5, 40)


def test_of_one_warehouse(depot: Depot) -> None:
    here = depot.add_lot(warehouse="Nakuru North")
    depot.add_lot(warehouse="Nakuru")
    assert ids(depot, warehouse="Nakuru North") == [here]
    assert ids(depot, warehouse=" Nakuru North ") == [here]
    assert ids(depot, warehouse="Nowhere") == []


def test_what_expires_soon_is_told_by_the_calendar_of_its_warehouse(depot: Depot) -> None:
    depot.add_warehouse("Kiritimati", "Pacific/Kiritimati")
    depot.add_warehouse("Honolulu", "Pacific/Honolulu")
    # The two clocks show the same hour and are a day apart.
    east, west = (today_in(f"Pacific/{name}") for name in ("Kiritimati", "Honolulu"))
    assert east - west == timedelta(days=1)
    in_east = depot.add_lot(warehouse="Kiritimati", expires_on=east + timedelta(days=7))
    depot.add_lot(warehouse="Kiritimati", expires_on=east + timedelta(days=8))
    in_west = depot.add_lot(warehouse="Honolulu", expires_on=west + timedelta(days=7))
    depot.add_lot(warehouse="Honolulu", expires_on=east + timedelta(days=7))
    assert ids(depot, expiringWithin="7") == [in_west, in_east]
    assert ids(depot, expiringWithin="7", warehouse="Honolulu") == [in_west]
    assert len(ids(depot, expiringWithin="8")) == 4


def test_what_has_expired_is_among_it_and_what_is_gone_is_not(depot: Depot) -> None:
    expired = depot.add_lot(expires_on=date(2020, 1, 1))
    depot.add_lot(expires_on=date(2020, 1, 1), quantity=0)
    depot.add_lot(expires_on=today_in("Africa/Nairobi") + timedelta(days=1))
    assert ids(depot, expiringWithin="0") == [expired]
    assert len(ids(depot)) == 3


def test_a_lot_shows_the_threshold_of_its_open_alert(depot: Depot) -> None:
    for days in (40, 20, -1):
        depot.add_lot(expires_on=TODAY + timedelta(days=days))
    depot.alert()
    assert [lot["alertDays"] for lot in depot.lots().data] == [0, 30, None]
    depot.alert(NOON + timedelta(days=10))
    assert [lot["alertDays"] for lot in depot.lots().data] == [0, 14, 30]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"expiringWithin": "-1"}, "expiringWithin"),
        ({"expiringWithin": "3651"}, "expiringWithin"),
        ({"expiringWithin": "soon"}, "expiringWithin"),
        ({"expiringWithin": "9" * 50}, "expiringWithin"),
        ({"warehouse": ""}, "warehouse"),
        ({"warehouse": "a/b"}, "warehouse"),
        ({"pageSize": "101"}, "pageSize"),
        ({"page": "0"}, "page"),
        ({"product": "Beans"}, "product"),
    ],
)
def test_what_is_refused(depot: Depot, query: dict[str, str], field: str) -> None:
    answer = depot.lots(**query)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]


def test_it_needs_its_permission(depot: Depot) -> None:
    authorizer = signed_in(depot.agent, permissions=["stock:write"])
    assert call(list_lots.handler, "GET", PATH, authorizer=authorizer).status == 403
    assert call(list_lots.handler, "GET", PATH).status == 401
