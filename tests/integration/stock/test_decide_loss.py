"""POST /api/v1/stock/losses/{id}/approve and .../reject: who decides, and what comes of it."""

import uuid
from uuid import UUID

import pytest

from fieldgate.db.tables.change_log import change_log
from fieldgate.db.tables.push import notifications
from fieldgate.push.notifying import DUE
from stock import decide_loss
from tests.support.database import count_statements
from tests.support.gateway import call
from tests.support.sqs import LocalSqs
from tests.support.stock import BASE, NOON, TODAY, Depot


@pytest.mark.parametrize(
    ("how", "state", "left"), [("approve", "approved", 35), ("reject", "rejected", 40)]
)
def test_only_what_is_approved_is_taken_from_the_lot(
    depot: Depot, how: str, state: str, left: float
) -> None:
    lot_id = depot.add_lot()
    reported = depot.report(lot_id).data
    answer = depot.decide(reported["id"], how)
    assert answer.status == 200
    data = answer.data
    assert data.pop("decidedAt").endswith("Z")
    assert data == {name: value for name, value in reported.items() if name != "decidedAt"} | {
        "state": state,
        "decidedBy": str(depot.manager),
    }
    assert depot.left_of(lot_id) == left


@pytest.mark.parametrize(("how", "statements"), [("approve", 4), ("reject", 3)])
def test_it_costs_one_transaction_of_few_statements(
    depot: Depot, how: str, statements: int
) -> None:
    loss_id = depot.reported(depot.add_lot())
    with count_statements(depot.database) as traffic:
        depot.decide(loss_id, how)
    assert (traffic.commits, len(traffic.statements)) == (1, statements)
    assert traffic.round_trips == statements + 1


@pytest.mark.parametrize("how", ["approve", "reject"])
def test_who_reported_it_is_told_and_nobody_else(
    depot: Depot, push_queue: LocalSqs, how: str
) -> None:
    lot_id = depot.add_lot()
    loss_id = depot.reported(lot_id)
    push_queue.receive()
    state = depot.decide(loss_id, how).data["state"]
    (row,) = depot.notifications("stock_loss_decision")
    assert depot.told(row["id"]) == {depot.agent}
    assert (row["title"], row["created_by"]) == (f"Loss {state}", depot.manager)
    assert row["collapse_key"] == f"loss:{loss_id}"
    assert row["data"] == {
        "type": "stock_loss_decision",
        "lossId": loss_id,
        "lotId": str(lot_id),
        "state": state,
    }
    (record,) = push_queue.receive()["Records"]
    assert record["body"] == DUE


@pytest.mark.parametrize("how", ["approve", "reject"])
def test_nobody_decides_on_their_own(depot: Depot, how: str) -> None:
    depot.agent = depot.manager
    lot_id = depot.add_lot()
    loss_id = depot.reported(lot_id)
    answer = depot.decide(loss_id, how)
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert depot.loss(loss_id)["state"] == "pending"
    assert depot.left_of(lot_id) == 40
    assert depot.decide(loss_id, how, by=depot.add_person("admin")).status == 200
    assert depot.decide(loss_id, how).status == 403, "nor after another has"


@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("then", ["approve", "reject"])
def test_a_decision_is_final(depot: Depot, first: str, then: str) -> None:
    lot_id = depot.add_lot()
    loss_id = depot.reported(lot_id)
    depot.decide(loss_id, first)
    answer = depot.decide(loss_id, then, by=depot.add_person("admin"))
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert depot.left_of(lot_id) == (35 if first == "approve" else 40)
    assert len(depot.notifications("stock_loss_decision")) == 1


def test_where_not_enough_is_left_any_more_it_stays_pending(depot: Depot) -> None:
    lot_id = depot.add_lot(quantity=10)
    first, second = depot.reported(lot_id, 6), depot.reported(lot_id, 5)
    depot.decide(first)
    told = len(depot.rows(notifications))
    answer = depot.decide(second)
    assert (answer.status, answer.error["code"]) == (422, "INSUFFICIENT_STOCK")
    assert depot.loss(second)["state"] == "pending"
    assert depot.left_of(lot_id) == 4
    assert len(depot.rows(notifications)) == told
    assert depot.decide(second, "reject").status == 200


def test_what_is_gone_is_warned_of_no_more(depot: Depot) -> None:
    lot_id = depot.add_lot(expires_on=TODAY, quantity=5)
    other = depot.add_lot(expires_on=TODAY, quantity=5)
    depot.alert()
    some, rest = depot.reported(lot_id, 2), depot.reported(lot_id, 3)
    depot.decide(some)
    assert depot.alerts(lot_id) == [(1, "open")]
    depot.decide(rest)
    assert depot.left_of(lot_id) == 0
    assert depot.alerts(lot_id) == [(1, "gone")]
    assert depot.alerts(other) == [(1, "open")]
    assert depot.alert(NOON)["opened"] == 0


def test_a_key_decides_once_and_gives_the_first_answer_again(depot: Depot) -> None:
    lot_id = depot.add_lot()
    loss_id = depot.reported(lot_id)
    first = depot.decide(loss_id, key="one")
    again = depot.decide(loss_id, key="one")
    assert (again.status, again.data) == (200, first.data)
    assert again.headers["idempotency-replayed"] == "true"
    assert depot.left_of(lot_id) == 35
    assert depot.decide(loss_id, "reject", key="one").status == 409, "another route's key"


@pytest.mark.parametrize("how", ["approve", "reject"])
def test_a_loss_that_is_not_there_is_a_404(depot: Depot, how: str) -> None:
    assert depot.decide(uuid.uuid4(), how).status == 404


@pytest.mark.parametrize("loss_id", ["1", "None", "%00", "a" * 300])
def test_an_id_that_is_none_is_a_400(depot: Depot, loss_id: str) -> None:
    answer = depot.decide(loss_id)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("how", ["approve", "reject"])
def test_it_needs_its_permission(depot: Depot, how: str) -> None:
    loss_id = depot.reported(depot.add_lot())
    assert depot.decide(loss_id, how, may=("stock:read", "stock:write")).status == 403
    path = f"{BASE}/losses/{loss_id}/{how}"
    assert call(decide_loss.handler, "POST", path).status == 401
    assert depot.loss(loss_id)["state"] == "pending"


def test_who_was_deleted_meanwhile_is_a_401(depot: Depot) -> None:
    loss_id = depot.reported(depot.add_lot())
    assert depot.decide(loss_id, by=uuid.uuid4()).status == 401
    assert depot.loss(loss_id)["state"] == "pending"


def test_the_database_itself_lets_nobody_decide_on_their_own(depot: Depot) -> None:
    loss_id = depot.reported(depot.add_lot())
    with pytest.raises(Exception, match="ck_stock_losses_maker_checker"):
        depot.execute(
            "UPDATE stock_losses SET state = 'approved', decided_by = reported_by,"
            " decided_at = now() WHERE id = :id",
            id=UUID(loss_id),
        )


def test_each_change_is_on_record_with_who_made_it(depot: Depot) -> None:
    lot_id = UUID(depot.create().data["id"])
    loss_id = depot.reported(lot_id)
    depot.decide(loss_id)
    entries = [
        (row["entity"], row["action"], row["actor"], row["changed"])
        for row in depot.rows(change_log)
        if row["entity"] in {"warehouses", "stock_lots", "stock_losses"}
    ]
    agent, manager = str(depot.agent), str(depot.manager)
    assert sorted(entries[:2]) == [
        ("stock_lots", "insert", agent, None),
        ("warehouses", "insert", agent, None),
    ]
    assert entries[2:] == [
        ("stock_losses", "insert", agent, None),
        ("stock_losses", "update", manager, ["decided_at", "decided_by", "state"]),
        ("stock_lots", "update", manager, ["quantity"]),
    ]
    assert all(row["request_id"] for row in depot.rows(change_log)[-3:])
