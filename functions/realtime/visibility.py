"""Which changes are told of, and to whom. What no rule names is told to nobody.

| changed             | event                      | for                                          |
|---------------------|----------------------------|----------------------------------------------|
| media               | changed                    | its owner; who follows it, or all media      |
| users               | changed                    | the user; who follows them, or all users     |
| users: what one may | permissions, and the above | the user                                     |
| stock_lots          | changed                    | who may see stock                            |
| stock_losses        | changed                    | its reporter; who may see stock              |
| notifications       | changed                    | whom it tells                                |
| configuration       | changed                    | who may set it                               |
| realtime_broadcasts | as it says                 | as it says                                   |

Of a session that ends nobody is told: its connections are closed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from realtime import audiences
from realtime.events import NewEvent

CREATED, UPDATED, DELETED = "created", "updated", "deleted"

_ACTIONS: Mapping[str, str] = {"insert": CREATED, "update": UPDATED, "delete": DELETED}
_OF_RIGHTS = frozenset({"permission_version", "status"})


@dataclass(frozen=True)
class Change:
    """An entry of the change log; `before` and `after` are there for entities in `TOLD`."""

    entity: str
    entity_id: str
    action: str  # insert, update, delete
    changed: frozenset[str]  # the columns that an update changed
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    at: datetime


def events_of(change: Change) -> list[NewEvent]:
    """Return what is told of a change, at most one event of a kind."""
    rule = _RULES.get(change.entity)
    return list(rule(change)) if rule else []


def ends_session(change: Change) -> bool:
    """Say whether it is the end of a session; an update of one is recorded only where it ends."""
    return change.entity == "sessions" and change.action != "insert"


def _media(change: Change) -> Iterator[NewEvent]:
    """A media is hidden first and removed later: to whoever may see it, it is gone with the first.

    Where it changes its owner, both hear of it.
    """
    if change.before.get("deleted_at"):
        return
    action = DELETED if change.after.get("deleted_at") else _ACTIONS[change.action]
    rows = (row for row in (change.before, change.after) if row)
    owners = dict.fromkeys(audiences.user(row["owner_id"]) for row in rows)
    yield _changed(change, action, *owners)


def _user(change: Change) -> Iterator[NewEvent]:
    audience = audiences.user(change.entity_id)
    yield _changed(change, _ACTIONS[change.action], audience)
    if change.changed & _OF_RIGHTS:
        yield NewEvent(
            "permissions", change.entity, change.entity_id, UPDATED, (audience,), change.at
        )


def _lot(change: Change) -> Iterator[NewEvent]:
    yield _changed(change, _ACTIONS[change.action], audiences.permission("stock:read"))


def _loss(change: Change) -> Iterator[NewEvent]:
    row = change.after or change.before
    reporter = audiences.user(row["reported_by"])
    yield _changed(change, _ACTIONS[change.action], reporter, audiences.permission("stock:read"))


def _notification(change: Change) -> Iterator[NewEvent]:
    """Only that it is there, again when the last have it: an inbox that forgets is no news."""
    if change.action != "delete":
        row = change.after
        told = [*map(audiences.user, row["user_ids"]), *map(audiences.role, row["roles"])]
        if row["permission"]:
            told.append(audiences.permission(row["permission"]))
        yield _changed(change, CREATED, *told)


def _setting(change: Change) -> Iterator[NewEvent]:
    yield _changed(change, _ACTIONS[change.action], audiences.permission("config:write"))


def _broadcast(change: Change) -> Iterator[NewEvent]:
    if change.action == "insert":
        row = change.after
        told = tuple(row["audiences"])
        yield NewEvent(
            "changed", row["entity_type"], row["entity_id"], row["action"], told, change.at
        )


def _changed(change: Change, action: str, *own: str) -> NewEvent:
    told = (*own, *audiences.channels_of(change.entity, change.entity_id))
    return NewEvent("changed", change.entity, change.entity_id, action, told, change.at)


_RULES: Mapping[str, Callable[[Change], Iterator[NewEvent]]] = {
    "media": _media,
    "users": _user,
    "stock_lots": _lot,
    "stock_losses": _loss,
    "notifications": _notification,
    "configuration": _setting,
    "realtime_broadcasts": _broadcast,
}
TOLD = frozenset(_RULES)
