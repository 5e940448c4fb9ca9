"""POST /api/v1/stock/lots: what is registered, and what is refused."""

import uuid
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate.db.tables.configuration import configuration as configured
from fieldgate.db.tables.stock import stock_lots, warehouses
from stock import create_lot
from tests.support.database import count_statements
from tests.support.gateway import call, signed_in
from tests.support.stock import BASE, Depot

PATH = f"{BASE}/lots"


def test_the_answer_is_the_contracts(depot: Depot) -> None:
    answer = depot.create(quantity=12.5, product="  Hybrid maize ", expiresOn="2026-12-31")
    assert answer.status == 201
    data = answer.data
    assert UUID(data.pop("id")).version == 7
    assert data.pop("createdAt").endswith("Z")
    assert data == {
        "product": "Hybrid maize",
        "quantity": 12.5,
        "received": 12.5,
        "unit": "kg",
        "warehouse": "Kisumu",
        "expiresOn": "2026-12-31",
        "alertDays": None,
        "createdBy": str(depot.agent),
    }


def test_it_is_the_callers_and_its_quantity_is_exact(depot: Depot) -> None:
    depot.create(quantity=12345678901.123)
    (row,) = depot.rows(stock_lots)
    assert row["quantity"] == row["received"] == Decimal("12345678901.123")
    assert row["created_by"] == depot.agent


def test_it_costs_one_transaction_of_one_statement(depot: Depot) -> None:
    with count_statements(depot.database) as traffic:
        assert depot.create().status == 201
    assert (traffic.commits, len(traffic.statements), traffic.round_trips) == (1, 1, 2)


def test_what_has_expired_is_taken_all_the_same(depot: Depot) -> None:
    answer = depot.create(expiresOn="2020-02-29")
    assert (answer.status, answer.data["expiresOn"]) == (201, "2020-02-29")


def test_a_warehouse_that_is_new_goes_by_the_clock_that_is_configured(depot: Depot) -> None:
    depot.add_warehouse("Hilo", "Pacific/Honolulu")
    for warehouse in ("Kisumu", "Hilo", "Kisumu"):
        assert depot.create(warehouse=warehouse).status == 201
    zones = {row["name"]: row["time_zone"] for row in depot.rows(warehouses)}
    assert zones == {"Kisumu": "Africa/Nairobi", "Hilo": "Pacific/Honolulu"}


@pytest.mark.parametrize(
    ("value", "active", "zone"),
    [
        ("Asia/Kolkata", True, "Asia/Kolkata"),
        ("Asia/Kolkata", False, "Africa/Nairobi"),
        # Written past our functions: no lot is refused for it, nor is there a clock nobody knows.
        ("Mars/Olympus", True, "Africa/Nairobi"),
        (3, True, "Africa/Nairobi"),
    ],
)
def test_another_clock_may_be_configured_for_new_ones(
    depot: Depot, value: object, active: bool, zone: str
) -> None:
    depot.create(warehouse="Kisumu")
    # What was read before this is kept for half a minute by others, not by who makes a warehouse.
    depot.database.transact(
        lambda connection: connection.execute(
            configured.insert().values(key="STOCK_TIME_ZONE", value=value, active=active)
        )
    )
    assert depot.create(warehouse="Eldoret").status == 201
    depot.create(warehouse="Kisumu")
    zones = {row["name"]: row["time_zone"] for row in depot.rows(warehouses)}
    assert zones == {"Kisumu": "Africa/Nairobi", "Eldoret": zone}


def test_a_key_makes_one_lot_of_two_requests(depot: Depot) -> None:
    first = depot.create(key="one", quantity=0.125)
    again = depot.create(key="one", quantity=0.125)
    assert again.data == first.data
    assert again.headers["idempotency-replayed"] == "true"
    assert len(depot.rows(stock_lots)) == 1
    assert depot.create(key="one", quantity=0.126).error["code"] == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.parametrize("may", [(), ("stock:read",), ("stock:approve", "stock:alerts")])
def test_it_needs_its_permission(depot: Depot, may: tuple[str, ...]) -> None:
    authorizer = signed_in(depot.agent, permissions=may)
    answer = call(create_lot.handler, "POST", PATH, content={}, authorizer=authorizer)
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")


def test_without_a_token_it_is_a_401(depot: Depot) -> None:
    assert call(create_lot.handler, "POST", PATH, content={}).status == 401


def test_who_was_deleted_meanwhile_is_a_401(depot: Depot) -> None:
    authorizer = signed_in(uuid.uuid4(), permissions=["stock:write"])
    content = {"product": "Beans", "quantity": 1, "unit": "kg", "warehouse": "Kisumu"}
    content |= {"expiresOn": "2026-12-31"}
    answer = call(create_lot.handler, "POST", PATH, content=content, authorizer=authorizer)
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    assert depot.rows(warehouses) == []


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"product": ...}, "product"),
        ({"product": " "}, "product"),
        ({"product": "x" * 201}, "product"),
        ({"product": "a\nb"}, "product"),
        ({"product": 5}, "product"),
        ({"unit": "x" * 21}, "unit"),
        ({"warehouse": "x" * 101}, "warehouse"),
        ({"warehouse": "a/b"}, "warehouse"),
        ({"quantity": ...}, "quantity"),
        ({"quantity": "5"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 0.0001}, "quantity"),
        ({"quantity": 1.2345}, "quantity"),
        ({"quantity": 10**11}, "quantity"),
        ({"quantity": float("nan")}, "quantity"),
        ({"quantity": float("inf")}, "quantity"),
        ({"expiresOn": ...}, "expiresOn"),
        ({"expiresOn": "31.12.2026"}, "expiresOn"),
        ({"expiresOn": "2026-02-30"}, "expiresOn"),
        ({"expiresOn": 1772409600}, "expiresOn"),
        ({"received": 5}, "received"),
        ({"createdBy": str(UUID(int=1))}, "createdBy"),
    ],
)
def test_what_is_refused_of_it(depot: Depot, content: dict[str, Any], field: str) -> None:
    answer = depot.create(**content)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert depot.rows(stock_lots) == depot.rows(warehouses) == []


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "5", '{"quantity": ' + "9" * 5000 + "}"])
def test_a_body_that_is_none_is_a_400(depot: Depot, body: str) -> None:
    authorizer = signed_in(depot.agent, permissions=["stock:write"])
    answer = call(create_lot.handler, "POST", PATH, body=body, authorizer=authorizer)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = ("product", "quantity", "unit", "warehouse", "expiresOn", "id")


@settings(
    max_examples=40,  # and no more than one caller may send at once
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1))
def test_whatever_comes_is_taken_or_is_a_400(depot: Depot, content: dict[str, Any]) -> None:
    assert depot.create(**content).status in {201, 400}
