from collections.abc import Callable
from typing import Any

import pytest

from configuration import list_config, set_config
from fieldgate.db.engine import Database
from tests.support.gateway import Answer, call, signed_in
from tests.support.people import Person, register

BOSS = Person("", None, roles=("admin",))
PATH = "/api/v1/config"


class Office:
    """An admin, and what they do with the configuration."""

    def __init__(self, permissions: tuple[str, ...] = ("config:write",)) -> None:
        self.authorizer = signed_in(BOSS.id, permissions=permissions)

    def listed(self) -> Answer:
        return call(list_config.handler, "GET", PATH, authorizer=self.authorizer)

    def shown(self, key: str) -> dict[str, Any]:
        """Return what the list says of a key."""
        (found,) = [setting for setting in self.listed().data if setting["key"] == key]
        return dict(found)

    def history(self, key: str, query: str = "") -> Answer:
        path = f"{PATH}/{key}/history"
        return call(list_config.handler, "GET", path, query=query, authorizer=self.authorizer)

    def put(self, key: str, value: Any, **more: Any) -> Answer:
        content = {"value": value} | more
        path = f"{PATH}/{key}"
        return call(set_config.handler, "PUT", path, content=content, authorizer=self.authorizer)

    def roll_back(self, key: str, content: Any = None, *, name: str | None = None) -> Answer:
        headers = {"Idempotency-Key": name} if name else {}
        path = f"{PATH}/{key}/rollback"
        return call(
            set_config.handler,
            "POST",
            path,
            content=content,
            headers=headers,
            authorizer=self.authorizer,
        )


@pytest.fixture
def office(live_database: Database) -> Office:
    register(live_database, BOSS)
    return Office()


@pytest.fixture
def office_without(live_database: Database) -> Callable[[str], Office]:
    """Make an admin without a permission."""
    return lambda permission: Office(tuple({"config:write", "users:write"} - {permission}))
