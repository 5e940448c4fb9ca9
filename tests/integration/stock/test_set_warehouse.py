"""PUT /api/v1/stock/warehouses/{name}: by whose calendar lots expire."""

from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pytest

from fieldgate.db.tables.change_log import change_log
from fieldgate.db.tables.stock import warehouses
from fieldgate.errors import ValidationFailed
from stock.receiving import set_time_zone
from tests.support.gateway import Answer
from tests.support.stock import Depot


def put(depot: Depot, name: str, time_zone: Any, **rest: Any) -> Answer:
    return depot.set_zone(quote(name, safe=""), {"timeZone": time_zone}, **rest)


def zones(depot: Depot) -> dict[str, str]:
    return {row["name"]: row["time_zone"] for row in depot.rows(warehouses)}


def test_a_warehouse_goes_by_the_clock_it_is_given(depot: Depot) -> None:
    depot.add_warehouse("Kisumu")
    answer = put(depot, "Kisumu", "Pacific/Kiritimati")
    assert answer.status == 200
    assert answer.data.keys() == {"name", "timeZone", "createdAt", "updatedAt"}
    assert (answer.data["name"], answer.data["timeZone"]) == ("Kisumu", "Pacific/Kiritimati")
    assert zones(depot) == {"Kisumu": "Pacific/Kiritimati"}


def test_one_that_is_new_is_made(depot: Depot) -> None:
    assert put(depot, "St. Mary's #2, مخزن", "Africa/Cairo").status == 200
    assert zones(depot) == {"St. Mary's #2, مخزن": "Africa/Cairo"}


def test_the_same_clock_again_changes_nothing(depot: Depot) -> None:
    first = put(depot, "Kisumu", "Africa/Cairo")
    assert put(depot, "Kisumu", "Africa/Cairo").data == first.data
    entries = [row for row in depot.rows(change_log) if row["entity"] == "warehouses"]
    assert [(row["action"], row["actor"]) for row in entries] == [("insert", str(depot.manager))]


def test_the_next_round_goes_by_the_new_clock_and_warns_of_nothing_twice(depot: Depot) -> None:
    lot_id = depot.add_lot(expires_on=date(2026, 3, 2))
    put(depot, "Kisumu", "Pacific/Honolulu")
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    depot.alert(noon)
    assert depot.alerts(lot_id) == [(1, "open")]
    put(depot, "Kisumu", "Pacific/Kiritimati")
    depot.alert(noon)
    assert depot.alerts(lot_id) == [(1, "superseded"), (0, "open")]
    put(depot, "Kisumu", "Pacific/Honolulu")
    assert depot.alert(noon)["told"] == 0
    assert depot.alerts(lot_id) == [(1, "superseded"), (0, "open")]


@pytest.mark.parametrize(
    "time_zone",
    [
        *("Nairobi", "africa/nairobi", "UTC+3", "+03:00", "EAT", "", " UTC", "Africa", "localtime"),
        *("../Africa/Nairobi", "/etc/passwd", "Africa/Nairobi\0", "Foo/Bar", 3, None, "a" * 5000),
    ],
)
def test_what_is_no_zones_name_is_refused(depot: Depot, time_zone: Any) -> None:
    answer = put(depot, "Kisumu", time_zone)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == ["timeZone"]
    assert zones(depot) == {}


@pytest.mark.parametrize("name", ["a%2Fb", "a%5Cb", "%25", "%20", "x" * 101, "a%0Ab"])
def test_what_is_no_warehouses_name_is_refused(depot: Depot, name: str) -> None:
    answer = depot.set_zone(name, {"timeZone": "Africa/Nairobi"})
    assert answer.status in {400, 404}
    assert zones(depot) == {}


@pytest.mark.parametrize("content", [{}, {"timeZone": "Africa/Nairobi", "name": "Other"}, []])
def test_the_body_is_a_time_zone_and_nothing_else(depot: Depot, content: Any) -> None:
    assert depot.set_zone("Kisumu", content).status == 400


def test_it_needs_its_permission(depot: Depot) -> None:
    answer = put(depot, "Kisumu", "Africa/Nairobi", may=("stock:read", "stock:write"))
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")


def test_a_zone_that_the_database_does_not_know_is_refused(depot: Depot) -> None:
    """It would fail at each round of a warehouse that goes by it."""
    with pytest.raises(ValidationFailed) as refused:
        set_time_zone(depot.database, "Kisumu", "Mars/Olympus", depot.manager)
    assert [detail.field for detail in refused.value.details] == ["timeZone"]
    assert zones(depot) == {}
