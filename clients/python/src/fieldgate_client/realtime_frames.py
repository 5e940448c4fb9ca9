"""What goes over the connection, in the server's plain JSON dialect (contract, "Realtime").

Frames are read with the care of all answers: what is no frame of the contract's is NotUnderstood,
which whoever reads the connection passes over.
"""

import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fieldgate_client.answers import Fields, json_of, not_understood
from fieldgate_client.errors import NetworkError, NotUnderstood

log = logging.getLogger(__name__)

# What SQLite and the server's database hold; no offset is ever larger.
MAX_OFFSET = 2**63 - 1


@dataclass(frozen=True)
class Position:
    """How far somebody has heard. Offsets mean something within their epoch only, and have gaps:
    nobody hears everything.
    """  # noqa: D205 one sentence would be two

    epoch: str
    offset: int

    def covers(self, other: "Position") -> bool:
        """Say whether what happened at `other` was heard by whoever has heard so far."""
        return self.epoch == other.epoch and other.offset <= self.offset


@dataclass(frozen=True)
class Update:
    """Something changed: which thing, and how; what it is now has to be fetched.

    `event` is what happened in the channel's words: updated, status_changed ...
    """

    channel: str
    event: str
    entity_type: str
    entity_id: str
    action: str
    at: datetime
    position: Position


@dataclass(frozen=True)
class PermissionsUpdate:
    """The user has other permissions now: these."""

    user_id: str
    permissions: tuple[str, ...]
    at: datetime
    position: Position


@dataclass(frozen=True)
class Refetch:
    """What happened up to here is forgotten: fetch anew what is shown."""

    position: Position


type News = Update | PermissionsUpdate | Refetch


@dataclass(frozen=True)
class Resumed:
    """What was missed, up to `position`; with `more` of it behind.

    Not `recovered` means that it is not known in full.
    """

    position: Position
    recovered: bool
    more: bool
    events: tuple[News, ...]


@dataclass(frozen=True)
class Following:
    """The channels that this connection is subscribed to now."""

    channels: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """What was asked for can't be done."""

    code: str
    message: str


@dataclass(frozen=True)
class Closing:
    """The server is about to close the connection."""

    reason: str
    reconnect: bool


@dataclass(frozen=True)
class Pong:
    """The server is there."""


type Content = News | Resumed | Following | Refusal | Closing | Pong


@dataclass(frozen=True)
class Frame:
    """What came; `id` is the request's that it answers."""

    content: Content
    id: str | None = None


def read(frame: str | bytes) -> Frame:
    """Read what came; raises NotUnderstood."""
    if isinstance(frame, bytes):
        raise not_understood("a binary frame.")
    try:
        found = Fields(json_of(frame.encode()), not_understood)
    except NotUnderstood:
        raise
    except NetworkError as error:
        raise not_understood("a frame that is no JSON.") from error
    return Frame(_content(found), found.text_or_none("id"))


def ping() -> str:
    return _written({"action": "ping"})


def request(id: str, action: str, **what: Any) -> str:  # noqa: A002 the contract's name
    """Return a request, whose answer will have the same id."""
    return _written({"action": action, "id": id} | what)


def channels(names: Collection[str]) -> dict[str, list[str]]:
    """Return what names channels in a request."""
    return {"channels": sorted(names)}


def place(position: Position | None) -> dict[str, Any]:
    """Return what names a position in a request; without an epoch where there is none yet."""
    if position is None:
        return {"offset": 0}
    return {"epoch": position.epoch, "offset": position.offset}


def _written(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))


def _content(found: Fields) -> Content:
    kind = found.text("type")
    if kind not in _READERS:
        raise not_understood(f"{kind[:50]!a} is no frame that this client knows.")
    return _READERS[kind](found)


def _update(found: Fields) -> Update | PermissionsUpdate:
    event, data = found.text("event"), found.within("data")
    at, position = found.moment("timestamp"), _position(found)
    if event == "permissions_updated" and data.has("permissions"):
        return PermissionsUpdate(data.text("userId"), data.texts("permissions"), at, position)
    return Update(
        found.text("channel"),
        event,
        data.text("entityType"),
        data.text("entityId"),
        data.text("action"),
        at,
        position,
    )


def _resumed(found: Fields) -> Resumed:
    events = []
    for each in found.listed("events"):
        try:
            events.append(_update(Fields(each, not_understood)))
        except NotUnderstood as error:
            # As if it had come by itself: one that nobody can read holds up no other.
            log.info("Passed over what was missed: %s", error)
    recovered, more = found.truth("recovered"), found.truth("more")
    return Resumed(_position(found), recovered, more, tuple(events))


def _position(found: Fields) -> Position:
    return Position(found.name("epoch"), found.whole("offset", 0, MAX_OFFSET))


_READERS: Mapping[str, Callable[[Fields], Content]] = {
    "update": _update,
    "refetch": lambda found: Refetch(_position(found)),
    "resumed": _resumed,
    "subscribed": lambda found: Following(found.texts("channels")),
    "unsubscribed": lambda found: Following(found.texts("channels")),
    "error": lambda found: Refusal(found.text("code"), found.text("message")),
    "close": lambda found: Closing(
        found.text_or_none("reason") or "", reconnect=found.truth("reconnect")
    ),
    "pong": lambda found: Pong(),  # noqa: ARG005 there is nothing in it
}
