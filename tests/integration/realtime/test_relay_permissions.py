"""What is told to those with a permission: stock, settings, notifications."""

import uuid
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from fieldgate.db.engine import Database
from fieldgate.push.notifying import NewNotification, notify
from realtime.audiences import Viewer
from realtime.relaying import relay
from tests.support.stream import Stream, new_event


@pytest.fixture
def stream(database: Database) -> Stream:
    return Stream(database)


def change(stream: Stream, statement: str, **values: Any) -> None:
    stream.database.transact(lambda connection: connection.execute(text(statement), values))


def receive(stream: Stream, created_by: UUID) -> UUID:
    lot_id = uuid.uuid4()
    change(
        stream,
        "INSERT INTO warehouses (name, time_zone) VALUES ('Nakuru', 'Africa/Nairobi')"
        " ON CONFLICT DO NOTHING",
    )
    change(
        stream,
        "INSERT INTO stock_lots (id, product, warehouse, unit, received, quantity, expires_on,"
        " created_by) VALUES (:id, 'Maize', 'Nakuru', 'kg', 5, 5, '2027-01-01', :created_by)",
        id=lot_id,
        created_by=created_by,
    )
    return lot_id


def test_a_lot_is_told_to_whoever_may_see_stock_and_to_nobody_else(stream: Stream) -> None:
    agent, manager = stream.add_user("agent"), stream.add_user("warehouse_manager")
    for name, user_id in (
        ("agent", agent),
        ("manager", manager),
        ("farmer", stream.add_user("farmer")),
        ("nobody", stream.add_user()),
    ):
        stream.connect(name, user_id)
    lot_id = receive(stream, agent)
    assert relay(stream.database, stream.ask_for) == 1
    assert stream.told() == [("changed", "stock_lots", str(lot_id), "created")]
    assert stream.owed() == {"agent": 1, "manager": 1}


def test_who_has_the_permission_by_two_roles_is_owed_it_once(stream: Stream) -> None:
    both = stream.add_user("agent", "warehouse_manager")
    stream.connect("both", both)
    receive(stream, both)
    relay(stream.database, stream.ask_for)
    assert stream.owed() == {"both": 1}


def test_who_lost_the_permission_meanwhile_is_not_shown_it(stream: Stream) -> None:
    stream.append(new_event("permission:stock:read"), new_event("permission:config:write"))
    for permissions, seen in (
        (frozenset({"stock:read", "config:write"}), [1, 2]),
        (frozenset({"stock:read"}), [1]),
        (frozenset[str](), []),
    ):
        viewer = Viewer(uuid.uuid4(), ["agent"], permissions)
        assert {f"permission:{name}" for name in permissions} <= viewer.audiences()
        assert [
            place
            for place, event in enumerate(stream.events(), 1)
            if viewer.audiences() & set(event["audiences"])
        ] == seen


def test_a_notification_is_told_to_whom_it_is_for(stream: Stream) -> None:
    named, agent = stream.add_user(), stream.add_user("agent")
    approver, other = stream.add_user("admin"), stream.add_user("farmer")
    for name, user_id in (("N", named), ("A", agent), ("P", approver), ("O", other)):
        stream.connect(name, user_id)
    new = NewNotification(
        "general", "T", "B", user_ids=[named], roles=["agent"], permission="stock:approve"
    )
    notification_id = stream.database.transact(lambda connection: notify(connection, new))
    relay(stream.database, stream.ask_for)
    assert stream.told() == [("changed", "notifications", str(notification_id), "created")]
    assert stream.owed() == {"N": 1, "A": 1, "P": 1}


def test_a_setting_is_told_to_who_may_set_it(stream: Stream) -> None:
    stream.connect("admin", stream.add_user("admin"))
    stream.connect("agent", stream.add_user("agent"))
    change(stream, "INSERT INTO configuration (key, value) VALUES ('IMAGE_MAX_WIDTH', '400')")
    relay(stream.database, stream.ask_for)
    assert stream.owed() == {"admin": 1}
