"""Statements of the requests that come most are built once: to build is dearer than to run them."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection, event

from configuration import store as configuration
from fieldgate.db.engine import Database
from identity import store as people
from push import device_store
from stock import loss_store, lot_store
from uploads import store as uploads
from uploads.file_rules import Folder

ONE, OTHER = UUID(int=1), UUID(int=2)

type Read = Callable[[Connection], object]

# The same twice, of somebody else or another page.
TWICE: dict[str, tuple[Read, Read]] = {
    "a user": (
        lambda connection: people.find_by_id(connection, ONE),
        lambda connection: people.find_by_id(connection, OTHER),
    ),
    "a user by phone": (
        lambda connection: people.find_by_phone(connection, "+254700000001"),
        lambda connection: people.find_by_phone(connection, "+254700000002"),
    ),
    "a user by e-mail": (
        lambda connection: people.find_by_email(connection, "one@farm.test"),
        lambda connection: people.find_by_email(connection, "other@farm.test"),
    ),
    "users": (
        lambda connection: people.find_page(connection, "agent", "active", 20, 0),
        lambda connection: people.find_page(connection, "admin", "blocked", 50, 50),
    ),
    "media": (
        lambda connection: uploads.find_page(connection, ONE, Folder.CLIENTS, 20, 0),
        lambda connection: uploads.find_page(connection, OTHER, Folder.CLIENT_DOCUMENTS, 50, 50),
    ),
    "lots": (
        lambda connection: lot_store.find_page(connection, "Nakuru", 7, 20, 0),
        lambda connection: lot_store.find_page(connection, "Eldoret", 30, 50, 50),
    ),
    "losses": (
        lambda connection: loss_store.find_page(connection, "pending", 20, 0),
        lambda connection: loss_store.find_page(connection, "approved", 50, 50),
    ),
    "devices": (
        lambda connection: device_store.find_page(connection, ONE, 20, 0),
        lambda connection: device_store.find_page(connection, OTHER, 50, 50),
    ),
    "a configuration's past": (
        lambda connection: configuration.find_page(connection, "image", limit=20, offset=0),
        lambda connection: configuration.find_page(connection, "unknown", limit=50, offset=50),
    ),
}


@pytest.mark.parametrize("reads", TWICE.values(), ids=TWICE)
def test_a_statement_is_built_once(database: Database, reads: tuple[Read, Read]) -> None:
    executed = []

    def note(_connection: Connection, statement: object, *_: object) -> None:
        executed.append(statement)

    event.listen(database.engine, "before_execute", note)
    try:
        for read in reads:
            database.read(read)
    finally:
        event.remove(database.engine, "before_execute", note)
    first, second = executed
    assert first is second
