"""What the stream holds: events with ids and an action, and never a row's data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

type Kind = Literal["changed", "permissions"]


@dataclass(frozen=True)
class NewEvent:
    """Something that happened, not yet given an offset.

    Of the kind `permissions`, `entity_id` is the user whose permissions changed.
    """

    kind: Kind
    entity_type: str
    entity_id: str
    action: str  # created, updated, deleted; or what a broadcast says
    audiences: tuple[str, ...]
    at: datetime  # when it was changed


@dataclass(frozen=True)
class StreamEvent(NewEvent):
    """An event of the stream; offsets are given without a gap."""

    offset: int


@dataclass(frozen=True)
class Position:
    """How far somebody has heard; offsets mean something within an epoch only."""

    epoch: UUID
    offset: int


@dataclass(frozen=True)
class Replay:
    """What came after a position. `position` is how far this goes; there may be `more` after it.

    Not `recovered` means that events in between are forgotten, or the epoch is another: whoever
    asks is to fetch anew what they show.
    """

    position: Position
    recovered: bool
    more: bool
    events: tuple[StreamEvent, ...]
