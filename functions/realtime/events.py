"""What the stream holds: events with ids and an action, and never a row's data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

# PostgreSQL's bigint; what is beyond it was never given away.
MAX_OFFSET = 2**63 - 1
# Of a replay, the most events.
PAGE = 100

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
class Stretch:
    """A piece of the stream: all events up to `until` that aren't forgotten (`trimmed`) yet."""

    epoch: UUID
    trimmed: int
    until: int
    events: Sequence[StreamEvent]


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
