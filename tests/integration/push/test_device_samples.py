"""The sample events about devices, preferences and the inbox: each is answered as documented."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert

from fieldgate.db.engine import Database
from fieldgate.db.tables.push import devices, notification_recipients, notifications
from push import (
    delete_device,
    list_devices,
    list_inbox,
    mark_read,
    notification_preferences,
    register_device,
)
from tests.support.gateway import Handler
from tests.support.people import Person, begin_session_of, register

EVENTS = Path(__file__).parents[3] / "events"

SAMPLES: dict[str, tuple[Handler, int]] = {
    "register_device": (register_device.handler, 200),
    "list_devices": (list_devices.handler, 200),
    "delete_device": (delete_device.handler, 204),
    "notification_preferences": (notification_preferences.handler, 200),
    "list_inbox": (list_inbox.handler, 200),
    "mark_read": (mark_read.handler, 200),
}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def write_what_it_speaks_of(database: Database, event: dict[str, Any]) -> None:
    """Write the caller with their session, and what the path names: a device or a notification."""
    claims = event["requestContext"]["authorizer"]["lambda"]["claims"]
    caller = register(database, Person("", None, id=UUID(claims["sub"])))
    begin_session_of(database, event)
    named = [part for part in event["rawPath"].split("/") if len(part) == len(str(caller.id))]
    device = {"session_id": claims["sid"], "token_hash": b"1", "token": b"1", "kind": "token"}
    told = {"kind": "general", "title": "Rain", "body": "Today", "collapse_key": "rain"}

    def write(connection: Connection) -> None:
        for found in named:
            row = device | {"id": found, "user_id": caller.id, "platform": "android"}
            connection.execute(insert(devices).values(row))
            connection.execute(insert(notifications).values(told | {"id": found}))
            recipient = {"notification_id": found, "user_id": caller.id}
            connection.execute(insert(notification_recipients).values(recipient))

    database.transact(write, actor="tests")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_answered_as_documented(live_database: Database, name: str) -> None:
    event = sample(name)
    write_what_it_speaks_of(live_database, event)
    handler, status = SAMPLES[name]

    said = handler(event, None)

    assert said["statusCode"] == status, said
    assert said["headers"]["x-request-id"] == event["headers"]["x-request-id"]
