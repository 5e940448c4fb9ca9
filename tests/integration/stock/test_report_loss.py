"""POST and GET /api/v1/stock/losses: what is reported, who is asked, and what is refused."""

import uuid
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate.db.tables.push import notifications
from fieldgate.db.tables.stock import stock_losses
from fieldgate.push.notifying import DUE
from stock import list_losses, report_loss
from tests.support.database import count_statements
from tests.support.gateway import call, signed_in
from tests.support.sqs import LocalSqs
from tests.support.stock import BASE, Depot

PATH = f"{BASE}/losses"


def test_the_answer_is_the_contracts(depot: Depot) -> None:
    lot_id = depot.add_lot()
    answer = depot.report(lot_id, 2.5, reason="  The roof leaks ")
    assert answer.status == 201
    data = answer.data
    assert UUID(data.pop("id")).version == 7
    assert data.pop("createdAt").endswith("Z")
    assert data == {
        "lotId": str(lot_id),
        "quantity": 2.5,
        "reason": "The roof leaks",
        "state": "pending",
        "reportedBy": str(depot.agent),
        "decidedBy": None,
        "decidedAt": None,
    }
    assert depot.left_of(lot_id) == 40, "nothing is taken until somebody approves"


def test_it_costs_one_transaction_of_three_statements(depot: Depot) -> None:
    lot_id = depot.add_lot()
    with count_statements(depot.database) as traffic:
        depot.report(lot_id)
    assert (traffic.commits, len(traffic.statements), traffic.round_trips) == (1, 3, 4)


def test_whoever_may_approve_is_asked_but_for_who_reported_it(
    depot: Depot, push_queue: LocalSqs
) -> None:
    admin, other = depot.add_person("admin"), depot.add_person("warehouse_manager")
    depot.add_person("farmer")
    lot_id = depot.add_lot()
    depot.agent = other
    loss_id = depot.reported(lot_id)
    (row,) = depot.notifications("stock_loss_approval")
    assert depot.told(row["id"]) == {admin, depot.manager}
    assert row["collapse_key"] == f"loss:{loss_id}"
    assert row["data"] == {
        "type": "stock_loss_approval",
        "lossId": loss_id,
        "lotId": str(lot_id),
    }
    (record,) = push_queue.receive()["Records"]
    assert record["body"] == DUE


def test_what_is_left_is_the_most_that_can_be_lost(depot: Depot) -> None:
    lot_id = depot.add_lot(quantity=4.125, received=40)
    assert depot.report(lot_id, 4.125).status == 201
    answer = depot.report(lot_id, 4.126)
    assert (answer.status, answer.error["code"]) == (422, "INSUFFICIENT_STOCK")
    assert len(depot.rows(stock_losses)) == len(depot.rows(notifications)) == 1


def test_what_others_report_of_it_is_not_counted_as_they_may_be_rejected(depot: Depot) -> None:
    lot_id = depot.add_lot(quantity=10)
    assert [depot.report(lot_id, 10).status for _ in range(3)] == [201, 201, 201]


def test_of_a_lot_that_is_gone_nothing_is_lost(depot: Depot) -> None:
    assert depot.report(depot.add_lot(quantity=0), 0.001).status == 422


def test_a_lot_that_is_not_there_is_a_404(depot: Depot) -> None:
    answer = depot.report(uuid.uuid4())
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


def test_a_key_reports_once_and_asks_once(depot: Depot, push_queue: LocalSqs) -> None:
    lot_id = depot.add_lot()
    first = depot.report(lot_id, key="one")
    again = depot.report(lot_id, key="one")
    assert again.data == first.data
    assert len(depot.rows(stock_losses)) == len(depot.rows(notifications)) == 1
    assert depot.report(lot_id, 6, key="one").status == 409


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"lotId": ...}, "lotId"),
        ({"lotId": "1"}, "lotId"),
        ({"lotId": None}, "lotId"),
        ({"quantity": ...}, "quantity"),
        ({"quantity": "5"}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -5}, "quantity"),
        ({"quantity": 0.0005}, "quantity"),
        ({"quantity": 10**11}, "quantity"),
        ({"reason": ...}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"state": "approved"}, "state"),
        ({"reportedBy": str(UUID(int=1))}, "reportedBy"),
    ],
)
def test_what_is_refused_of_it(depot: Depot, content: dict[str, Any], field: str) -> None:
    answer = depot.report(depot.add_lot(), **content)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert depot.rows(stock_losses) == []


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)


@settings(
    max_examples=40,  # and no more than one caller may send at once
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(quantity=ANY, reason=ANY)
def test_whatever_comes_is_taken_or_refused(depot: Depot, quantity: Any, reason: Any) -> None:
    lot_id = depot.add_lot()
    answer = depot.report(lot_id, quantity, reason=reason)
    assert answer.status in {201, 400, 422}


@pytest.mark.parametrize("may", [(), ("stock:read",), ("stock:approve",)])
def test_reporting_needs_its_permission(depot: Depot, may: tuple[str, ...]) -> None:
    authorizer = signed_in(depot.agent, permissions=may)
    assert call(report_loss.handler, "POST", PATH, content={}, authorizer=authorizer).status == 403
    assert call(report_loss.handler, "POST", PATH, content={}).status == 401


def test_who_was_deleted_meanwhile_is_a_401(depot: Depot) -> None:
    lot_id = depot.add_lot()
    depot.agent = uuid.uuid4()
    assert depot.report(lot_id).status == 401


# Pages


def test_a_page_of_losses_is_newest_first_and_may_be_of_a_state(depot: Depot) -> None:
    lot_id = depot.add_lot()
    losses = [depot.reported(lot_id, 1) for _ in range(4)][::-1]
    depot.decide(losses[1], "approve")
    depot.decide(losses[2], "reject")
    answer = depot.losses(pageSize="3")
    assert [loss["id"] for loss in answer.data] == losses[:3]
    assert answer.json()["pagination"]["total"] == 4
    assert [loss["state"] for loss in answer.data] == ["pending", "approved", "rejected"]
    assert [loss["id"] for loss in depot.losses(state="pending").data] == [losses[0], losses[3]]
    assert [loss["id"] for loss in depot.losses(state="approved").data] == [losses[1]]


def test_a_page_is_one_statement(depot: Depot) -> None:
    depot.reported(depot.add_lot())
    with count_statements(depot.database) as traffic:
        depot.losses(state="pending")
    assert (len(traffic.statements), traffic.round_trips) == (1, 1)


def test_a_state_is_one_of_three(depot: Depot) -> None:
    answer = depot.losses(state="lost")
    assert (answer.status, answer.error["details"][0]["field"]) == (400, "state")


def test_a_page_needs_its_permission(depot: Depot) -> None:
    authorizer = signed_in(depot.agent, permissions=["stock:write", "stock:approve"])
    assert call(list_losses.handler, "GET", PATH, authorizer=authorizer).status == 403
    assert call(list_losses.handler, "GET", PATH).status == 401
