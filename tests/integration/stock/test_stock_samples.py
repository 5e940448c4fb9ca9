"""The sample events about stock: each is answered as documented, and they are of one story."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.tables.stock import stock_losses
from stock import (
    alert_expiring_stock,
    create_lot,
    decide_loss,
    list_losses,
    list_lots,
    report_loss,
    set_warehouse,
)
from tests.support.gateway import Handler, LambdaContext
from tests.support.people import Person, register
from tests.support.stock import Depot

EVENTS = Path(__file__).parents[3] / "events"

SAMPLES: dict[str, tuple[Handler, int]] = {
    "set_warehouse": (set_warehouse.handler, 200),
    "create_lot": (create_lot.handler, 201),
    "list_lots": (list_lots.handler, 200),
    "report_loss": (report_loss.handler, 201),
    "list_losses": (list_losses.handler, 200),
    "decide_loss": (decide_loss.handler, 200),
}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def caller_of(name: str) -> UUID:
    return UUID(sample(name)["requestContext"]["authorizer"]["lambda"]["claims"]["sub"])


def answer(name: str) -> dict[str, Any]:
    handler, status = SAMPLES[name]
    event = sample(name)
    said = handler(event, None)
    assert said["statusCode"] == status, said
    assert said["headers"]["x-request-id"] == event["headers"]["x-request-id"]
    content: dict[str, Any] = json.loads(said["body"])
    return content


@pytest.fixture
def story(depot: Depot) -> Depot:
    """The people whom the samples name, and the lot and the loss."""
    for number, (name, role) in enumerate(
        (("report_loss", "agent"), ("decide_loss", "warehouse_manager"))
    ):
        person = Person("", None, phone=f"+25471100010{number}", email=None, roles=(role,))
        register(depot.database, Person(**vars(person) | {"id": caller_of(name)}))
    depot.agent, depot.manager = caller_of("report_loss"), caller_of("decide_loss")
    lot_id = json.loads(sample("report_loss")["body"])["lotId"]
    depot.add_lot(id=lot_id, warehouse="Nakuru")
    depot.database.transact(
        lambda connection: connection.execute(
            stock_losses.insert().values(
                id=sample("decide_loss")["pathParameters"]["id"],
                lot_id=lot_id,
                quantity=5,
                reason="Wet",
                reported_by=depot.agent,
            )
        )
    )
    return depot


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_answered_as_documented(story: Depot, name: str) -> None:
    assert answer(name)["success"] is True


def test_the_samples_are_one_story(story: Depot) -> None:
    made = answer("create_lot")["data"]
    assert made["warehouse"] == answer("set_warehouse")["data"]["name"]
    reported = answer("report_loss")["data"]
    decided = answer("decide_loss")["data"]
    assert decided["state"] == "approved"
    assert decided["lotId"] == reported["lotId"]
    assert reported["id"] in {loss["id"] for loss in answer("list_losses")["data"]}


def test_the_schedules_sample_makes_a_round(story: Depot) -> None:
    done = alert_expiring_stock.handler(sample("alert_expiring_stock"), LambdaContext(60_000))
    assert done is not None
    assert done.keys() == {"opened", "closed", "told"}
