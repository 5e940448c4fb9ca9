"""Which frames a connection is sent of a stretch of the stream: what its user may see, in order."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from realtime import signalr, views
from realtime.events import Position, StreamEvent, Stretch
from realtime.fan_out_store import Mailbox
from realtime.frames import MAX_BYTES, Dialect

# Of a mailbox in a round: who is owed much gets the rest in further ones, and those who are posted
# to beside them don't wait for it.
MOST_FRAMES = 20


@dataclass(frozen=True)
class Frame:
    """What is sent in one go; who has got it has got all of theirs up to `until`."""

    content: bytes
    until: int


@dataclass(frozen=True)
class Delivery:
    """What a mailbox is to get. With the last of `frames`, or without any, it is at `until`."""

    mailbox: Mailbox
    frames: Sequence[Frame]
    until: int

    def sent_by(self, frames: int) -> int:
        """Return how far the mailbox is after so many of its frames."""
        if frames == len(self.frames):
            return self.until
        return self.frames[frames - 1].until if frames else self.mailbox.sent


@dataclass
class Deliveries:
    """Makes them; frames are made once for all who get the same."""

    stretch: Stretch
    now: datetime
    _made: dict[object, list[Frame]] = field(default_factory=dict)

    def of(self, mailbox: Mailbox) -> Delivery:
        """Return the delivery of what its viewer may see, and of nothing else."""
        if mailbox.sent < self.stretch.trimmed:
            # Some of it is forgotten: what they show is to be fetched anew, which tells it all.
            content = self._refetch(mailbox.dialect, mailbox.wanted)
            return Delivery(mailbox, [Frame(content, mailbox.wanted)], mailbox.wanted)
        until = max(mailbox.sent, min(mailbox.wanted, self.stretch.until))
        audiences = mailbox.viewer.audiences()
        seen = [
            event
            for event in self.stretch.events
            if mailbox.sent < event.offset <= until and not audiences.isdisjoint(event.audiences)
        ]
        frames = self._frames(mailbox, seen)
        if len(frames) > MOST_FRAMES:
            frames = frames[:MOST_FRAMES]
            until = frames[-1].until
        return Delivery(mailbox, frames, until)

    def _frames(self, mailbox: Mailbox, seen: Sequence[StreamEvent]) -> list[Frame]:
        tells_permissions = any(event.kind == "permissions" for event in seen)
        permissions = mailbox.viewer.permissions if tells_permissions else frozenset[str]()
        key = mailbox.dialect, permissions, tuple(event.offset for event in seen)
        if key not in self._made:
            records = [
                Frame(self._record(mailbox.dialect, event, permissions), event.offset)
                for event in seen
            ]
            # A frame of plain JSON is one message.
            joined = _joined(records) if mailbox.dialect == "signalr" else records
            self._made[key] = list(joined)
        return self._made[key]

    def _record(self, dialect: Dialect, event: StreamEvent, permissions: frozenset[str]) -> bytes:
        epoch = self.stretch.epoch
        if dialect == "signalr":
            target, argument = views.invocation_of(event, epoch, permissions)
            return signalr.invocation(target, argument).encode()
        message = views.message_of(event, epoch, permissions)
        return json.dumps(message, separators=(",", ":")).encode()

    def _refetch(self, dialect: Dialect, offset: int) -> bytes:
        if dialect == "signalr":
            return signalr.invocation(
                *views.refetch(Position(self.stretch.epoch, offset), self.now)
            ).encode()
        message = {
            "type": views.REFETCH,
            "epoch": str(self.stretch.epoch),
            "offset": offset,
            "timestamp": views.timestamp(self.now),
        }
        return json.dumps(message, separators=(",", ":")).encode()


def _joined(records: Sequence[Frame]) -> Iterator[Frame]:
    """Put records together, as many as a frame holds; a single one may be longer."""
    waiting: list[bytes] = []
    size = until = 0
    for record in records:
        if waiting and size + len(record.content) > MAX_BYTES:
            yield Frame(b"".join(waiting), until)
            waiting, size = [], 0
        waiting.append(record.content)
        size += len(record.content)
        until = record.until
    if waiting:
        yield Frame(b"".join(waiting), until)
