"""Losses that are decided at the same moment, by several and in both ways."""

from collections import Counter
from functools import partial
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.tables.stock import stock_losses
from fieldgate.http.idempotency import IdempotentRequest
from stock.loss_store import Verdict
from stock.receiving import NewLot, add_lot
from stock.reporting import NewLoss, report
from tests.support.racing import outcomes, race
from tests.support.stock import TODAY, Depot

MANY = 10


@pytest.fixture
def managers(depot: Depot) -> list[UUID]:
    return [depot.add_person("warehouse_manager") for _ in range(MANY)]


def states(depot: Depot) -> Counter[str]:
    return Counter(row["state"] for row in depot.rows(stock_losses))


def test_of_many_who_approve_at_once_one_does_and_it_is_taken_once(
    depot: Depot, database_url: str, managers: list[UUID]
) -> None:
    lot_id = depot.add_lot()
    loss_id = depot.reported(lot_id)
    works = [partial(depot.decide_on, loss_id, by=manager) for manager in managers]
    assert outcomes(database_url, works) == {"approved": 1, "CONFLICT": MANY - 1}
    assert depot.left_of(lot_id) == 35
    (row,) = depot.notifications("stock_loss_decision")
    assert row["created_by"] == depot.loss(loss_id)["decided_by"]


def test_the_same_request_many_times_at_once_is_done_once(depot: Depot, database_url: str) -> None:
    lot_id = depot.add_lot()
    loss_id = depot.reported(lot_id)
    works = [partial(depot.decide_on, loss_id, key="one")] * MANY
    came_of_it = outcomes(database_url, works)
    assert came_of_it["approved"] >= 1
    assert came_of_it.keys() <= {"approved", "CONFLICT"}
    assert depot.decide_on(loss_id, depot.database, key="one") == "approved"
    assert depot.left_of(lot_id) == 35
    assert len(depot.notifications("stock_loss_decision")) == 1


def test_of_an_approval_and_a_rejection_at_once_one_counts(
    depot: Depot, database_url: str, managers: list[UUID]
) -> None:
    lot_id = depot.add_lot(quantity=20)
    losses = [depot.reported(lot_id, 2) for _ in range(MANY // 2)]
    verdicts: tuple[Verdict, Verdict] = ("approved", "rejected")
    works = [
        partial(depot.decide_on, losses[number // 2], verdict=verdicts[number % 2], by=manager)
        for number, manager in enumerate(managers)
    ]
    came_of_it = outcomes(database_url, works)
    assert came_of_it["CONFLICT"] == len(losses)
    assert came_of_it == states(depot) + Counter({"CONFLICT": len(losses)})
    assert depot.left_of(lot_id) == 20 - 2 * came_of_it["approved"]
    assert len(depot.notifications("stock_loss_decision")) == len(losses)


def test_approvals_at_once_take_no_more_than_is_there(
    depot: Depot, database_url: str, managers: list[UUID]
) -> None:
    lot_id = depot.add_lot(quantity=10, expires_on=TODAY)
    depot.alert()
    losses = [depot.reported(lot_id, 2.5) for _ in range(MANY)]
    works = [
        partial(depot.decide_on, loss_id, by=manager)
        for loss_id, manager in zip(losses, managers, strict=True)
    ]
    assert outcomes(database_url, works) == {"approved": 4, "INSUFFICIENT_STOCK": MANY - 4}
    assert depot.left_of(lot_id) == 0
    assert depot.alerts(lot_id) == [(1, "gone")]
    assert states(depot) == {"approved": 4, "pending": MANY - 4}


def test_of_losses_of_all_that_is_left_one_is_approved(
    depot: Depot, database_url: str, managers: list[UUID]
) -> None:
    lot_id = depot.add_lot(quantity=7)
    losses = [depot.reported(lot_id, 7) for _ in range(MANY)]
    works = [
        partial(depot.decide_on, loss_id, by=manager)
        for loss_id, manager in zip(losses, managers, strict=True)
    ]
    assert outcomes(database_url, works) == {"approved": 1, "INSUFFICIENT_STOCK": MANY - 1}
    assert depot.left_of(lot_id) == 0


def test_reports_and_approvals_of_a_lot_at_once_all_come_through(
    depot: Depot, database_url: str
) -> None:
    lot_id = depot.add_lot(quantity=30)
    losses = [depot.reported(lot_id, 3) for _ in range(MANY // 2)]
    request = IdempotentRequest("report_loss", None, b"")

    def report_another(database: Database) -> str:
        loss = NewLoss(lotId=lot_id, quantity=1, reason="Wet")
        return report(request, database, depot.agent, loss).state

    approvals = [partial(depot.decide_on, loss_id) for loss_id in losses]
    came_of_it = outcomes(database_url, approvals + [report_another] * len(losses))
    assert came_of_it == {"approved": len(losses), "pending": len(losses)}
    assert depot.left_of(lot_id) == 30 - 3 * len(losses)


def test_a_new_warehouse_named_by_many_at_once_is_one(depot: Depot, database_url: str) -> None:
    lot = NewLot.model_validate(
        {
            "product": "Beans",
            "quantity": 1,
            "unit": "kg",
            "warehouse": "Kisumu",
            "expiresOn": "2027-03-02",
        }
    )
    request = IdempotentRequest("create_lot", None, b"")
    views = race(
        database_url, [lambda database: add_lot(request, database, depot.agent, lot)] * MANY
    )
    assert len({view.id for view in views}) == MANY
    assert {view.warehouse for view in views} == {"Kisumu"}
