"""Events as they are told, as SignalR's argument and as plain JSON (docs/realtime.md)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

from realtime.events import Position, Replay, StreamEvent

DATA_CHANGED = "DataChanged"
PERMISSIONS_UPDATED = "PermissionsUpdated"
# In place of a type and an id: everything that the app shows may have changed.
ANYTHING = "*"
REFETCH = "refetch"


class UpdateMessage(TypedDict):
    """An event as plain JSON clients get it."""

    type: Literal["update"]
    channel: str
    event: str
    data: dict[str, Any]
    timestamp: str
    epoch: UUID
    offset: int


class Replayed(TypedDict):
    """What came after a position; `offset` is how far this goes, and there may be `more`."""

    epoch: UUID
    offset: int
    recovered: bool
    more: bool
    events: list[UpdateMessage]


def timestamp(moment: datetime) -> str:
    """Return a UTC time as JSON has it: milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def invocation_of(
    event: StreamEvent, epoch: UUID, permissions: Iterable[str]
) -> tuple[str, dict[str, Any]]:
    """Return the client method that tells of an event, and its one argument.

    `permissions` are the receiver's, as they are now.
    """
    place = {"timestamp": timestamp(event.at), "epoch": str(epoch), "offset": event.offset}
    if event.kind == "permissions":
        return PERMISSIONS_UPDATED, {
            "userId": event.entity_id,
            "permissions": sorted(permissions),
        } | place
    return DATA_CHANGED, _ids(event) | place


def refetch(position: Position, now: datetime) -> tuple[str, dict[str, Any]]:
    """Return the invocation that stands for all that a client may have missed up to a position."""
    return DATA_CHANGED, {
        "entityType": ANYTHING,
        "entityId": ANYTHING,
        "action": REFETCH,
        "timestamp": timestamp(now),
        "epoch": str(position.epoch),
        "offset": position.offset,
    }


def message_of(event: StreamEvent, epoch: UUID, permissions: Iterable[str]) -> dict[str, Any]:
    """Return an event as plain JSON clients get it, and as it is replayed to all."""
    if event.kind == "permissions":
        name = "permissions_updated"
        data: dict[str, Any] = {"userId": event.entity_id, "permissions": sorted(permissions)}
    else:
        name, data = event.action, _ids(event)
    return {
        "type": "update",
        "channel": f"{event.entity_type}:{event.entity_id}",
        "event": name,
        "data": data,
        "timestamp": timestamp(event.at),
        "epoch": str(epoch),
        "offset": event.offset,
    }


def replay_view(replay: Replay, permissions: Iterable[str]) -> dict[str, Any]:
    """Return the answer to who asks what they missed."""
    epoch = replay.position.epoch
    return {
        "epoch": str(epoch),
        "offset": replay.position.offset,
        "recovered": replay.recovered,
        "more": replay.more,
        "events": [message_of(event, epoch, permissions) for event in replay.events],
    }


def _ids(event: StreamEvent) -> dict[str, str]:
    return {
        "entityType": event.entity_type,
        "entityId": event.entity_id,
        "action": event.action,
    }
