"""What a client may ask on its connection, in whichever dialect.

Who asks is what the connection's row says, found by the id that API Gateway gives the frame; what
a client says of itself is believed nowhere. Heavy packages are imported where they are needed,
since pings come through here.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fieldgate import deadline
from fieldgate.errors import FieldgateError, Unavailable, ValidationFailed
from fieldgate.observability import logger
from realtime import audiences, dialects
from realtime.events import MAX_OFFSET, PAGE

if TYPE_CHECKING:
    from realtime.connection_store import Connected
    from realtime.events import Position
    from realtime.frames import Dialect

# What can't be answered within it is answered by saying so. The function's time-out is 15 s, of
# which ending a connection (speaking.py) has 3, and what an environment imports once the rest.
ANSWER_SECONDS = 4

BUG = "Something went wrong on our side. Please try again shortly."

NO_ROOM = "Too much was asked in one frame for all of it to be answered. Please ask once more."
# Around the events of a replay.
_ENVELOPE_BYTES = 400


@contextmanager
def in_time() -> Iterator[None]:
    """Have the work inside wait for others no longer than `ANSWER_SECONDS` in all.

    What it needs is imported before that: where there is little processor, that takes seconds.
    """
    from fieldgate import token_bucket  # noqa: F401
    from fieldgate.db import engine  # noqa: F401
    from realtime import connection_store, connections_api, stream_store  # noqa: F401

    with deadline.within(ANSWER_SECONDS):
        yield


def find(connection_id: str) -> "Connected | None":
    """Return the connection, with who it is of now; None when it has no right to be there.

    Raises:
        Unavailable: the database is.

    """
    from fieldgate.db.engine import database
    from realtime import connection_store

    found = database().read(lambda connection: connection_store.find(connection, connection_id))
    if found is not None and found.begun:
        # Only SignalR's handshake comes before one is ready.
        dialects.note(connection_id, found.dialect or "signalr")
    return found


def why_over(connection_id: str) -> str:
    """Return why a connection that `find` didn't has no right to be there: `fan_out_store.Reason`.

    Where nobody can tell any more, its session has ended.
    """
    from fieldgate.db.engine import database
    from realtime import fan_out_store

    try:
        found = database().read(lambda c: fan_out_store.find_closing(c, [connection_id]))
    except Unavailable:
        found = []
    return found[0].reason if found else "session_ended"


def begin_handshake(connection_id: str) -> bool:
    """Take it upon this run to answer the handshake; False when it was made, or as `find`.

    Raises:
        Unavailable: the database is, or was when it was to be saved.

    """
    from fieldgate.db.engine import database
    from realtime import connection_store

    begun = database().transact(
        lambda connection: connection_store.begin_handshake(connection, connection_id)
    )
    if begun:
        dialects.note(connection_id, "signalr")
    return begun


def make_ready(connection_id: str, dialect: "Dialect") -> "tuple[Connected, Position] | None":
    """Have events sent to the connection from now on; None when they were before, or as `find`.

    Returns the connection, and after which position that is.

    Raises:
        Unavailable: the database is, or was when it was to be saved.

    """
    from fieldgate.db.engine import database
    from realtime import connection_store

    ready = database().transact(
        lambda connection: connection_store.make_ready(connection, connection_id, dialect)
    )
    if ready is not None:
        dialects.note(connection_id, dialect)
    return ready


def subscribe(connected: "Connected", names: Any) -> "Connected":
    """Follow channels as well: all of `names`, or none of them.

    Raises:
        ValidationFailed: these are no names, or they would be too many.
        Forbidden: one of them isn't for this user.
        Unavailable: the database is.

    """
    from fieldgate.db.engine import database
    from realtime import connection_store

    wanted = _channel_names(names)
    audiences.check_may_follow(connected.viewer.permissions, wanted)
    channels = database().transact(
        lambda connection: connection_store.follow(connection, connected.id, wanted)
    )
    if channels is None:
        raise ValidationFailed(audiences.TOO_MANY_CHANNELS)
    return replace(connected, viewer=replace(connected.viewer, channels=channels))


def unsubscribe(connected: "Connected", names: Any) -> "Connected":
    """Follow channels no more; what wasn't followed makes no difference.

    Raises:
        ValidationFailed: these are no names.
        Unavailable: the database is.

    """
    from fieldgate.db.engine import database
    from realtime import connection_store

    unwanted = _channel_names(names)
    channels = database().transact(
        lambda connection: connection_store.unfollow(connection, connected.id, unwanted)
    )
    return replace(connected, viewer=replace(connected.viewer, channels=channels))


def resume(connected: "Connected", epoch: Any, offset: Any, room: int) -> dict[str, Any]:
    """Return what the user missed since a position: `views.replay_view`, in `room` bytes of JSON.

    Raises:
        ValidationFailed: that is no position.
        Unavailable: the database is.

    """
    from fieldgate.db.engine import database
    from realtime import stream_store, views

    viewer = connected.viewer
    position = _epoch(epoch), _offset(offset)
    replay = database().read(
        lambda connection: stream_store.events_after(connection, viewer, *position, PAGE)
    )
    told = views.replay_view(replay, viewer.permissions)
    return _fitted(told, room - _ENVELOPE_BYTES)


def refusal(error: Exception, connection_id: str) -> FieldgateError:
    """Return what a client is told of an error: of a bug nothing but that there is one."""
    if isinstance(error, FieldgateError):
        return error
    logger().error("not answered", exc_info=error, extra={"connection_id": connection_id})
    return FieldgateError(BUG)


def _channel_names(names: Any) -> list[str]:
    try:
        return audiences.channel_names(names)
    except ValueError as error:
        raise ValidationFailed(str(error)) from None


def _epoch(value: Any) -> UUID | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return UUID(value)
    except ValueError:
        pass
    raise ValidationFailed("An epoch is a UUID, as events have it.")


def _offset(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_OFFSET:
        raise ValidationFailed("An offset is a number from 0 on, as events have it.")
    return value


def _fitted(told: dict[str, Any], room: int) -> dict[str, Any]:
    """Leave the last events for the next page where all of them would be too much for a frame."""
    events: list[dict[str, Any]] = told["events"]
    number = 0
    for event in events:
        room -= len(json.dumps(event)) + 2
        if room < 0:
            break
        number += 1
    if number == len(events):
        return told
    if number == 0:
        raise ValidationFailed(NO_ROOM)
    kept = events[:number]
    return told | {"events": kept, "offset": kept[-1]["offset"], "more": True}
